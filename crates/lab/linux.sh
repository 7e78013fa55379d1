#!/usr/bin/env bash
# Runs a command as root in a small Linux of its own: cgroup v2 with every controller, overlayfs, nftables, and a /dev/kvm that
# runs unmodified guests, all in software.
#
#   linux.sh [-m MIB] [-t SECONDS] [-p FILE_OR_FOLDER]... -- COMMAND [ARGUMENT]...
#   linux.sh -k                     prints the folder of its kernel: boot/vmlinuz-*, lib/modules/*
#
# What the command prints is printed, and its exit status is ours; 125 means that there was none. Each -p is in /payload, where
# the command starts, by its base name. It has busybox and no libraries: programs have to be static. LINUX_VERBOSE=1 shows what the
# kernel says.
#
#   qemu (TCG, an AMD processor with SVM) ── Debian's cloud kernel, from its package, not installed
#                                         ├─ initramfs: busybox, the kernel's modules, the payload, init
#                                         └─ serial lines: console, output of the command, its status
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=$(realpath -m "${CARGO_TARGET_DIR:-$here/../../target}")/linux
memory=1024 seconds=300 payload=() just_kernel=

die() {
  echo "linux.sh: $*" >&2
  exit 125
}

while getopts m:t:p:k option; do
  case $option in
    m) memory=$OPTARG ;;
    t) seconds=$OPTARG ;;
    p) payload+=("$(realpath -e "$OPTARG")") ;;
    k) just_kernel=yes ;;
    *) exit 125 ;;
  esac
done
shift $((OPTIND - 1))
[ "${1:-}" != -- ] || shift
[ "$just_kernel" ] || [ $# -gt 0 ] || die "no command"
command -v qemu-system-x86_64 >/dev/null || die "qemu-system-x86_64 is missing: apt-get install qemu-system-x86"
busybox=$(command -v busybox) || die "busybox is missing: apt-get install busybox-static"

# Takes the kernel's package apart, once; others that want it at the same time wait.
kernel() (
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  [ ! -e "$cache/kernel" ] || return 0
  name=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
  [ "$name" ] || die "apt knows no linux-image-cloud-amd64: apt-get update"
  rm -rf "$cache/new"
  mkdir "$cache/new"
  cd "$cache/new"
  apt-get -qq -o APT::Sandbox::User=root download "$name"
  dpkg -x ./*.deb .
  rm ./*.deb
  "$busybox" depmod -b . "$(basename lib/modules/*)"
  mv "$cache/new" "$cache/kernel"
)

# The files of these modules and of what they need, in the order to load them. modules.dep lists what a module needs last first.
modules() { # FOLDER NAME...
  awk -v names="${*:2}" -F: '
    { needs[$1] = $2; name = $1; sub(/.*\//, "", name); sub(/\.ko.*/, "", name); gsub(/-/, "_", name); file[name] = $1 }
    function add(path,   list, count) {
      if (path in done) return
      done[path] = 1
      for (count = split(needs[path], list, " "); count > 0; count--) add(list[count])
      print path
    }
    END {
      count = split(names, wanted, " ")
      for (i = 1; i <= count; i++) { gsub(/-/, "_", wanted[i]); if (wanted[i] in file) add(file[wanted[i]]) }
    }' "$1/modules.dep"
}

kernel
if [ "$just_kernel" ]; then
  echo "$cache/kernel"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,payload,proc,sys,dev,tmp,run,etc,var,root,modules}
cp "$busybox" "$root/bin/busybox"
source=$(echo "$cache"/kernel/lib/modules/*)
number=100
while read -r path; do
  cp "$source/$path" "$root/modules/$number-$(basename "$path")"
  number=$((number + 1))
done < <(modules "$source" kvm-amd overlay bridge veth tun nf_tables nft_chain_nat nft_masq nft_nat nft_fib_inet nft_ct \
  nft_redir nf_conntrack_netlink erofs loop virtio_pci virtio_mmio virtio_blk virtio_net virtio-rng button evdev)
for path in ${payload[@]+"${payload[@]}"}; do
  cp -a "$path" "$root/payload/"
done
printf '%q ' "$@" >"$root/command"
cp "$here/linux-init" "$root/init"
(cd "$root" && find . | "$busybox" cpio -o -H newc 2>/dev/null) >"$work/initramfs"

quiet=quiet
[ -z "${LINUX_VERBOSE:-}" ] || quiet=loglevel=7
said() { tail -n 40 "$work/console" "$work/qemu" 2>/dev/null; }
# Three things of qemu 7.2's are to be known when unmodified guests run in a Linux that it emulates.
# - It lets a guest set XCR0 without telling KVM, which then saves too little of its registers: so there is no XSAVE.
# - While it translates code for one processor, another may change that code, and the old translation stays. Linux changes its
#   own code at every static key, one of which KVM turns when it makes a machine: this Linux or the guest then hangs in a
#   breakpoint that was taken out long ago, or crashes. So there is one processor; a guest has as many as it likes.
# - It loses an interrupt that comes just while it enters a guest with another one pending (helper_vmrun changes
#   interrupt_request without the lock), until the next one comes. If that was the timer's, none comes: so a byte comes by
#   the serial line now and then. It is the one that erases, as no terminal echoes that where there is nothing to erase.
# And two of Linux's, where the host is busy: it measures its TSC by too slow a clock, and time then flies, so time is not the
# TSC's; and it takes a timer that comes late for one that is broken, and panics, so it is not to look.
beat() { while sleep 0.2 && printf '\177'; do :; done 2>/dev/null; }
ended=0
timeout "$seconds" qemu-system-x86_64 -accel tcg -cpu EPYC,+svm,-xsave,-avx -smp 1 -m "$memory" -nodefaults -no-reboot \
  -display none -kernel "$cache"/kernel/boot/vmlinuz-* -initrd "$work/initramfs" \
  -append "console=ttyS0 panic=-1 tsc=unstable no_timer_check $quiet" \
  -serial "file:$work/console" -serial stdio -serial "file:$work/status" < <(beat) 2>"$work/qemu" || ended=$?
case $ended in
  0) ;;
  124) die "the command took more than $seconds s, or the small Linux hangs: $(said)" ;;
  *) die "qemu ended with $ended: $(said)" ;;
esac
[ -z "${LINUX_VERBOSE:-}" ] || cat "$work/console" >&2
status=$(tr -dc 0-9 <"$work/status")
[ "$status" ] || die "the small Linux itself crashed, and the command with it: $(said)"
exit "$status"
