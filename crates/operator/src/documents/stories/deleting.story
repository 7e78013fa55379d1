# What is deleted stays as long as somebody needs it.
apply shop Volume/data {reclaim: Delete}
apply shop Container/web {image: nginx, volumes: [{volume: data, mountPath: /data}]}
judge
delete shop Volume/data
judge
delete shop Container/web
judge
vanish shop Volume/data
vanish shop Container/web
judge
# What vanishes without a word was not confirmed; what is needed stays all the same.
apply shop Volume/data {}
apply shop Container/web {image: nginx, volumes: [{volume: data, mountPath: /data}]}
apply shop Container/other {image: nginx}
judge
vanish shop Volume/data
vanish shop Container/other
judge
# It was given to another node.
vanish shop Container/web
left shop Container/web
judge
# Deleted before it was ever wished: nothing is there, and nobody may begin to use it.
create shop Volume/new {}
delete shop Volume/new
apply shop Container/late {image: nginx, volumes: [{volume: new, mountPath: /data}]}
judge
