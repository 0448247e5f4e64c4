//! One connection from its first byte to its last.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use socket2::SockRef;
use tidings::Reply;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Serve,
    activity::{Activity, Tracked},
    first::{First, read_first},
    head::{self, LINE_REST, Refusal},
    paced::Paced,
    taken::{Counter, Given, Handover, Left, Parked, Streamed, can_be_taken},
};

/// What the kernel keeps for a client that does not read (it doubles the number). Together with hyper's own buffer this
/// bounds what such a client costs.
const SEND_BUFFER: usize = 32 * 1024;

/// What hyper keeps of an answer that an HTTP/2 client does not read.
const STREAM_BUFFER: usize = 64 * 1024;

/// hyper's smallest buffer, and how many fields it takes without allocating for them.
const SMALLEST_BUFFER: usize = 8 * 1024;
const HYPERS_FIELDS: usize = 100;

/// How often a silent HTTP/2 connection is asked whether it lives, and how long it has for the answer.
const PING: Duration = Duration::from_secs(20);

/// How long a client may be silent after its last answer until it is closed, and how long all of that may take. A
/// socket that is closed with bytes unread resets the connection, and the client may never see that answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_IN_ALL: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    limits: Arc<Limits>,
    activity: Arc<Activity>,
    taken_over: Counter,
    closing: CancellationToken,
}

impl Connection {
    pub(super) fn new(limits: Arc<Limits>, taken_over: Counter, closing: CancellationToken) -> Self {
        Self { limits, activity: Arc::default(), taken_over, closing }
    }

    /// Serves it to its end, which comes early if `closing` is cancelled or the client goes over a limit.
    pub(super) fn serve<S: Serve>(self, stream: TcpStream, service: S) -> Serving<S> {
        let handover = self.limits.take_over.then(Arc::<Handover>::default);
        let connection = self.clone();
        let begin = Box::pin(begin(connection, stream, service.clone(), handover.clone()));
        Serving { connection: self, service, handover, phase: Phase::Hyper(begin) }
    }

    /// Serves HTTP/1.1 until the connection ends, or is to be taken over.
    async fn serve_http1(
        self,
        stream: TcpStream,
        begun: Bytes,
        service: impl Serve,
        handover: Option<Arc<Handover>>,
    ) -> Option<Given> {
        let mut io = Paced::new(stream, begun, Arc::clone(&self.activity), self.limits.write_stall)
            .with_head_limit(self.limits.header);
        if let Some(handover) = &handover {
            io = io.with_handover(Arc::clone(handover));
        }
        let service = self.service(service, handover.clone());
        let mut connection = http1_builder(&self.limits).serve_connection(TokioIo::new(io), service);
        let left = self.drive(Pin::new(&mut connection), handover.as_deref()).await;
        let parts = connection.into_parts();
        let socket = parts.io.into_inner().into_inner();
        match left {
            Some(left) => Some(Given { socket, unread: parts.read_buf, left }),
            None => {
                linger(socket).await;
                None
            }
        }
    }

    async fn serve_http2(&self, stream: TcpStream, begun: Bytes, service: impl Serve) {
        let io = Paced::new(stream, begun, Arc::clone(&self.activity), self.limits.write_stall);
        let http2 = http2_builder(&self.limits);
        let mut connection = pin!(http2.serve_connection(TokioIo::new(io), self.service(service, None)));
        tokio::select! {
            _ = self.drive(connection.as_mut(), None) => {}
            () = self.first_request_is_late() => {}
        }
    }

    /// Comes back when the time for a first head is over and none has come. The preface alone is no request.
    async fn first_request_is_late(&self) {
        sleep(self.limits.header).await;
        if self.activity.begun() > 0 {
            pending().await
        }
    }

    /// The service as hyper calls it: behind the limits on heads, and with each request counted.
    fn service<S: Serve>(
        &self,
        service: S,
        handover: Option<Arc<Handover>>,
    ) -> impl HttpService<Incoming, ResBody = Tracked, Error = Infallible, Future: Send + 'static> + use<S> {
        let limits = Arc::clone(&self.limits);
        let activity = Arc::clone(&self.activity);
        service_fn(move |request: Request<Incoming>| {
            let ready = handover.as_ref().and_then(|handover| handover.take_answer());
            let service = service.clone();
            let running = activity.begin();
            let (head, body) = request.into_parts();
            let checked = head::check(&head, &limits);
            let handover = handover.clone().filter(|_| can_be_taken(&head, &body));
            async move {
                let reply = match (ready, checked) {
                    (Some(answer), _) => answer.into(),
                    (None, Ok(())) => service.reply(Request::from_parts(head, body)).await,
                    (None, Err(refusal)) => refusal.response().into(),
                };
                let response = match (reply, &handover) {
                    (Reply::Held(held), Some(handover)) => {
                        handover.leave(Left::Held(held));
                        pending().await
                    }
                    (reply, _) => reply.into_response().await,
                };
                Ok(response.map(|body| Tracked::new(body, Some(running)).with_handover(handover)))
            }
        })
    }

    /// Runs a connection to its end, which comes early if it idles or the server closes; or until it is to be taken over
    /// with what has been left.
    async fn drive<C>(&self, mut connection: Pin<&mut C>, handover: Option<&Handover>) -> Option<Left>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut ending = false;
        let mut begun = self.activity.begun();
        let mut idle = interval(self.limits.idle);
        idle.reset();
        loop {
            let going_on = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Err(outcome)),
                Poll::Pending => handover.and_then(Handover::take).map_or(Poll::Pending, |left| Poll::Ready(Ok(left))),
            });
            tokio::select! {
                outcome = going_on => {
                    return match outcome {
                        Ok(left) => Some(left),
                        Err(outcome) => {
                            if let Err(error) = outcome {
                                tracing::debug!(%error, "a connection broke");
                            }
                            None
                        }
                    };
                }
                () = self.closing.cancelled(), if !ending => {}
                _ = idle.tick(), if !ending => {
                    let before = std::mem::replace(&mut begun, self.activity.begun());
                    if !self.activity.is_idle() || before != begun {
                        continue;
                    }
                }
            }
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// A connection that is being served, by turns through hyper and taken over from it. Dropping it cuts it off.
///
/// A type of its own rather than an `async fn`: what waits here is as small as it can be, for there may be many.
pub(super) struct Serving<S> {
    connection: Connection,
    service: S,
    handover: Option<Arc<Handover>>,
    phase: Phase,
}

enum Phase {
    /// hyper has it, or what comes before and after hyper.
    Hyper(Pin<Box<dyn Future<Output = Option<Given>> + Send>>),
    Streamed(Streamed),
    Parked(Parked),
}

impl<S: Serve> Future for Serving<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let (socket, unread, answer) = match &mut this.phase {
                Phase::Hyper(hyper) => {
                    let Some(Given { socket, unread, left }) = ready!(hyper.as_mut().poll(cx)) else {
                        return Poll::Ready(());
                    };
                    let (limits, count) = (&this.connection.limits, &this.connection.taken_over);
                    this.phase = match left {
                        Left::Stream(events) => {
                            Phase::Streamed(Streamed::new(socket, &unread, events, limits, count))
                        }
                        Left::Held(held) => Phase::Parked(Parked::new(socket, &unread, held, limits, count)),
                    };
                    continue;
                }
                Phase::Streamed(streamed) => match ready!(Pin::new(streamed).poll(cx)) {
                    Some((socket, unread)) => (socket, unread, None),
                    None => return Poll::Ready(()),
                },
                Phase::Parked(parked) => match ready!(Pin::new(parked).poll(cx)) {
                    Some(((socket, unread), answer)) => (socket, unread, Some(answer)),
                    None => return Poll::Ready(()),
                },
            };
            let is_over = answer.is_none() && unread.is_empty() && this.connection.closing.is_cancelled();
            this.phase = Phase::Hyper(if is_over {
                Box::pin(async move {
                    linger(socket).await;
                    None
                })
            } else {
                let begun = match (answer, &this.handover) {
                    (Some(answer), Some(handover)) => handover.set_answer(answer, &unread),
                    _ => unread.freeze(),
                };
                let (connection, handover) = (this.connection.clone(), this.handover.clone());
                Box::pin(connection.serve_http1(socket, begun, this.service.clone(), handover))
            });
        }
    }
}

/// A connection from its first byte on, until it ends or is to be taken over.
async fn begin(
    connection: Connection,
    mut stream: TcpStream,
    service: impl Serve,
    handover: Option<Arc<Handover>>,
) -> Option<Given> {
    if let Err(error) = set_options(&stream, &connection.limits) {
        tracing::debug!(%error, "a connection ended before it began");
        return None;
    }
    let first = connection.closing.run_until_cancelled(read_first(&mut stream, &connection.limits));
    match first.await {
        Some(First::Http1(begun)) => return connection.serve_http1(stream, begun, service, handover).await,
        Some(First::Http2(begun)) => connection.serve_http2(stream, begun, service).await,
        Some(First::Refused(refusal)) => refuse(stream, refusal, &connection.limits).await,
        Some(First::Nothing) | None => {}
    }
    None
}

fn set_options(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    // A peer that is gone without a word is noticed by what it does not acknowledge.
    socket.set_tcp_user_timeout(Some(limits.write_stall))
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    // `Paced` times heads: hyper's own limit would count from the end of the request before.
    http1.timer(TokioTimer::new()).header_read_timeout(None);
    // Holds one head that is within the limits, and as much of an answer.
    let head = limits.request_target_bytes + LINE_REST + limits.header_block_bytes;
    http1.max_buf_size(head.max(SMALLEST_BUFFER));
    if limits.header_fields > HYPERS_FIELDS {
        http1.max_headers(limits.header_fields);
    }
    http1
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2.timer(TokioTimer::new());
    http2.max_concurrent_streams(limits.streams_per_connection);
    http2.max_send_buf_size(STREAM_BUFFER);
    http2.keep_alive_interval(PING).keep_alive_timeout(PING);
    // Twice the limit, so that what is a little over it still gets an answer with a body.
    let block = limits.header_block_bytes.saturating_mul(2);
    http2.max_header_list_size(u32::try_from(block).unwrap_or(u32::MAX));
    http2
}

/// Answers a head that hyper has not seen, in hyper's words: it is given a request that stands for the refused one.
async fn refuse(stream: TcpStream, refusal: Refusal, limits: &Limits) {
    let stand_in = Bytes::from_static(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
    let io = Paced::new(stream, stand_in, Arc::default(), limits.write_stall);
    let service = service_fn(|_| async move { Ok::<_, Infallible>(refusal.response()) });
    let mut connection = http1_builder(limits).serve_connection(TokioIo::new(io), service);
    if Pin::new(&mut connection).await.is_ok() {
        linger(connection.into_parts().io.into_inner().into_inner()).await;
    }
}

/// Ends a connection so that its client can still read the last answer.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let read_on = async {
        // On the heap: on the stack it would make every connection larger for as long as it lives.
        let mut unread = vec![0; 4096];
        while let Ok(Ok(1..)) = timeout(LINGER, stream.read(&mut unread)).await {}
    };
    // However it ends, the connection is over.
    let _ = timeout(LINGER_IN_ALL, read_on).await;
}
