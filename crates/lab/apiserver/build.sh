#!/usr/bin/env bash
# Prints a folder with `kube-apiserver`, `etcd` and `kubectl`; the first time it makes it, which takes minutes.
#
# Where KUBEBUILDER_ASSETS names a folder with stock ones, it is that. Otherwise the server is built from this folder's sources and
# the upstream libraries that Debian packages, and the two others are Debian's. Packages are fetched as the machine's apt is set up
# and unpacked into the cache; nothing is installed. The cache is ABIDE_APISERVER_CACHE, or below XDG_CACHE_HOME or ~/.cache. What is
# in it is named by a hash of what it is made from. ABIDE_APISERVER_KEEP=1 keeps what a build leaves, so that the next is quick.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=${ABIDE_APISERVER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/abide/apiserver}
suite=${ABIDE_APISERVER_SUITE:-sid}
work=$cache/work
say() { echo "apiserver: $*" >&2; }

if [ "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in kube-apiserver etcd kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$program" ] || { say "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, where there is no $program"; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit
fi
made=$cache/$(cat "$here"/*.go "$here/packages.txt" "$here/build.sh" | sha256sum | cut -c1-16)
# Used now, so not old.
if [ -d "$made" ]; then touch "$made"; echo "$made"; exit; fi

# apt with lists and packages of its own, of the suite that has the libraries, from where the machine gets Debian.
configure_apt() {
  local archive
  # shellcheck disable=SC2016  # these are apt's
  archive=$(apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(REPO_URI)' | awk -F'|' '$1 == "Packages" && $2 == "Debian" && $3 == "Debian" && !n++ {print $4}')
  # It tells only what `apt-get update` has been run for.
  [ "$archive" ] || archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed '/^#/d' | grep -oE '[a-z+]+:/[^ ]*/debian/?( |$)' | sort -u | head -n1)
  [ "$archive" ] || { say "apt of this machine isn't set up for Debian, whose packages this is built from"; exit 1; }
  mkdir -p "$work"/apt/{lists/partial,archives/partial} "$work/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive% } $suite main" >"$work/apt/sources.list"
  cat >"$work/apt/apt.conf" <<END
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$work/apt/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/apt";
Acquire::Retries "5";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
END
  export APT_CONFIG=$work/apt/apt.conf
}

# Networks fail now and then.
persistently() {
  local attempt
  for attempt in 1 2 3; do
    "$@" && return
    say "attempt $attempt failed: $*"
    sleep "$attempt"
  done
  return 1
}

# Fetches packages, where they aren't yet, and unpacks them.
fetch() {
  (cd "$work/debs" && persistently apt-get -qq download "$@") || return
  local package
  for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root" || return; done
}

# Has in the work folder what `go build` needs, or fails.
prepare() {
  local code=$work/go/src/apiserver
  rm -rf "$work/new" "$code" && mkdir -p "$work/new" "$code/schemas" && cp "$here"/*.go "$code" && cd "$code" || return
  echo 'package schemas' >schemas/doc.go
  # What `kubectl explain`, strict validation and server-side apply know of the core types.
  "$work/root/usr/bin/openapi-gen" --go-header-file /dev/null --output-dir schemas --output-pkg apiserver/schemas --output-file schemas.go -r /dev/null \
    k8s.io/api/{core,coordination,events,rbac,apps,authorization,authentication,admissionregistration}/v1 \
    k8s.io/apimachinery/pkg/{apis/meta/v1,runtime,version,api/resource,util/intstr} k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1 &&
    go list -deps apiserver >/dev/null
}

compile() {
  local version unformatted v=k8s.io/component-base/version
  unformatted=$(gofmt -l "$here"/*.go)
  if [ "$unformatted" ]; then say "not as gofmt has it: $unformatted"; exit 1; fi
  version=$(printf '%s\n' "$work"/debs/golang-k8s-apiserver-dev_0.*.deb | sed -E 's/.*_0\.([0-9.]+).*/1.\1/' | sort -V | tail -n1)
  cd "$work/go/src/apiserver"
  go build -o "$work/new/kube-apiserver" -ldflags "-s -w -X $v.gitVersion=v$version+abide -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<<"$version")" apiserver
  cp "$work"/root/usr/bin/{etcd,kubectl} "$work/new"
  say "this is $version"
}

# Who comes second waits here, and finds it done. A build that was killed holds the lock until its last process is gone.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "waiting for somebody else, who builds it"; flock 9; }
[ ! -d "$made" ] || { echo "$made"; exit; }
[ "${ABIDE_APISERVER_KEEP:-}" ] || rm -rf "$work"
say "building for the first time; this takes some minutes"
began=$SECONDS
{
  configure_apt
  persistently apt-get -qq update
  # The Go that the libraries are known to build with, or the suite's own.
  go=golang-1.26
  apt-cache show $go-go >/dev/null 2>&1 || go=$(apt-cache depends golang-go | sed -nE 's/.*Depends: (golang-1.*)-go$/\1/p')
  programs=("$go-go" "$go-src" etcd-server kube-openapi kubectl)
  export GOROOT=$work/root/usr/lib/go-${go#golang-} GO111MODULE=off GOPATH=$work/go:$work/root/usr/share/gocode
  export GOCACHE=$work/gocache CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='' GOPROXY=off PATH=$GOROOT/bin:$PATH
  mapfile -t libraries <"$here/packages.txt"
  if ! (fetch "${programs[@]}" "${libraries[@]}" && prepare); then
    # The suite has moved on: all that the libraries say they need, which is four times as much.
    say "packages.txt isn't all that is needed any more; fetching everything"
    mapfile -t libraries < <(apt-get install -s --no-install-recommends golang-k8s-{apiextensions-apiserver,apiserver,component-base,kube-openapi,client-go}-dev | awk '/^Inst golang-.*-dev /{print $2}')
    fetch "${programs[@]}" "${libraries[@]}"
    (prepare)
  fi
  say "fetched $(du -sh "$work/debs" | cut -f1) in $((SECONDS - began)) s"
  (compile)
} >&2
mv "$work/new" "$made"
[ "${ABIDE_APISERVER_KEEP:-}" ] || rm -rf "$work"
# Of other versions of this, those that nobody has used for a month.
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
say "built in $((SECONDS - began)) s"
echo "$made"
