//! One connection to the broker, which ends when it is dropped.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, ConnectionState, ErrorKind, Event,
    options::ConfirmSelectOptions, tcp::AMQPUriTcpExt as _, uri::AMQPUri,
};
use parking_lot::Mutex;
use socket2::{SockRef, Socket};
use tracing::{Dispatch, subscriber::DefaultGuard};

use crate::{
    Config,
    fault::{Fault, within},
    url::InvalidUrl,
};

/// How long a connection may take to be closed in good order.
const FAREWELL: Duration = Duration::from_secs(1);

/// How the broker is reached. Holds its password, and so has no `Debug`.
#[derive(Clone)]
pub(crate) struct Broker {
    uri: AMQPUri,
    connect: Duration,
    /// How long the broker may take to answer anything.
    pub(crate) answer: Duration,
    /// Between two tries to reach it, at most.
    pub(crate) pause: Duration,
}

impl Broker {
    pub(crate) fn new(config: &Config) -> Result<Self, InvalidUrl> {
        let mut uri = config.url.parse()?;
        uri.query.heartbeat.get_or_insert(config.heartbeat_seconds);
        let seconds = |seconds: u16| Duration::from_secs(seconds.max(1).into());
        Ok(Self {
            uri,
            connect: seconds(config.connect_seconds),
            answer: seconds(config.answer_seconds),
            pause: seconds(config.pause_seconds),
        })
    }

    /// Opens a connection, which the broker shows under this name.
    pub(crate) async fn connect(&self, name: &'static str) -> Result<Link, Fault> {
        let line = Line(Arc::new(Mutex::new(State::Waiting)));
        let (state, limit) = (line.0.clone(), self.connect);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime()?;
        let opening = Connection::connector(
            self.uri.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                SILENCE.with(|_| ());
                let stream = tokio::time::timeout(limit, uri.connect_async(&runtime)).await;
                let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    hold(&state, SockRef::from(stream.get_ref()))?;
                }
                Ok(stream)
            },
            properties,
        );
        let connection = within(self.connect, "accept the connection", opening).await?;
        Ok(Link { connection, answer: self.answer, _line: line })
    }
}

/// One connection to the broker. Dropping it cuts it.
pub(crate) struct Link {
    connection: Connection,
    answer: Duration,
    /// Dropped after the connection, and with it on every path.
    _line: Line,
}

impl Link {
    /// Opens a channel.
    pub(crate) async fn channel(&self) -> Result<Channel, Fault> {
        within(self.answer, "open a channel", self.connection.create_channel()).await
    }

    /// Opens a channel on which the broker confirms what is published.
    pub(crate) async fn confirming_channel(&self) -> Result<Channel, Fault> {
        let channel = self.channel().await?;
        within(self.answer, "confirm", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }

    /// Comes back once the connection or a channel on it is broken: who has nothing to say to the broker would not
    /// learn of that. Cancel safe.
    pub(crate) fn broken(&self) -> impl Future<Output = Fault> + Send + 'static {
        let (mut events, status) = (self.connection.events_listener(), self.connection.status().clone());
        async move {
            // An error that came before this began to listen is told to nobody.
            while status.connected() {
                match events.next().await {
                    Some(Event::Error(error)) => return error.into(),
                    Some(_) => {}
                    None => break,
                }
            }
            lapin::Error::from(ErrorKind::InvalidConnectionState(ConnectionState::Closed)).into()
        }
    }

    /// Ends it in good order, if the broker goes along with that.
    pub(crate) async fn close(self) {
        let _ = tokio::time::timeout(FAREWELL, self.connection.close(200, "OK".into())).await;
    }
}

thread_local! {
    /// Keeps lapin's own thread, of which each connection has one, from logging: it would show the password where
    /// frames are traced, warn of every event that nobody has bound a queue for, body included, and tell all over again
    /// what becomes a [`Fault`] here.
    static SILENCE: DefaultGuard = tracing::dispatcher::set_default(&Dispatch::none());
}

/// The socket beneath a connection, by a second handle. A handshake that a frozen broker never answers has no deadline
/// in lapin: its thread and its socket would stay for as long as the broker is frozen, for each try.
struct Line(Arc<Mutex<State>>);

/// Takes the second handle of a socket, unless the connection was given up before the socket was there.
fn hold(state: &Mutex<State>, socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let mut state = state.lock();
    if let State::Cut = *state {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    *state = State::Open(socket.try_clone()?);
    Ok(())
}

enum State {
    Waiting,
    Open(Socket),
    Cut,
}

impl Drop for Line {
    fn drop(&mut self) {
        if let State::Open(socket) = std::mem::replace(&mut *self.0.lock(), State::Cut) {
            // Fails where the other side was first, which is as well.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    async fn silent() -> (TcpListener, Broker) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut config = Config::default().with_url(format!("amqp://user:s3cret@127.0.0.1:{port}/%2f"));
        config.connect_seconds = 1;
        (listener, Broker::new(&config).expect("a URL"))
    }

    /// Without a handle on the socket it would stay open, with a thread behind it, for as long as the broker is frozen.
    #[tokio::test]
    async fn a_handshake_that_is_never_answered_leaves_nothing_behind() {
        let (listener, broker) = silent().await;
        let peer = async {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let mut said = Vec::new();
            socket.read_to_end(&mut said).await.expect("the end of it");
            said
        };
        let both = tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(broker.connect("test"), peer) });
        let (connected, said) = both.await.expect("both end");
        let fault = connected.err().expect("nobody has answered");
        assert!(matches!(fault, Fault::Silent { .. }), "{fault}");
        assert_eq!(said, b"AMQP\0\0\x09\x01");
    }

    #[tokio::test]
    async fn faults_do_not_show_the_password() {
        let (listener, broker) = silent().await;
        drop(listener);
        let fault = broker.connect("test").await.err().expect("nobody is there");
        assert!(matches!(fault, Fault::Broker(_)) && !format!("{fault} {fault:?}").contains("s3cret"), "{fault}");
    }
}
