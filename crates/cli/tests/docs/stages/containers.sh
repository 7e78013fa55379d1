# shellcheck shell=bash disable=SC2154
# A registry that wants a login, and that this machine trusts.

echo secret > password
# bcrypt of `secret`
# shellcheck disable=SC2016
echo 'me:$2b$04$GWW/dGFgxoyHXRLdLQ2VSuuCG0YfBF01xc9FMvE7piavjtresZrsu' > "$WORK/users"
start_registry "auth: {htpasswd: {realm: registry, path: $WORK/users}}"
skopeo --insecure-policy copy -q --dest-creds me:secret "oci:$PROPS/images/web" \
  docker://registry.example.org/shop/web:1.5
start_agent
