# shellcheck shell=bash disable=SC2154
# A checkout that was built, on a machine that has nothing of it yet.

rm /usr/local/bin/abide
checkout
