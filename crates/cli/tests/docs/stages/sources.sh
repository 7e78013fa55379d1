# shellcheck shell=bash disable=SC2154
# A Git server of somebody else's, with a repository that has this machine's folder in it.

server=$WORK/server
mkdir -p "$server" /etc/abide
git init -q --bare "$server/infra.git"
git clone -q "$server/infra.git" "$server/work" 2> /dev/null
mkdir -p "$server/work/hosts/edge-7"
cp -r "$PROPS/images" "$server/work/hosts/edge-7"
cat > "$server/work/hosts/edge-7/web.yaml" << 'END'
apiVersion: abide.dev/v1alpha1
kind: Container
metadata: {name: web}
spec: {image: "oci:images/web"}
END
git -C "$server/work" add .
git -C "$server/work" commit -q -m "web: here it is"
git -C "$server/work" push -q origin main

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=git.example.org -addext subjectAltName=DNS:git.example.org \
  -addext basicConstraints=critical,CA:FALSE \
  -keyout "$server/key.pem" -out /etc/abide/ca.pem 2> /dev/null
echo s3cret > /etc/abide/infra.token
chmod 0600 /etc/abide/infra.token
echo 'git:{PLAIN}s3cret' > "$server/users"
chmod -R a+rX "$WORK" && chmod 0700 "$server/key.pem"

cat > "$server/nginx.conf" << END
user root; pid $server/nginx.pid; error_log $server/nginx.log;
events {}
http {
  access_log off; client_body_temp_path $server/body; fastcgi_temp_path $server/fastcgi;
  proxy_temp_path $server/proxy; uwsgi_temp_path $server/uwsgi; scgi_temp_path $server/scgi;
  server {
    listen 127.0.0.1:443 ssl; server_name git.example.org;
    ssl_certificate /etc/abide/ca.pem; ssl_certificate_key $server/key.pem;
    auth_basic git; auth_basic_user_file $server/users;
    location / {
      fastcgi_pass unix:$server/cgi;
      fastcgi_param SCRIPT_FILENAME $(git --exec-path)/git-http-backend;
      fastcgi_param PATH_INFO \$uri; fastcgi_param GIT_PROJECT_ROOT $server; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param REQUEST_METHOD \$request_method; fastcgi_param QUERY_STRING \$query_string;
      fastcgi_param CONTENT_TYPE \$content_type; fastcgi_param REMOTE_USER \$remote_user;
      fastcgi_param GIT_PROTOCOL \$http_git_protocol;
    }
  }
}
END
fcgiwrap -s "unix:$server/cgi" &
until [ -S "$server/cgi" ]; do sleep 0.05; done
nginx -c "$server/nginx.conf"
start_agent
