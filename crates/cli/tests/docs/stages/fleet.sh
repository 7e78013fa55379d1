# shellcheck shell=bash disable=SC2154
# A machine on which the agent runs, and where a hub may be put.

install -m 0644 "$CHECKOUT/deploy/hub/abide-hub.service" /etc/systemd/system/abide-hub.service
start_agent
