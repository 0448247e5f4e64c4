//! What comes first on a connection: which protocol it speaks and, in HTTP/1, the head of the first request.
//!
//! hyper-util can tell the protocols apart as well, but while it does no timeout holds.

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use super::{
    Limits,
    head::{Refusal, Scan},
};

/// The connection preface of HTTP/2 (RFC 9113, 3.4), which a client with prior knowledge sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client began with. The bytes are those read so far, for hyper to begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    Http1(Bytes),
    Http2(Bytes),
    Refused(Refusal),
    /// It hung up, or took too long: there is nobody to answer to.
    Nothing,
}

/// Reads until it is clear what the client wants. `bytes` have been read already, if any.
pub(super) async fn read_first(io: &mut (impl AsyncRead + Unpin), mut bytes: BytesMut, limits: &Limits) -> First {
    let mut scan = Scan::default();
    let mut deadline = None;
    // A connection that has been used speaks the protocol that it has spoken.
    let preface = if bytes.is_empty() { PREFACE } else { b"" };
    loop {
        if bytes.is_empty() || deadline.is_some() {
            let until = *deadline.get_or_insert_with(|| Instant::now() + limits.first_byte);
            let is_first = bytes.is_empty();
            match timeout_at(until, io.read_buf(&mut bytes)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return First::Nothing,
            }
            if is_first {
                deadline = Some(Instant::now() + limits.header);
            }
        } else {
            deadline = Some(Instant::now() + limits.header);
        }
        let common = bytes.iter().zip(preface).take_while(|(byte, expected)| byte == expected).count();
        if common == PREFACE.len() {
            return First::Http2(bytes.freeze());
        }
        if common == bytes.len() {
            continue;
        }
        match scan.is_whole(&bytes, limits) {
            Ok(true) => return First::Http1(bytes.freeze()),
            Ok(false) if !begins_like_a_request(&bytes) => return First::Http1(bytes.freeze()),
            Ok(false) => {}
            Err(refusal) => return First::Refused(refusal),
        }
    }
}

/// A request begins with a letter of its method, or with empty lines. What begins otherwise (TLS, say) gets hyper's 400
/// at once, not a wait for the end of a head that will never come.
fn begins_like_a_request(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| byte.is_ascii_graphic() || matches!(byte, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn pair() -> (DuplexStream, DuplexStream) {
        duplex(64 * 1024)
    }

    async fn first_of(sent: &[u8]) -> First {
        let (mut client, mut server) = pair();
        client.write_all(sent).await.expect("there is room");
        read_first(&mut server, BytesMut::new(), &Limits::default()).await
    }

    #[tokio::test(start_paused = true)]
    async fn both_protocols_are_told_apart() {
        assert_eq!(first_of(HEAD).await, First::Http1(Bytes::from_static(HEAD)));
        assert_eq!(first_of(PREFACE).await, First::Http2(Bytes::from_static(PREFACE)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_preface_may_come_byte_by_byte() {
        let (mut client, mut server) = pair();
        let slow = async {
            for byte in PREFACE {
                client.write_all(&[*byte]).await.expect("there is room");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let limits = Limits::default();
        let (first, ()) = tokio::join!(read_first(&mut server, BytesMut::new(), &limits), slow);
        assert_eq!(first, First::Http2(Bytes::from_static(PREFACE)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_method_that_begins_like_the_preface_is_http1() {
        let head = b"PROPFIND / HTTP/1.1\r\n\r\n";
        assert_eq!(first_of(head).await, First::Http1(Bytes::from_static(head)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_http_is_handed_on_at_once() {
        let hello = b"\x16\x03\x01\x02\x00";
        assert_eq!(first_of(hello).await, First::Http1(Bytes::from_static(hello)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up_after_the_first_timeout() {
        let (_client, mut server) = pair();
        let begun = Instant::now();
        assert_eq!(read_first(&mut server, BytesMut::new(), &Limits::default()).await, First::Nothing);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_given_up_however_steadily_it_does() {
        let (mut client, mut server) = pair();
        let begun = Instant::now();
        let limits = Limits::default();
        let drip = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            for byte in HEAD {
                client.write_all(&[*byte]).await.expect("there is room");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            first = read_first(&mut server, BytesMut::new(), &limits) => assert_eq!(first, First::Nothing),
            () = drip => panic!("the head was waited for"),
        }
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
}
