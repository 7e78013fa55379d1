#!/bin/sh
# cgroup v2, which most users have: limits and device rules are in force, what is killed heals, and nothing is left over.
#   cgroup-v2.sh ABIDE      a static binary, with abide-lab beside it
set -eu

if [ "${1:-}" != inside ]; then
  binary=$(realpath "$1")
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/infra"
  "$(dirname "$binary")/abide-lab" "$work/infra" hello busybox
  cat >"$work/infra/documents.yaml" <<'YAML'
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: hello}
spec:
  image: oci:images/hello
  ports: [{port: 8080, hostPort: 8080}]
  readiness: {http: {port: 8080}}
---
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: box}
spec:
  image: oci:images/busybox
  # A shell, as it also waits for children of others that are left to it.
  command: [/bin/sh, -c, "while :; do sleep 1; done"]
  resources: {memory: 32Mi, cpu: 500m, pids: 16}
  security: {capabilitiesAdd: [MKNOD]}
  stopGracePeriod: 1s
YAML
  cat >"$work/source.yaml" <<'YAML'
apiVersion: abide.dev/v1alpha1
kind: Source
metadata: {name: infra}
spec: {git: {url: /payload/infra}, grants: {privileged: true}}
YAML
  "$(dirname "$0")/../linux.sh" -p "$binary" -p "$work/infra" -p "$work/source.yaml" -p "$0" -- sh "$(basename "$0")" inside
  exit
fi

fail() {
  echo "cgroup-v2: $*"
  cat /tmp/agent.log
  abide get || true
  exit 1
}
is() { # WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || fail "$1 is '$3' instead of '$2'"
  echo "$1: $3"
}
pid() { abide get "Container/$1" -o json | sed -n 's/.*"pid": \([0-9]*\).*/\1/p'; }
count() { sed -n "s/^$2 //p" "$group/$1"; }

export ABIDE_ROOT=/var/root
mkdir /var/root
links=$(ls /sys/class/net)
abide agent >/tmp/agent.log 2>&1 &
agent=$!
until [ -S /var/root/run/agent.sock ]; do sleep 0.1; done
abide apply /payload/infra --source /payload/source.yaml || fail "it does not settle"
wget -qO- http://127.0.0.1:8080/ || fail "the container does not answer"

box=$(pid box)
group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$box/cgroup")
is memory.max 33554432 "$(cat "$group/memory.max")"
is cpu.max "50000 100000" "$(cat "$group/cpu.max")"
is pids.max 16 "$(cat "$group/pids.max")"

# Each limit is run into.
# shellcheck disable=SC2016  # the shell inside expands it
abide exec box -- sh -c 'for n in $(seq 40); do sleep 1 & done; wait' 2>/dev/null || true
[ "$(count pids.events max)" -gt 0 ] || fail "40 processes fit into 16"
until [ "$(cat "$group/pids.current")" -lt 4 ]; do sleep 0.1; done
abide exec box -- timeout 2 sh -c 'while :; do :; done' || true
[ "$(count cpu.stat nr_throttled)" -gt 0 ] || fail "half a processor is not held"
# Only below /dev do devices work at all.
for device in "c 1 3 works" "c 1 11 refused"; do
  # shellcheck disable=SC2086  # mknod's words
  set -- $device
  if abide exec box -- sh -c "mknod /dev/$1-$3 $1 $2 $3 && head -c 1 /dev/$1-$3 >/dev/null"; then found=works; else found=refused; fi
  is "device $1 $2:$3" "$4" "$found"
done
abide exec box -- sh -c 'head -c 64m /dev/zero | tail -c 60m | wc -c' || true
# The whole container goes when its memory is full, and then this group is gone as well.
[ ! -e "$group" ] || [ "$(count memory.events oom_kill)" -gt 0 ] || fail "60 MiB fit into 32"

hello=$(pid hello)
kill -9 "$hello"
until again=$(pid hello) && [ "$again" ] && [ "$again" != "$hello" ]; do sleep 0.1; done
until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done
echo "healed after a kill"

abide down || fail "it does not go down"
kill "$agent"
wait "$agent"
is "links" "$links" "$(ls /sys/class/net)"
is "control groups" "" "$(find /sys/fs/cgroup -name '*abide*')"
is "mounts" "" "$(grep /var/root /proc/mounts || true)"
# shellcheck disable=SC2009  # busybox has no pgrep here
is "processes" "" "$(ps -o args | grep '[/]var/root' || true)"
