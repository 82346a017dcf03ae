#!/usr/bin/env bash
# Checks the sources: format, file headers, misspelt CHECK lines, paths of one machine.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
complain() { echo "lint: $1"; sed 's/^/  /' <<< "$2"; status=1; }

format=$(command -v clang-format-22 || true)
if [ -n "$format" ]; then
  bad=$(git ls-files '*.cpp' '*.h' '*.c' | xargs "$format" --dry-run 2>&1 | sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: warning.*/\1/p' | sort -u)
  [ -z "$bad" ] || complain "not formatted (make format)" "$bad"
fi
bad=$(git ls-files '*.cpp' '*.h' '*.c' '*.td' ':!cmake/pch.*' | xargs grep -L 'SPDX-License-Identifier' --)
[ -z "$bad" ] || complain "no licence header" "$bad"
bad=$(git grep -nE '// *(CHEKC|CHCEK|CHECK_NEXT|CHECK_SAME|CHECK-NXT|CHECKNEXT|CHECK -)' -- test)
[ -z "$bad" ] || complain "misspelt CHECK" "$bad"
bad=$(git grep -nE '(^|[^A-Za-z0-9_.-])/(root|home|work)/' -- ':!scripts/lint.sh')
[ -z "$bad" ] || complain "a path of one machine" "$bad"
bad=$(git ls-files '*.cpp' '*.h' '*.c' '*.py' '*.td' | xargs wc -l | awk '$1 > 700 && $2 != "total" {print $1, $2}')
[ -z "$bad" ] || complain "too long to read in one sitting" "$bad"
[ $status -eq 0 ] && echo "lint: clean"
exit $status
