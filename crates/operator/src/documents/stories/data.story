# ConfigMaps and Secrets are the cluster's own.
apply shop Container/web {image: nginx, env: {A: {configMap: web, key: a}, B: {secret: web, key: b}}}
apply shop Container/other {image: nginx}
judge
config shop web {a: "1", unused: "x\u0085y"}
secret shop web {b: "2"}
judge
config shop web {a: "3"}
judge
config shop web {c: "3"}
judge
absent shop ConfigMap/web
judge
config shop web {a: "4"}
forbidden shop Secret/web
judge
secret shop web {b: "5"}
judge
# One that needs who waits, waits.
apply shop Container/front {image: nginx, dependsOn: [{unit: Container/new}]}
apply shop Container/new {image: nginx, volumes: [{configMap: more, mountPath: /etc/more}]}
judge
absent shop ConfigMap/more
judge
config shop more {conf: "key = value"}
judge
