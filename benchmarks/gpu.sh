#!/usr/bin/env bash
# All that is to be measured on a GPU, in one go:  bash benchmarks/gpu.sh DATA OUT
# DATA holds gowalla/ and yelp2018/; tables, JSON and profiles go to OUT. Some ten minutes.
set -euo pipefail
data=${1:?the folder that holds gowalla/ and yelp2018/} out=${2:?a folder for the results}
mkdir -p "$out"
data=$(realpath "$data") out=$(realpath "$out")
cd "$(dirname "$0")/.."

python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("torch sees no GPU")'
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$out/gpu.csv"
python -m pytest -q -k cuda | tee "$out/tests.txt"
for dataset in gowalla yelp2018; do
  python benchmarks/speed.py --dataset "$dataset" --root "$data" --device cuda \
    --stages draw propagate step shared parts epoch evaluate memory profile \
    --json "$out/$dataset.json" | tee "$out/$dataset.txt"
done
