//! Who meets the hub: a connection of HTTP/1.1 or 2, with a certificate or without.

use abide_fleet::{
    protocol::{Enroll, Refusal, RefusalCode, Renew},
    server::tls::WallClock,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// A machine's keys, and what it was given for them.
pub(crate) struct Keys {
    pub(crate) document: Vec<u8>,
    pub(crate) public: String,
    pub(crate) chain: String,
}

impl Clone for Keys {
    fn clone(&self) -> Self {
        Self { document: self.document.clone(), public: self.public.clone(), chain: self.chain.clone() }
    }
}

impl Keys {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let public = BASE64_STANDARD.encode(pair.public_key());
        Self { document: document.as_ref().to_vec(), public, chain: String::new() }
    }

    fn sign(&self, message: &[u8]) -> String {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.document, &random).unwrap();
        BASE64_STANDARD.encode(pair.sign(&random, message).unwrap())
    }

    pub(crate) fn enroll(&self, token: &str, name: &str) -> Enroll {
        let mut asked = Enroll {
            token: token.to_owned(),
            name: name.to_owned(),
            key: self.public.clone(),
            proof: String::new(),
            recipient: RECIPIENT.to_owned(),
            version: "1".to_owned(),
        };
        asked.proof = self.sign(&asked.possession());
        asked
    }

    pub(crate) fn renew(&self, name: &str) -> Renew {
        let mut asked = Renew { key: self.public.clone(), proof: String::new() };
        asked.proof = self.sign(&asked.possession(name));
        asked
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> RefusalCode {
        let refusal: Refusal = serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(!refusal.message.is_empty());
        refusal.code
    }
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// The stream of a connection.
pub(crate) async fn stream(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    keys: Option<&Keys>,
    http: Http,
    clock: WallClock,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match keys {
        None => builder.with_no_client_auth(),
        Some(keys) => {
            let chain = CertificateDer::pem_slice_iter(keys.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(keys.document.clone()));
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![if http == Http::One { b"http/1.1".to_vec() } else { b"h2".to_vec() }];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A connection.
pub(crate) struct Client(Sender);

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        root: &CertificateDer<'static>,
        keys: Option<&Keys>,
        http: Http,
        clock: WallClock,
    ) -> io::Result<Self> {
        let stream = TokioIo::new(stream(address, root, keys, http, clock).await?);
        Ok(Self(match http {
            Http::One => {
                let (sender, connection) = http1::handshake(stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                Sender::One(sender)
            }
            Http::Two => {
                let (sender, connection) =
                    http2::handshake(TokioExecutor::new(), stream).await.map_err(io::Error::other)?;
                tokio::spawn(connection);
                Sender::Two(sender)
            }
        }))
    }

    pub(crate) async fn post(&mut self, path: &str, body: &impl Serialize) -> Answered {
        self.send(Method::POST, path, serde_json::to_vec(body).unwrap(), false).await.unwrap()
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        takes_gzip: bool,
    ) -> Result<Answered, hyper::Error> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if matches!(self.0, Sender::Two(_)) {
            request = request.uri(format!("https://localhost{path}"));
        }
        if takes_gzip {
            request = request.header("accept-encoding", "gzip, br");
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let answer: hyper::Response<Incoming> = match &mut self.0 {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => sender.send_request(request).await?,
        };
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answered { status: head.status, headers: head.headers, body })
    }
}
