# Who needs what is mistaken can't be had either, and keeps what it was with what that needs.
apply shop Volume/disk {form: Disk}
apply shop VirtualMachine/db {boot: {kernel: {hostPath: /srv/kernel}}, disks: [{volume: disk}]}
apply shop Container/web {image: nginx, dependsOn: [{unit: VirtualMachine/db}]}
judge
apply shop Volume/disk {form: Disk, size: 1Gi}
judge
apply shop VirtualMachine/db {boot: {kernel: {hostPath: /srv/kernel}}, disks: [{volume: nowhere}]}
apply shop Container/web {image: nginx:2, dependsOn: [{unit: VirtualMachine/db}, {unit: Container/none}]}
judge
# The need of a kept version is deleted: it stays, too.
delete shop Volume/disk
judge
