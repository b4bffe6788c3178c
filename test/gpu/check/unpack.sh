#!/bin/sh
# Joins the parts beside this script into the folder it is called in. Needs no network: sha256sum, gzip and tar alone.
set -eu
parts=$(cd "$(dirname "$0")" && pwd)
(cd "$parts" && sha256sum --check --quiet SHA256SUMS)
cat "$parts"/node.gz.* | gzip -dc > node
chmod 755 node
cat "$parts"/archive.tar.br.* |
  ./node -e 'process.stdin.pipe(require("node:zlib").createBrotliDecompress()).pipe(process.stdout)' |
  tar -xf -
echo "Unpacked. Next: ./node dist/test/gpu/check/main.js"
