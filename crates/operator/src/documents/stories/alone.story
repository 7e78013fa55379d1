# A broken object is no other's trouble, and keeps what it was.
create shop Container/web {image: nginx, env: {A: {value: "1"}}}
create shop Container/typo {imagee: nginx}
judge
finalize shop Container/web
judge
apply shop Container/web {image: nginx, env: {A: {vale: "2"}}}
apply shop Container/other {image: redis, resources: {cpu: 1.5}, readOnlyRoot: maybe}
judge
apply shop Container/web {image: nginx, env: {A: {value: "3"}}}
judge
# No repository is here, and no file of it.
apply shop VirtualMachine/vm {boot: {kernel: {file: kernels/guest}}}
apply shop Container/local {image: "oci:Container/web.yaml"}
apply shop Container/host {image: nginx, volumes: [{hostPath: /etc, mountPath: /host}]}
judge
