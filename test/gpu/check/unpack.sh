#!/bin/sh
# Joins the parts beside this script into the folder it is called in. Needs no network: sha256sum, gzip and tar alone.
set -eu
parts=$(cd "$(dirname "$0")" && pwd)
cuda=no
for part in "$parts"/cuda.tar.br.*; do [ ! -e "$part" ] || cuda=yes; done
# All of CUDA's libraries, or none.
if [ $cuda = yes ]; then cat "$parts/SHA256SUMS"; else grep -v '  cuda\.tar\.br\.' "$parts/SHA256SUMS"; fi |
  (cd "$parts" && sha256sum --check --quiet -)
cat "$parts"/node.gz.* | gzip -dc > node
chmod 755 node
unpack() {
  cat "$parts/$1".tar.br.* |
    ./node -e 'process.stdin.pipe(require("node:zlib").createBrotliDecompress()).pipe(process.stdout)' |
    tar -xf -
}
unpack archive
if [ $cuda = yes ]; then
  unpack cuda
else
  echo "Without CUDA's libraries: LD_LIBRARY_PATH has to name a folder with those of CUDA 13."
fi
echo "Unpacked. Next: ./node dist/test/gpu/check/main.js --json report.json"
