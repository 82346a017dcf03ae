#!/bin/sh
# Interesting (status 1, as repo-reduce has it) while the file holds a rotation.
grep -q 'repo.rotate' "$1" && exit 1
exit 0
