# Who came last is to blame, but never who is there already.
apply shop Container/a {image: nginx, ports: [{port: 80, hostPort: 80}]}
apply shop Container/b {image: nginx, ports: [{port: 80, hostPort: 80}]}
apply shop Container/c {image: nginx, ports: [{port: 80, hostPort: 81}]}
judge
# The elder changes to what the younger has.
apply shop Container/a {image: nginx, ports: [{port: 80, hostPort: 81}]}
judge
# The port is free again, and who waited gets it.
apply shop Container/c {image: nginx}
judge
# b gives way to a, and so c needn't to b.
apply shop Container/b {image: nginx, ports: [{port: 80, hostPort: 81}, {port: 81, hostPort: 82}]}
apply shop Container/c {image: nginx, ports: [{port: 80, hostPort: 82}]}
judge
# Cycles.
apply shop Container/a {image: nginx, dependsOn: [{unit: Container/c}]}
judge
apply shop Container/c {image: nginx, dependsOn: [{unit: Container/a}]}
judge
# Writers.
apply shop Volume/data {}
apply shop Container/w1 {image: nginx, volumes: [{volume: data, mountPath: /data}]}
apply shop Container/w2 {image: nginx, volumes: [{volume: data, mountPath: /data}]}
judge
