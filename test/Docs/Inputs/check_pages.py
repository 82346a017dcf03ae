"""Every registered pass and pipeline has a section, with the IR before and after; every constraint of an op a test.

    check_pages.py REPO_OPT PAGES_DIR INVALID_MLIR...
"""

import pathlib
import re
import subprocess
import sys

tool, pages, *invalid = sys.argv[1:]
text = {name: (pathlib.Path(pages) / f"{name}.md").read_text() for name in ("dialect", "transforms", "conversion", "pipelines")}
failures = []

help_text = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
flags = sorted(set(re.findall(r"^ +--(repo-[a-z0-9-]+)", help_text, re.M)))
sections = {}
for name in ("transforms", "conversion", "pipelines"):
    for part in re.split(r"^### ", text[name], flags=re.M)[1:]:
        sections[re.match(r"`-([a-z0-9-]+)`", part)[1]] = part
for flag in flags:
    if flag not in sections:
        failures.append(f"{flag}: no section in the pages")
    elif not (re.search(r"\bBefore\b", sections[flag]) and re.search(r"\bAfter\b", sections[flag])):
        failures.append(f"{flag}: the section does not show the IR before and after")
failures += [f"{flag}: documented, but not registered" for flag in sorted(set(sections) - set(flags))]

tests = [test for path in invalid for test in re.findall(r"func\.func @(\w+)", pathlib.Path(path).read_text())]
ops = re.split(r"^### `repo\.", text["dialect"], flags=re.M)[1:]
for part in ops:
    name = re.match(r"(\w+)", part)[1]
    numbers = re.findall(r"^\* \(C(\d+)\)|^- \(C(\d+)\)|^ *[-*] \(C(\d+)\)", part, re.M)
    numbers = [next(filter(None, found)) for found in numbers]
    if numbers != [str(i + 1) for i in range(len(numbers))] or not numbers:
        failures.append(f"repo.{name}: expected constraints (C1), (C2), ..., found {numbers}")
    for number in numbers:
        if not any(test == f"{name}_c{number}" or test.startswith(f"{name}_c{number}_") for test in tests):
            failures.append(f"repo.{name}: no test of (C{number})")
    if "```mlir" not in part:
        failures.append(f"repo.{name}: no example")

print("\n".join(failures) or f"{len(flags)} passes and pipelines, {len(ops)} ops")
sys.exit(bool(failures))
