//! Changes one byte on the way, to show that the demo would find it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// The text of a log event comes after this, and so does something that may be another letter without being no JSON.
const BEFORE: &[u8; 8] = b"\"line\":\"";

/// How a follower reaches its server or broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    Straight,
    /// Through a proxy that changes one byte.
    Spoilt,
}

/// Starts a proxy to `target` (`host:port`) that changes one letter, once, of what comes from there. It ends with the
/// runtime.
pub(super) async fn proxy(target: String) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let is_done = Arc::<AtomicBool>::default();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (target, is_done) = (target.clone(), Arc::clone(&is_done));
            // Whoever breaks off, the other one is told by the end of its connection.
            tokio::spawn(async move { forward(client, &target, &is_done).await.ok() });
        }
    });
    Ok(address)
}

async fn forward(client: TcpStream, target: &str, is_done: &AtomicBool) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    tokio::select! {
        copied = copy(&mut from_client, &mut to_server) => copied.map(|_| ()),
        spoilt = spoil(from_server, to_client, is_done) => spoilt,
    }
}

async fn spoil(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_done: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut spoiler = Spoiler::default();
    loop {
        let length = from.read(&mut buffer).await?;
        let Some(bytes) = buffer.get_mut(..length).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        if !is_done.load(Ordering::Relaxed) && spoiler.spoil(bytes) {
            is_done.store(true, Ordering::Relaxed);
        }
        to.write_all(bytes).await?;
    }
}

/// Looks for the byte to change in a stream, in whatever pieces it comes.
#[derive(Default)]
struct Spoiler {
    /// The last bytes that went by.
    before: [u8; BEFORE.len()],
}

impl Spoiler {
    /// Changes one bit of the first letter that begins a line of a log. Says whether there was one.
    fn spoil(&mut self, bytes: &mut [u8]) -> bool {
        for byte in bytes {
            if self.before == *BEFORE && byte.is_ascii_alphabetic() {
                // A letter stays printable, and becomes neither a quote nor a backslash.
                *byte ^= 1;
                return true;
            }
            self.before.rotate_left(1);
            self.before[BEFORE.len() - 1] = *byte;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = br#"{"line":""}{"line":"\n"}{"line":"cargo 1.95"}{"line":"cargo"}"#;
    const SPOILT: &[u8] = br#"{"line":""}{"line":"\n"}{"line":"bargo 1.95"}{"line":"cargo"}"#;

    #[test]
    fn changes_one_letter_wherever_the_stream_is_cut() {
        for size in 1..=STREAM.len() {
            let (mut spoiler, mut bytes, mut times) = (Spoiler::default(), STREAM.to_vec(), 0);
            for piece in bytes.chunks_mut(size) {
                if times == 0 && spoiler.spoil(piece) {
                    times += 1;
                }
            }
            assert_eq!(bytes.escape_ascii().to_string(), SPOILT.escape_ascii().to_string(), "in pieces of {size}");
            assert_eq!(times, 1);
        }
    }

    #[test]
    fn a_changed_letter_stays_a_harmless_character() {
        for letter in (b'A'..=b'Z').chain(b'a'..=b'z') {
            let mut bytes = [BEFORE.as_slice(), &[letter]].concat();
            assert!(Spoiler::default().spoil(&mut bytes));
            let changed = bytes[BEFORE.len()];
            assert!(changed != letter && changed.is_ascii_graphic() && changed != b'"' && changed != b'\\');
        }
    }

    #[tokio::test]
    async fn a_proxy_changes_one_letter_of_all_its_connections() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let serve_twice = async {
            for _ in 0..2 {
                let (mut peer, _) = listener.accept().await.unwrap();
                peer.write_all(STREAM).await.unwrap();
            }
        };
        let address = proxy(target).await.unwrap();
        let read_twice = async {
            let mut got = Vec::new();
            for _ in 0..2 {
                TcpStream::connect(address).await.unwrap().read_to_end(&mut got).await.unwrap();
            }
            got
        };
        let ((), got) = tokio::join!(serve_twice, read_twice);
        assert_eq!(got.escape_ascii().to_string(), [SPOILT, STREAM].concat().escape_ascii().to_string());
    }
}
