//! How both ends of a connection notice that the other one, or the way to it, is gone without a word: a power cut, a
//! translator of addresses that forgot it. Nothing else would tell before a poll's wait is over.
//!
//! TCP asks by itself when nothing came for a while. That is 52 bytes, and 52 for the answer, where a `PING` of HTTP/2 would
//! be 91 and 91. What a machine costs a day, by how long its polls wait:
//!
//! | wait | idle time before it is asked | polls | asking, both ends | a day | noticed after |
//! |---|---|---|---|---|---|
//! | 240 s | never | 360 · 454 bytes | 0 | 163 kB | 270 s |
//! | 240 s | 120 s | 360 · 454 bytes | 360 · 2 · 104 bytes | 238 kB | 150 s |
//! | 480 s | 165 s | 180 · 454 bytes | 180 · 4 · 104 bytes | 157 kB | 195 s |
//! | 480 s | 120 s | 180 · 454 bytes | 180 · 6 · 104 bytes | 194 kB | 150 s |
//!
//! A poll is four packets of IP: the answer, the next request's head and its body, and that both came. Where that the answer
//! came isn't said with the next request, it is a packet of 52 bytes more. `abide-bench traffic` counts them.
//!
//! So polls wait for long, and are asked for twice meanwhile, which also keeps translators from forgetting them.

use nix::sys::socket::{
    setsockopt,
    sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval},
};
use tokio::net::TcpStream;

/// Seconds of silence, after which the other end is asked.
const IDLE: u32 = 165;

/// Seconds between questions that stay without an answer, and how many of these end the connection.
const INTERVAL: u32 = 10;
const COUNT: u32 = 3;

/// Has the system watch over a connection.
pub(crate) fn watch(stream: &TcpStream) {
    let watched = setsockopt(stream, TcpKeepIdle, &IDLE)
        .and_then(|()| setsockopt(stream, TcpKeepInterval, &INTERVAL))
        .and_then(|()| setsockopt(stream, TcpKeepCount, &COUNT))
        .and_then(|()| setsockopt(stream, KeepAlive, &true));
    if let Err(error) = watched {
        // It works without, and is slower to notice.
        tracing::debug!(%error, "a connection can't be watched over");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::getsockopt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_system_watches() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        watch(&stream);
        let idle = getsockopt(&stream, TcpKeepIdle).unwrap();
        let asked = (getsockopt(&stream, TcpKeepInterval).unwrap(), getsockopt(&stream, TcpKeepCount).unwrap());
        assert_eq!((idle, asked, getsockopt(&stream, KeepAlive).unwrap()), (IDLE, (INTERVAL, COUNT), true));
    }
}
