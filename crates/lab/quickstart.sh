#!/usr/bin/env bash
# Builds abide and shows its main job: a repository is made from examples/quickstart and pushed to, and a container and a
# virtual machine come up. Runs on a fresh Debian machine with Rust, as root; everything it makes is gone at its end.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
[ "$(id -u)" = 0 ] || { echo "quickstart.sh: containers and virtual machines need root" >&2; exit 1; }

say() { printf '\n== %s\n' "$*"; }
# Shows a command, and runs it.
show() {
  echo "\$ $*"
  "$@"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

if ! command -v git >/dev/null || ! command -v cc >/dev/null; then
  say "installing git and a C compiler"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends git gcc libc6-dev >/dev/null
fi
# The container's program and the keeper are static, the machine's kernel is bare metal.
rustup target add x86_64-unknown-linux-musl x86_64-unknown-none

# `test.sh` has built it already, and says where.
release=${ABIDE_RELEASE:-}
if [ -z "$release" ]; then
  say "building abide, and what will run"
  cargo build --locked --release -p abide-cli -p abide-lab
  release=$(realpath "${CARGO_TARGET_DIR:-target}")/release
fi
folder=$(mktemp -d /tmp/abide-quickstart-XXXXXX)
mkdir "$folder/bin" "$folder/infra"
ln -s "$release/abide" "$folder/bin/abide"
cp examples/quickstart/*.yaml "$folder/infra"
"$release/abide-lab" "$folder/infra" hello guest

# A root of its own: what this machine runs otherwise isn't touched.
export PATH=$folder/bin:$PATH ABIDE_ROOT=$folder/root
export GIT_AUTHOR_NAME=quickstart GIT_AUTHOR_EMAIL=root@localhost GIT_COMMITTER_NAME=quickstart GIT_COMMITTER_EMAIL=root@localhost
agent=
clean_up() {
  status=$?
  trap - EXIT
  say "cleaning up"
  [ ! -d "$ABIDE_ROOT" ] || show abide down || status=1
  if [ "$agent" ]; then
    kill "$agent"
    wait "$agent" || true
  fi
  [ "$status" = 0 ] || cat "$folder/agent.log" >&2
  rm -rf "$folder"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

published() { sed -n 's/.*hostPort: \([0-9]*\).*/\1/p' "$folder"/infra/*.yaml; }
# Moves each published port that somebody else has here.
next=8090
for port in $(published); do
  free=$port
  while (: >"/dev/tcp/127.0.0.1/$free") 2>/dev/null; do
    free=$next
    next=$((next + 1))
  done
  [ "$free" = "$port" ] || echo "port $port is taken here: $free instead"
  sed -i "s/hostPort: $port/hostPort: $free/" "$folder"/infra/*.yaml
done

# One request by HTTP, in a shell alone. A machine that is still starting may lose one, so it is asked again.
request() {
  for _ in $(seq 10); do
    # shellcheck disable=SC2016  # the inner shell has the port
    if timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' request "$1" \
      | tr -d '\r' | sed '1,/^$/d' | grep .; then
      return 0
    fi
  done
  echo "nothing answers on port $1" >&2
  return 1
}

say "an agent, and a repository that deploys what is pushed to it"
mkdir "$ABIDE_ROOT"
echo "\$ abide agent &"
abide agent >"$folder/agent.log" 2>&1 &
agent=$!
for _ in $(seq 500); do
  [ ! -S "$ABIDE_ROOT/run/agent.sock" ] || break
  sleep 0.01
done
show abide init "$folder/infra.git"

say "git push"
cd "$folder/infra"
git init -q -b main
git add .
git commit -q -m "A container and a virtual machine"
began=$(milliseconds)
show git push "$folder/infra.git" main
commit=$(git rev-parse HEAD)
abide follow "$commit" >/dev/null
echo "from the push until all runs: $(($(milliseconds) - began)) ms"

say "what runs"
show abide get
for port in $(published); do
  echo "\$ curl http://127.0.0.1:$port/"
  request "$port"
done
