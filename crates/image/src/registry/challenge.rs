//! What a registry says about the credentials it wants: `WWW-Authenticate` (RFC 9110, 11.6.1).

/// One way to authenticate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token of a service.
    Bearer {
        /// The service's URL.
        realm: String,
        /// How the registry is called there.
        service: Option<String>,
    },
}

impl Challenge {
    /// Of all that is offered, tokens first: they are worth less than a password to who gets hold of them.
    pub(super) fn choose(headers: &[String]) -> Option<Self> {
        let mut all: Vec<Self> = headers.iter().filter_map(|header| Self::parse(header)).collect();
        let token = all.iter().position(|challenge| matches!(challenge, Self::Bearer { .. }));
        (!all.is_empty()).then(|| all.swap_remove(token.unwrap_or(0)))
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match key.trim_matches([' ', ',']).to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// Whether a token service may see the credentials of a registry: it is on the same host, or over https below the domain
/// that the registry is in (`auth.docker.io` for `registry-1.docker.io`, `gitlab.com` for `registry.gitlab.com`).
pub(super) fn is_trusted(realm: &str, registry: &str, is_insecure: bool) -> bool {
    let Ok(uri) = realm.parse::<ureq::http::Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let is_same = authority.as_str().eq_ignore_ascii_case(registry);
    if scheme != "https" {
        return is_same && is_insecure && scheme == "http";
    }
    let host = |text: &str| text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (realm, registry) = (host(authority.as_str()), host(registry));
    // A name of two parts has no domain of its own above it, and neither has an address.
    let domain = registry.split_once('.').map(|(_, domain)| domain);
    let domain = domain.filter(|domain| domain.contains('.') && domain.contains(|c: char| c.is_ascii_alphabetic()));
    is_same || domain.is_some_and(|domain| realm == domain || realm.ends_with(&format!(".{domain}")))
}

/// The URL of a token.
pub(super) fn token_url(realm: &str, service: Option<&str>, scope: &str) -> String {
    let mut url = format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, encoded(scope));
    if let Some(service) = service {
        url = format!("{url}&service={}", encoded(service));
    }
    url
}

/// Percent-encoding of all that isn't unreserved (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        for (headers, wanted) in [
            (
                vec![
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b:pull,push""#,
                ],
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (vec!["bearer service=x, realm=https://a/t"], bearer("https://a/t", Some("x"))),
            (vec![r#"Basic realm="x""#], Some(Challenge::Basic)),
            (vec![r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#], bearer("https://a/t", None)),
            (vec!["BASIC"], Some(Challenge::Basic)),
            (vec!["Bearer"], None),
            (vec![r#"Bearer realm="x"#], None),
            (vec!["Digest realm=x", ""], None),
            (vec![], None),
        ] {
            let headers: Vec<_> = headers.into_iter().map(str::to_owned).collect();
            assert_eq!(Challenge::choose(&headers), wanted, "{headers:?}");
        }
    }

    #[test]
    fn credentials_stay_in_the_registrys_domain() {
        for (realm, registry) in [
            ("https://auth.docker.io/token", "registry-1.docker.io"),
            ("https://gitlab.com/jwt/auth", "registry.gitlab.com"),
            ("https://ghcr.io/token", "ghcr.io"),
            ("https://localhost:5000/token", "localhost:5000"),
        ] {
            assert!(is_trusted(realm, registry, false), "{realm}");
        }
        for (realm, registry) in [
            ("http://auth.docker.io/token", "registry-1.docker.io"),
            ("https://evil.example/token", "registry-1.docker.io"),
            ("https://evildocker.io/token", "registry-1.docker.io"),
            ("https://docker.io@evil.example/token", "registry-1.docker.io"),
            ("https://other.io/token", "ghcr.io"),
            ("https://10.0.0.2/token", "10.0.0.1"),
            ("/token", "ghcr.io"),
            ("", "ghcr.io"),
        ] {
            assert!(!is_trusted(realm, registry, false), "{realm}");
        }
        assert!(is_trusted("http://127.0.0.1:5000/token", "127.0.0.1:5000", true));
        assert!(!is_trusted("http://127.0.0.1:5000/token", "127.0.0.1:5000", false));
        assert!(!is_trusted("http://127.0.0.1:5001/token", "127.0.0.1:5000", true));
    }

    #[test]
    fn what_is_asked_for_is_quoted() {
        assert_eq!(
            token_url("https://a/t", Some("x y&z"), "a:b/c:pull"),
            "https://a/t?scope=a%3Ab%2Fc%3Apull&service=x%20y%26z"
        );
        assert_eq!(token_url("https://a/t?x=1", None, "s"), "https://a/t?x=1&scope=s");
    }
}
