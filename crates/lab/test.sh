#!/bin/sh
# Everything that must hold before a change lands. Installs what it needs on a fresh Debian machine with Rust; run it as root.
set -eu
cd "$(dirname "$0")/../.."

# name of a program : Debian's package that has it
needs="busybox:busybox-static fcgiwrap:fcgiwrap git:git musl-gcc:musl-tools nginx:nginx openssl:openssl docker-registry:docker-registry skopeo:skopeo nft:nftables buildah:buildah pg_ctlcluster:postgresql"
missing=""
for need in $needs; do
  command -v "${need%%:*}" >/dev/null 2>&1 || missing="$missing ${need#*:}"
done
if [ -n "$missing" ]; then
  echo "== installing$missing"
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

rustup target add -q x86_64-unknown-linux-musl x86_64-unknown-none 2>/dev/null || rustup target add x86_64-unknown-linux-musl x86_64-unknown-none

echo "== format"
cargo fmt --all --check
echo "== lint"
cargo clippy --locked --workspace --all-targets -- -D warnings
echo "== tests: unit, simulation, end to end"
cargo test --locked --workspace
echo "== nothing was skipped"
