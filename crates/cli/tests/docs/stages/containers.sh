# shellcheck shell=bash disable=SC2154
# A registry that wants a login, and that this machine trusts.

registry=$WORK/registry
mkdir "$registry"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=registry.example.org \
  -addext subjectAltName=DNS:registry.example.org -addext basicConstraints=critical,CA:FALSE \
  -keyout "$registry/key.pem" -out "$registry/cert.pem" 2> /dev/null
cat "$registry/cert.pem" >> /etc/ssl/certs/ca-certificates.crt
echo '127.0.0.1 registry.example.org' >> /etc/hosts
echo secret > password
# bcrypt of `secret`
# shellcheck disable=SC2016
echo 'me:$2b$04$GWW/dGFgxoyHXRLdLQ2VSuuCG0YfBF01xc9FMvE7piavjtresZrsu' > "$registry/users"
cat > "$registry/config.yml" << END
version: 0.1
storage: {filesystem: {rootdirectory: $registry/data}}
http: {addr: "127.0.0.1:443", tls: {certificate: $registry/cert.pem, key: $registry/key.pem}}
auth: {htpasswd: {realm: registry, path: $registry/users}}
END
OTEL_TRACES_EXPORTER=none docker-registry serve "$registry/config.yml" > "$registry/log" 2>&1 &
until (: > /dev/tcp/127.0.0.1/443) 2> /dev/null; do sleep 0.05; done
skopeo --insecure-policy copy -q --dest-creds me:secret "oci:$PROPS/images/web" \
  docker://registry.example.org/shop/web:1.5
start_agent
