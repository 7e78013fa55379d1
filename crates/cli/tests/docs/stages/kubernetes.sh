# shellcheck shell=bash disable=SC2154
# A cluster with one node, `n1`, which is this machine. Its API server is there already: CLUSTER is an admin's kubeconfig, and
# KUBECTL the program. What a kubelet would do for abide's own pods is done by `kubelet`. On the node: a kernel in /srv/kernels,
# and a registry that it trusts.

checkout
mkdir -p /root/.kube
cp "$CLUSTER" /root/.kube/config
ln -s "$STAGES/kubectl" /usr/local/bin/kubectl
mkdir -p /srv/kernels
cp "$PROPS/images/guest" /srv/kernels/guest
start_registry
skopeo --insecure-policy copy -q "oci:$PROPS/images/web" docker://registry.example.org/shop/web:1.5
kubectl create -f - << END
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {kubernetes.io/hostname: n1, kubernetes.io/os: linux, disk: ssd}}}
END
"$STAGES/kubelet" &
