# A host has each port once, whatever the namespace; names are each namespace's own.
apply one Container/web {image: nginx, ports: [{port: 80, hostPort: 80}]}
apply two Container/web {image: nginx, ports: [{port: 80, hostPort: 80}]}
judge
apply one Container/web {image: nginx, ports: [{port: 80, hostPort: 8080}]}
judge
apply one Container/web {image: nginx, ports: [{port: 80, hostPort: 80}]}
judge
delete two Container/web
judge
vanish two Container/web
judge
