#!/usr/bin/env bash
# The package as npm installs it: packed, then run by `npx` in an empty folder with whatever Node is first on the PATH.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$root/packages/bitbudget" && npm pack --pack-destination "$folder" >/dev/null)
cd "$folder"
data="$root/experiments/data/fashion-mnist/fashion-mnist.json"
model="$root/experiments/models/resnet8.onnx"
node --version
npx -y ./bitbudget-*.tgz search "$model" --device gap9 --data "$data" --budget "size<=65%" --recipe fast --samples 128
npx -y ./bitbudget-*.tgz runs list
