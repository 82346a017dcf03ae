"""The page of the architecture names every folder of lib and every registered pass; a pass is in the file of its name.

    check_architecture.py REPO_OPT ROOT
"""

import pathlib
import re
import subprocess
import sys

tool, root = sys.argv[1], pathlib.Path(sys.argv[2])
named = set(re.findall(r"`([^`]+)`", (root / "docs/architecture.md").read_text()))
sources = [path.relative_to(root) for path in (root / "lib").rglob("*.cpp")]
failures = []

for folder in sorted({path.parent for path in sources} - {pathlib.Path("lib")}):
    inside = folder.name in named and str(folder.parent) in named
    if str(folder) not in named and not inside:
        failures.append(f"{folder}: a folder the page does not name")

help_text = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
flags = set(re.findall(r"^ +--(repo-[a-z0-9-]+)", help_text, re.M))
failures += [f"{flag}: a pass the page does not name" for flag in sorted(flags - named)]
tools = {path.name for path in (root / "tools").iterdir()}
written = {name for name in named if re.fullmatch(r"repo-[a-z0-9-]+", name)}
failures += [f"{name}: neither a pass nor a tool" for name in sorted(written - flags - tools)]

files = {path.stem.lower() for path in sources}
pipelines = {flag for flag in flags if flag.endswith("-pipeline") or flag == "repo-lower-to-llvm"}
for flag in sorted(flags - pipelines):
    if flag.removeprefix("repo-").replace("-", "") not in files:
        failures.append(f"{flag}: no file of this name")

print("\n".join(failures) or "all folders and passes")
sys.exit(bool(failures))
