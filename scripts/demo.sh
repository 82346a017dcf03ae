#!/usr/bin/env bash
# The main job, on a small model: a RePo model directory is compiled ahead of time to a library,
# run, and held against the published reference implementation; its positions are drawn.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
model=test/golden/tiny-bf16
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
prompt=$(sed -n 's/.*"prompt": \[\([^]]*\)\].*/\1/p' $model/expect.json | tr -d ' ')
[ -n "$prompt" ] || prompt=$(tr -d ' \n' < $model/expect.json | sed 's/.*"prompt":\[\([^]]*\)\].*/\1/')
expected=$(tr -d ' \n' < $model/expect.json | sed 's/.*"greedy":\[\([^]]*\)\].*/\1/')
count=$(tr ',' '\n' <<< "$expected" | wc -l)

echo "== compile: repo-compile --model=$model (3 layers, RePo from layer 1, bf16 weights)"
time build/bin/repo-compile --model=$model -o "$out/model"
ls -l "$out/model" | awk 'NR > 1 {print "   " $5 " bytes  " $9}'

echo "== run: repo-run --model --generate=$count"
generated=$(build/bin/repo-run --model="$out/model" --weights=$model --tokens="$prompt" --generate="$count" --ignore-eos)
echo "   prompt     $prompt"
echo "   generated  $generated"
echo "   reference  $expected"
[ "$generated" = "$expected" ] || { echo "the tokens differ from the reference"; exit 1; }
echo "   the tokens are those of the reference"

echo "== positions: python -m repo_mlir.positions"
tokens=$(seq -s, 3 3 240)
for view in "" "--layer=1 --head=0"; do
  # shellcheck disable=SC2086
  PYTHONPATH=python "$python" -m repo_mlir.positions --model=$model --library="$out/model" --tokens="$prompt,$tokens" \
    $view -o "build/positions${view:+-of-a-head}.svg" | sed 's/^/   /'
done

echo "== an operator: causal attention with a learned position per token and head"
build/bin/repo-compile test/Integration/CPU/attention-mha.mlir -o "$out/attention.so"
build/bin/repo-run "$out/attention.so" --entry=attention --inputs=test/golden/attention-mha.safetensors \
  --expect=test/golden/attention-mha.safetensors --atol=3e-6
