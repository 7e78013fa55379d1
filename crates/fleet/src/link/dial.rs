//! A connection to the hub: name, address, proxy, TLS, and the HTTP that both speak.

use super::{address::Address, proxy::Proxy, tls, trouble::Trouble};
use crate::alive;
use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    task::AbortHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// For name service, which has deadlines of its own.
const RESOLVE: Duration = Duration::from_secs(20);

/// For each address of a name.
const CONNECT: Duration = Duration::from_secs(10);

/// For the proxy's answer: it connects meanwhile.
const TUNNEL: Duration = Duration::from_secs(30);

/// For TLS. A machine's processor may be slow, and the hub may have many to greet.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Headers of an answer.
const HEADERS_MAX: usize = 64;

/// What requests are given to.
pub(super) enum Sender {
    /// One request at a time.
    One(http1::SendRequest<Full<Bytes>>),
    /// Many.
    Many(http2::SendRequest<Full<Bytes>>),
}

/// A connection, and the task that serves it.
pub(super) struct Connection {
    pub(super) sender: Sender,
    pub(super) task: AbortHandle,
}

/// Makes connections.
pub(super) struct Dialer {
    pub(super) address: Address,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) proxy: Option<Proxy>,
}

impl Dialer {
    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Connection, Trouble> {
        let stream = self.reach().await?;
        let authority = self.address.authority();
        let failed = |error| Trouble::Handshake(authority.clone(), tls::why(&error));
        let connecting = TlsConnector::from(Arc::clone(&self.tls)).connect(self.address.server.clone(), stream);
        let stream = within(HANDSHAKE, "the TLS handshake", connecting).await?.map_err(failed)?;
        http(stream).await
    }

    async fn reach(&self) -> Result<TcpStream, Trouble> {
        let Some(proxy) = &self.proxy else { return connect(&self.address.host, self.address.port).await };
        let mut stream = connect(&proxy.host, proxy.port).await?;
        let Address { port, .. } = self.address;
        let authority = self.address.authority();
        // A proxy is always told the port.
        let to = if authority.ends_with(&format!(":{port}")) { authority } else { format!("{authority}:{port}") };
        within(TUNNEL, "the proxy's answer", proxy.connect(&mut stream, &to)).await??;
        Ok(stream)
    }
}

/// What is called by a name, at the first of its addresses that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let unknown = |error| Trouble::Name(host.to_owned(), error);
    let addresses = within(RESOLVE, "name service", lookup_host((host, port))).await?.map_err(unknown)?;
    let mut last = io::Error::other("it has no address");
    let mut shown = format!("{host}:{port}");
    for address in addresses.take(ADDRESSES_MAX) {
        shown = address.to_string();
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is small, and is to leave at once.
                let _best_effort = stream.set_nodelay(true);
                alive::watch(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(Trouble::Connect(shown, last))
}

async fn http(stream: TlsStream<TcpStream>) -> Result<Connection, Trouble> {
    let is_many = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    // A connection that fails says so to whoever asks by it.
    if is_many {
        let shaking = http2::Builder::new(TokioExecutor::new()).handshake(stream);
        let (sender, connection) = within(HANDSHAKE, "the begin of HTTP/2", shaking).await?.map_err(Trouble::Lost)?;
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Connection { sender: Sender::Many(sender), task })
    } else {
        let shaking = http1::Builder::new().max_headers(HEADERS_MAX).handshake(stream);
        let (sender, connection) = within(HANDSHAKE, "the begin of HTTP/1.1", shaking).await?.map_err(Trouble::Lost)?;
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Connection { sender: Sender::One(sender), task })
    }
}

/// What must not take longer.
pub(super) async fn within<T>(
    after: Duration,
    what: &'static str,
    doing: impl Future<Output = T>,
) -> Result<T, Trouble> {
    timeout(after, doing).await.map_err(|_| Trouble::Slow { what, after })
}
