# shellcheck shell=bash
# Somebody who comes over ssh, and is not root.

useradd --create-home ann
# Not locked: sshd would let nobody in.
usermod -p '*' ann
mkdir -p /root/.ssh /home/ann/.ssh /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/stage_key
cp /root/.ssh/id_ed25519.pub /home/ann/.ssh/authorized_keys
chown -R ann: /home/ann/.ssh
printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' > /root/.ssh/config
"$(command -v sshd)" -f /dev/null -h /etc/ssh/stage_key -o UsePAM=no
start_agent
