#!/usr/bin/env bash
# Everything that must hold before a change lands, and nothing of it is skipped: whatever lacks a right or a program fails.
# Installs what it needs on a fresh Debian machine with Rust; run it as root.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
[ "$(id -u)" = 0 ] || { echo "test.sh: namespaces, mounts and links need root" >&2; exit 1; }

# Nothing here is compiled a second time with a few lines changed.
export CARGO_INCREMENTAL=0

began=$SECONDS
undo=:
trap 'eval "$undo"' EXIT
say() { printf '\n== %4d s: %s\n' $((SECONDS - began)) "$*"; }

# Peers to test with, and material for images. Servers among them are not to be started.
packages="age buildah busybox-static curl docker-registry fcgiwrap gcc git iproute2 libc6-dev musl-tools nftables nginx
  jq lua5.1 openssh-server openssl postgresql procps qemu-system-x86 runc shellcheck skopeo systemd"
missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ "$missing" ] || ! apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1; then
  say "installing$missing"
  apt-get update -qq
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    undo="$undo; rm -f /usr/sbin/policy-rc.d"
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
  fi
  # shellcheck disable=SC2086  # one word a package
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
rustup target add x86_64-unknown-linux-musl x86_64-unknown-none

say "format"
cargo fmt --all --check
(cd crates/guest && cargo fmt --check)
shellcheck .ci/run crates/lab/*.sh crates/lab/apiserver/build.sh crates/lab/linux-init crates/lab/scenarios/*.sh crates/cli/tests/docs/*.sh crates/cli/tests/docs/stages/*

say "the Kubernetes API server, from the cache or built into it"
crates/lab/apiserver/build.sh

# Each build has times when one crate is all that can be compiled. So there are two at once, in folders of their own.
say "lint, and the build of the tests; beside them the release: one static binary"
static=x86_64-unknown-linux-musl
released=$(mktemp)
cargo build --locked --release --target $static -p abide-cli -p abide-lab --bin abide --bin abide-lab >"$released" 2>&1 &
release_build=$!
undo="$undo; [ -z \"\$release_build\" ] || kill \"\$release_build\" 2>/dev/null || :; rm -f $released"
cargo clippy --locked --workspace --all-targets -- -D warnings
(cd crates/guest && cargo clippy --locked --target-dir "${CARGO_TARGET_DIR:-../../target}/abide-guest" -- -D warnings)
say "the build of the tests"
cargo test --locked --workspace --no-run
say "the rest of the release"
wait $release_build || { cat "$released" >&2; echo "test.sh: failed: the release" >&2; exit 1; }
release_build=
cat "$released"
release=$(realpath "${CARGO_TARGET_DIR:-target}")/$static/release

say "the quickstart"
ABIDE_RELEASE=$release crates/lab/quickstart.sh

say "tests: unit, and end to end with the release; beside them the simulation"
# End-to-end tests wait most of their time, so there are more of them at once than processors. And the simulation computes all
# of it. It is built with all the rest, so that nothing is built twice.
is_simulation='select(.profile.test? and (.target.src_path | contains("/crates/sim/"))) | .executable'
simulations=$(cargo test -q --locked --workspace --no-run --message-format json | jq -r "$is_simulation")
[ "$simulations" ]
simulated=$(mktemp)
(for simulation in $simulations; do (cd crates/sim && nice -n 19 "$simulation"); done) >"$simulated" 2>&1 &
undo="$undo; pkill -P $! || :"
failed=""
RUST_TEST_THREADS=$((2 * $(nproc))) ABIDE_BIN=$release/abide \
  cargo test --locked --workspace --exclude abide-sim --no-fail-fast || failed="end to end"
wait $! || failed="$failed simulation"
cat "$simulated"
rm "$simulated"
[ -z "$failed" ] || { echo "test.sh: failed: $failed" >&2; exit 1; }

say "every deliberate mistake of the core is caught"
cargo run --locked -q -p abide-sim --features mutants -- --mutants 500

say "a small Linux: cgroup v2, and stock guests"
for scenario in crates/lab/scenarios/*.sh; do
  say "$scenario"
  "$scenario" "$release/abide"
done

say "all of it passed, and nothing was skipped"
