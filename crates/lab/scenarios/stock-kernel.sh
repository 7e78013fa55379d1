#!/bin/sh
# Debian's stock cloud kernel, from its bzImage, as a virtual machine of ours: it finds every device by itself, its disk lasts,
# its published port answers, it hears the power button, and nothing is left over.
#   stock-kernel.sh ABIDE      a static binary
set -eu

if [ "${1:-}" != inside ]; then
  binary=$(realpath "$1")
  here=$(dirname "$(realpath "$0")")
  linux=$here/../linux.sh
  exec "$linux" -m 1536 -t 1000 -p "$binary" -p "$("$linux" -k)/boot" -p "$0" -p "$here/stock-kernel" -- \
    sh "$(basename "$0")" inside
fi

fail() {
  echo "stock-kernel: $*"
  cat /tmp/agent.log
  abide get || true
  cat /var/root/state/log/*/*.log || true
  exit 1
}
# A guest that hangs is shown, before the small Linux with all that it knows is ended for taking too long.
apply() { timeout 400 abide apply /tmp/infra --source /tmp/source.yaml || fail "$1"; }
# Nothing of the emulator's is known that crashes a guest, so that the agent started it again is no excuse.
lives() { ! grep "the guest crashed" /var/root/state/log/*/*.log || fail "the guest crashed, and was started again"; }
said() { grep -q "stock: $1" /var/root/state/log/infra_VirtualMachine_stock_0/*.log || fail "the guest does not say '$1'"; }

# The guest's own small Linux: busybox, the modules for what it is to find, and its first process.
guest=/tmp/guest
mkdir -p $guest/bin $guest/modules /tmp/infra /var/root
cp /bin/busybox $guest/bin
cp stock-kernel/init $guest/init
for module in virtio virtio_ring virtio_mmio virtio_blk failover net_failover virtio_net virtio-rng button evdev; do
  cp /modules/*-$module.ko $guest/modules
done
(cd $guest && find . | cpio -o -H newc) >/tmp/initrd 2>/dev/null

cat >/tmp/infra/documents.yaml <<YAML
apiVersion: abide.dev/v1alpha1
kind: VirtualMachine
metadata: {name: stock}
spec:
  boot:
    kernel: {hostPath: $(echo /payload/boot/vmlinuz-*)}
    initrd: {hostPath: /tmp/initrd}
    cmdline: console=ttyS0 panic=-1
  resources: {cpu: 2, memory: 256Mi}
  disks: [{volume: stock}]
  ports: [{port: 80, hostPort: 8080}]
  readiness: {http: {port: 80, path: /index.html}, startPeriod: 300s}
  stopGracePeriod: 60s
---
apiVersion: abide.dev/v1alpha1
kind: Volume
metadata: {name: stock}
spec: {form: Disk, size: 16Mi}
YAML
cat >/tmp/source.yaml <<'YAML'
apiVersion: abide.dev/v1alpha1
kind: Source
metadata: {name: infra}
spec: {git: {url: /tmp/infra}, grants: {hostPaths: [/payload/boot, /tmp/initrd]}}
YAML

export ABIDE_ROOT=/var/root
links=$(ls /sys/class/net)
abide agent >/tmp/agent.log 2>&1 &
agent=$!
until [ -S /var/root/run/agent.sock ]; do sleep 0.1; done
apply "it does not settle"
lives
said "2 processors"
said "randomness from virtio_rng"
said "the gateway answers"
said "boot 1"
wget -qO- http://127.0.0.1:8080/ | grep "hello from stock" || fail "the published port does not answer"

# Another instance has the disk of the one before.
sed -i 's/panic=-1/panic=-1 again/' /tmp/infra/documents.yaml
apply "it does not settle again"
lives
said "power button"
said "boot 2"

timeout 60 abide down || fail "it can't be stopped"
kill $agent
wait $agent || fail "the agent ends with $?"
[ "$(ls /sys/class/net)" = "$links" ] || fail "links are left: $(ls /sys/class/net)"
for process in /proc/[0-9]*/cmdline; do
  case $(tr '\0' ' ' <"$process" 2>/dev/null) in *" vmm "*) fail "a monitor is left" ;; *) ;; esac
done
echo "stock-kernel: a stock kernel boots, serves, keeps its disk and hears the power button"
