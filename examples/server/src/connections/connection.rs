//! One connection from its first byte to its last.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io, mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
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
use tidings::{Body, Reply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::unconstrained,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_util::{either::Either, sync::CancellationToken};

use super::{
    Limits, Serve, TakenOver,
    activity::{Activity, Running, Tracked},
    first::{First, read_first},
    head::{self, LINE_REST, Refusal},
    paced::Paced,
    places::Place,
    taken::{Given, Handover, Left, Next, Taken, can_be_taken, keeps_alive},
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

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) taken_over: Arc<TakenOver>,
    pub(super) closing: CancellationToken,
}

/// A connection that is being served, by turns through hyper and taken over from it. Ends early if the server closes or
/// the client goes over a limit; dropping it cuts it off.
///
/// A type of its own rather than an `async fn`: what waits here is as small as it can be, for there may be many.
pub(super) struct Connection<S> {
    shared: Arc<Shared<S>>,
    phase: Phase,
    #[expect(dead_code, reason = "held for its drop")]
    place: Place,
}

enum Phase {
    /// hyper has it, or what comes before and after hyper.
    Hyper(Pin<Box<dyn Future<Output = Option<Given>> + Send>>),
    Taken(Taken),
    Over,
}

impl<S: Serve> Connection<S> {
    pub(super) fn new(shared: &Arc<Shared<S>>, stream: TcpStream, place: Place) -> Self {
        let shared = Arc::clone(shared);
        let begin = Box::pin(Through::begin(&shared, stream, BytesMut::new(), true));
        Self { shared, phase: Phase::Hyper(begin), place }
    }

    /// Goes on with a connection that is no longer taken over.
    fn begin_anew(&self, next: Next, taken: Taken) -> Phase {
        // Who does not send such requests alone could go back and forth with each.
        let takes_answers = !taken.is_for_requests();
        let (socket, unread) = taken.into_parts();
        // From then on no request is begun, and whoever has sent one can still read the answer before it.
        let next = if next == Next::Request && self.shared.closing.is_cancelled() { Next::Close } else { next };
        match next {
            Next::Nothing => Phase::Over,
            Next::Close => Phase::Hyper(Box::pin(async move {
                linger(socket).await;
                None
            })),
            Next::Request => Phase::Hyper(Box::pin(Through::begin(&self.shared, socket, unread, takes_answers))),
        }
    }
}

impl<S: Serve> Future for Connection<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let shared = &this.shared;
            match &mut this.phase {
                Phase::Hyper(hyper) => {
                    let given = task::ready!(hyper.as_mut().poll(cx));
                    let take = |given| Phase::Taken(Taken::new(given, shared));
                    this.phase = given.map_or(Phase::Over, take);
                }
                Phase::Taken(taken) => {
                    let next = task::ready!(taken.poll_next(cx, shared));
                    if let Phase::Taken(taken) = mem::replace(&mut this.phase, Phase::Over) {
                        this.phase = this.begin_anew(next, taken);
                    }
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }
}

/// What hyper's part in a connection needs.
struct Through<S> {
    shared: Arc<Shared<S>>,
    activity: Arc<Activity>,
    handover: Arc<Handover>,
}

impl<S: Serve> Through<S> {
    /// Serves a connection, of which these bytes have been read already, until it ends or is to be taken over.
    ///
    /// No `async fn`, as the next one: that would keep its arguments beside what becomes of them.
    fn begin(
        shared: &Arc<Shared<S>>,
        mut stream: TcpStream,
        begun: BytesMut,
        takes_answers: bool,
    ) -> impl Future<Output = Option<Given>> + Send + use<S> {
        let handover = Arc::new(Handover::new(takes_answers && shared.limits.take_over));
        let this = Self { shared: Arc::clone(shared), activity: Arc::default(), handover };
        async move {
            let limits = &this.shared.limits;
            if begun.is_empty()
                && let Err(error) = set_options(&stream, limits)
            {
                tracing::debug!(%error, "a connection ended before it began");
                return None;
            }
            match this.shared.closing.run_until_cancelled(read_first(&mut stream, begun, limits)).await {
                Some(First::Http1(begun)) => return this.serve_http1(stream, begun).await,
                // Boxed, for each is larger than what most connections need for as long as they live.
                Some(First::Http2(begun)) => Box::pin(this.serve_http2(stream, begun)).await,
                Some(First::Refused(refusal)) => Box::pin(refuse(stream, refusal, limits)).await,
                Some(First::Nothing) | None => {}
            }
            None
        }
    }

    fn serve_http1(self, stream: TcpStream, begun: Bytes) -> impl Future<Output = Option<Given>> + Send {
        let limits = &self.shared.limits;
        let io = Paced::new(stream, begun, Arc::clone(&self.activity), limits.write_stall)
            .with_head_limit(limits.header)
            .with_handover(Arc::clone(&self.handover));
        let mut connection = http1_builder(limits).serve_connection(TokioIo::new(io), self.service());
        async move {
            let left = self.drive(Pin::new(&mut connection)).await;
            let parts = connection.into_parts();
            let (socket, unread) = parts.io.into_inner().into_parts();
            match left {
                // hyper reads some KiB at a time, and may not have come to all that was read before it began.
                Some(left) => Some(Given { socket, unread: [parts.read_buf, unread].concat(), left }),
                None => {
                    Box::pin(linger(socket)).await;
                    None
                }
            }
        }
    }

    async fn serve_http2(&self, stream: TcpStream, begun: Bytes) {
        let limits = &self.shared.limits;
        let io = Paced::new(stream, begun, Arc::clone(&self.activity), limits.write_stall);
        let http2 = http2_builder(limits);
        let mut connection = pin!(http2.serve_connection(TokioIo::new(io), self.service()));
        tokio::select! {
            // Nothing is left where nothing can be taken over.
            _ = self.drive(connection.as_mut()) => {}
            () = self.first_request_is_late() => {}
        }
    }

    /// Comes back when the time for a first head is over and none has come. The preface alone is no request.
    async fn first_request_is_late(&self) {
        sleep(self.shared.limits.header).await;
        if self.activity.begun() > 0 {
            pending().await
        }
    }

    /// The service as hyper calls it: behind the limits on heads, and with each request counted.
    fn service(
        &self,
    ) -> impl HttpService<Incoming, ResBody = Tracked, Error = Infallible, Future: Send + 'static> + use<S> {
        let shared = Arc::clone(&self.shared);
        let activity = Arc::clone(&self.activity);
        let handover = Arc::clone(&self.handover);
        service_fn(move |request: Request<Incoming>| {
            let running = activity.begin();
            if let Err(refusal) = head::check(&request, &shared.limits) {
                return Either::Left(Now::sent(refusal.response(), running));
            }
            if let Some(answer) = shared.service.reply_now(&request) {
                // Not the first, for many look but once. (At the end hyper says that the connection is closed.)
                let is_left = activity.begun() > 1
                    && handover.takes_answers()
                    && can_be_taken(&request)
                    && !shared.closing.is_cancelled();
                if is_left {
                    handover.leave(Left::Answer(Box::new(answer)));
                    return Either::Left(Now::left());
                }
                return Either::Left(Now::sent(answer.map(Body::from), running));
            }
            if let Some(report) = shared.service.take_report(&request) {
                let handover = (handover.takes_answers() && keeps_alive(&request)).then(|| Arc::clone(&handover));
                let answer = report.held(request.into_body());
                let closing = shared.closing.clone();
                return Either::Right(Either::Left(Box::pin(async move {
                    let response = match (answer.await, handover) {
                        // Then all of the body has been read. (At the end hyper says that the connection is closed.)
                        (response, Some(handover)) if response.status().is_success() && !closing.is_cancelled() => {
                            handover.leave(Left::Answer(Box::new(response)));
                            pending().await
                        }
                        (response, _) => response,
                    };
                    Ok(response.map(|body| Tracked::new(Body::from(body), running, None)))
                })));
            }
            let handover = (shared.limits.take_over && can_be_taken(&request)).then(|| Arc::clone(&handover));
            let shared = Arc::clone(&shared);
            // In a box of its own, which is gone before what it says is waited for: that can be long, and for many.
            let reply = Box::pin(async move { shared.service.reply(request.map(Body::wrap)).await });
            // Boxed, for hyper moves it about.
            Either::Right(Either::Right(Box::pin(async move {
                let response = match (reply.await, &handover) {
                    (Reply::Response(response), _) => response,
                    (Reply::Held(held), Some(handover)) => {
                        handover.leave(Left::Held(held));
                        pending().await
                    }
                    (Reply::Held(held), None) => held.await.map(Body::from),
                };
                Ok(response.map(|body| Tracked::new(body, running, handover)))
            })))
        })
    }

    /// Runs a connection to its end, which comes early if it idles or the server closes; or until it is to be taken over
    /// with what has been left.
    async fn drive<C>(&self, mut connection: Pin<&mut C>) -> Option<Left>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let (closing, period) = (&self.shared.closing, self.shared.limits.idle);
        let mut begun = self.activity.begun();
        // Both are there from when the connection first waits: most that is taken over is so at once.
        let (mut closes, mut idles) = (pin!(None), pin!(None));
        let mut ending = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "a connection broke");
                    }
                    return Poll::Ready(None);
                }
                if let Some(left) = self.handover.take() {
                    return Poll::Ready(Some(left));
                }
                if ending {
                    return Poll::Pending;
                }
                if let Some(idles) = idles.as_ref().as_pin_ref() {
                    // This task has been waiting for both since, and is woken up by either.
                    if !closing.is_cancelled() && !Sleep::is_elapsed(&idles) {
                        return Poll::Pending;
                    }
                } else {
                    closes.set(Some(closing.cancelled()));
                    idles.set(Some(sleep(period)));
                }
                let (Some(closes), Some(mut idles)) = (closes.as_mut().as_pin_mut(), idles.as_mut().as_pin_mut())
                else {
                    // Both are there by now.
                    return Poll::Pending;
                };
                ending = closes.poll(cx).is_ready();
                // Unconstrained, for else it may be put off without being waited for.
                while !ending && Pin::new(&mut unconstrained(idles.as_mut())).poll(cx).is_ready() {
                    idles.as_mut().reset(Instant::now() + period);
                    let before = mem::replace(&mut begun, self.activity.begun());
                    ending = self.activity.is_idle() && before == begun;
                }
                if !ending {
                    return Poll::Pending;
                }
                connection.as_mut().graceful_shutdown();
            }
        })
        .await
    }
}

/// An answer that is there; nothing, and for ever pending, where it was left.
struct Now(Option<Response<Tracked>>);

impl Now {
    fn sent(response: Response<Body>, running: Running) -> Self {
        Self(Some(response.map(|body| Tracked::new(body, running, None))))
    }

    fn left() -> Self {
        Self(None)
    }
}

impl Future for Now {
    type Output = Result<Response<Tracked>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
    }
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
    // One buffer and one write for a head and a short body. `Tracked` sees to it that the buffer stays small.
    http1.writev(false);
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
        linger(connection.into_parts().io.into_inner().into_parts().0).await;
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
