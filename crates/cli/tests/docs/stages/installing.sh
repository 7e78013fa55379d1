# A checkout that was built, on a machine that has nothing of it yet.

rm /usr/local/bin/abide
checkout
