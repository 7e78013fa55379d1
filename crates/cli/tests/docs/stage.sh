# shellcheck shell=bash
# What is there before a page begins: a machine of its own, on which the agent runs. Run by `play.rs`, as the first process
# of namespaces of its own: nothing of this is seen outside, and all of it ends with this script.
#
# Given: ABIDE, the program; CHECKOUT, the repository; PROPS, what pages name and don't show; WORK, the page's script.

# The machine's folders as they are, but what is changed there is seen by nobody else.
mkdir "$WORK/machine"
mount -t tmpfs machine "$WORK/machine"
for folder in /etc /root /srv /usr/local /var/lib; do
  at="$WORK/machine$folder"
  mkdir -p "$at/upper" "$at/work"
  mount -t overlay machine -o "lowerdir=$folder,upperdir=$at/upper,workdir=$at/work" "$folder"
done
mount -t tmpfs run /run
# No layer over another one's upper folder: the kernel refuses that.
mkdir -p /var/lib/abide
mount -t tmpfs state /var/lib/abide

hostname machine
ip link set lo up
ip link add lan type bridge
ip address add 192.0.2.10/24 dev lan
ip link set lan up
printf '127.0.0.1 localhost git.example.org\n192.0.2.10 machine\n' > /etc/hosts

export HOME=/root PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
unset XDG_CONFIG_HOME
export GIT_CONFIG_GLOBAL=/root/.gitconfig
git config --global user.name "Somebody"
git config --global user.email somebody@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false

ln -sf "$ABIDE" /usr/local/bin/abide
ln -sf "$STAGES/systemctl" /usr/local/bin/systemctl

# Writes a document that the page shows, and beside it, at the top of its folder, what documents name.
place() {
  mkdir -p "$(dirname "/root/page/$2")"
  case $2 in
    /*) mkdir -p "$(dirname "$2")" && cp "$1" "$2" ;;
    *)
      cp "$1" "/root/page/$2"
      [ -e "/root/page/${2%%/*}/images" ] || cp -r "$PROPS/images" "/root/page/${2%%/*}/images"
      ;;
  esac
}

# check EXIT-CODE SOURCE FOLDER: a folder of documents is valid, or isn't. SOURCE may be empty.
check() {
  local code=0
  (cd /root/page && abide validate ${2:+--source "$2"} "$3") > "$WORK/out/check" 2>&1 || code=$?
  [ "$code" = "$1" ] || { echo "abide validate $3 exits with $code"; cat "$WORK/out/check"; exit 1; }
}

# judge EXIT-CODE FILE: the API server takes documents, or doesn't.
judge() {
  local code=0
  (cd /root/page && kubectl apply --dry-run=server -f "$2") > "$WORK/out/judge" 2>&1 || code=$?
  [ "$code" = "$1" ] || { echo "kubectl apply --dry-run=server -f $2 exits with $code"; cat "$WORK/out/judge"; exit 1; }
}

# Control groups alone are shared with all others.
clear_away() {
  set +x
  local tag
  tag=$(sed -n 's/.*"id":"\(......\).*/\1/p' /var/lib/abide/root.json 2> /dev/null || true)
  kill -KILL -1 2> /dev/null || true
  [ -n "$tag" ] || return 0
  # What was killed may take a moment to be gone.
  shopt -s nullglob
  for _ in $(seq 50); do
    set -- /sys/fs/cgroup/abide-"$tag"* /sys/fs/cgroup/*/abide-"$tag"*
    [ $# -gt 0 ] || return 0
    for group; do rmdir "$group"/*/ "$group" 2> /dev/null || true; done
    sleep 0.1
  done
}
trap clear_away EXIT

# A checkout that was built, where the page is.
checkout() {
  mkdir -p target/release
  ln -s "$ABIDE" target/release/abide
  ln -s "$CHECKOUT/deploy" deploy
}

start_agent() {
  install -m 0644 "$CHECKOUT/deploy/systemd/abide.service" /etc/systemd/system/abide.service
  systemctl start abide
  until [ -S /run/abide/agent.sock ]; do sleep 0.02; done
}

# start_registry SETTING: a registry that this machine trusts.
start_registry() {
  local registry=$WORK/registry
  mkdir "$registry"
  openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=registry.example.org \
    -addext subjectAltName=DNS:registry.example.org -addext basicConstraints=critical,CA:FALSE \
    -keyout "$registry/key.pem" -out "$registry/cert.pem" 2> /dev/null
  cat "$registry/cert.pem" >> /etc/ssl/certs/ca-certificates.crt
  echo '127.0.0.1 registry.example.org' >> /etc/hosts
  cat > "$registry/config.yml" << END
version: 0.1
storage: {filesystem: {rootdirectory: $registry/data}}
http: {addr: "127.0.0.1:443", tls: {certificate: $registry/cert.pem, key: $registry/key.pem}}
${1:-}
END
  OTEL_TRACES_EXPORTER=none docker-registry serve "$registry/config.yml" > "$registry/log" 2>&1 &
  until (: > /dev/tcp/127.0.0.1/443) 2> /dev/null; do sleep 0.05; done
}

mkdir -p /root/page
cd /root/page || exit
# shellcheck source=/dev/null
if [ -e "$STAGES/$NAME.sh" ]; then . "$STAGES/$NAME.sh"; else start_agent; fi
# Where it stopped, if it does.
exec 9> "$WORK/out/trace"
BASH_XTRACEFD=9
set -x
# shellcheck source=/dev/null
. "$WORK/script"
