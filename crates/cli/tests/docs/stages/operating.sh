# shellcheck shell=bash disable=SC2154
# A newer release was built meanwhile.

checkout
start_agent
