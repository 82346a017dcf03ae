#!/bin/bash
# Checks on a CUDA device: correctness against float64, goldens, random configurations, compute-sanitizer where there
# is one, then the benchmarks. Unattended; within 10 minutes on one H200. Results: build/check-cuda.
#   scripts/check-cuda.sh [--no-bench]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
export PYTHONPATH=python PATH=/usr/local/cuda/bin:$PATH
out=build/check-cuda

fail() { echo "check-cuda: $1" >&2; exit 1; }

[ -x "$PYTHON" ] || fail "expected Python at $PYTHON (make python)"
[ -f build/lib/librepo_compiler.so ] || fail "expected a built tree (make build)"
status=0
"$PYTHON" -c '
import sys
try:
    import torch
except ImportError:
    sys.exit(3)
sys.exit(0 if torch.cuda.is_available() else 4)' || status=$?
[ $status != 3 ] || fail "expected torch with CUDA, found no torch (scripts/setup.sh frameworks)"
[ $status = 0 ] || fail "expected a CUDA device, found none"
command -v ptxas > /dev/null || fail "expected ptxas on the PATH or in /usr/local/cuda/bin, found none"

mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv | tee "$out/device.txt"

echo "== correctness, goldens, random configurations"
timeout 240 "$PYTHON" -m pytest -q -m cuda python/tests 2>&1 | tee "$out/tests.txt"

if command -v compute-sanitizer > /dev/null; then
  for tool in memcheck racecheck synccheck; do
    echo "== compute-sanitizer $tool"
    timeout 60 compute-sanitizer --tool "$tool" --error-exitcode 1 "$PYTHON" -m pytest -q -m cuda python/tests -k smoke \
      2>&1 | tee "$out/$tool.txt" | tail -5
  done
else
  echo "== no compute-sanitizer: left out"
fi

if [ "${1:-}" != --no-bench ]; then
  echo "== benchmark"
  timeout 180 "$PYTHON" benchmark/run.py --suite cuda --rounds 11 --json "$out/cuda.json" 2>&1 | tee "$out/benchmark.txt"
fi
echo "check-cuda: done, results in $out"
