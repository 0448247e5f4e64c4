//! A server that answers from a script, over pipes instead of sockets: so time can be virtual.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_client::{Config, Cursor, Error, Event, Follower, HttpClient, JobId, Json, Protocol, Update};
use tidings_core::{Draft, Progress, Tag, Timestamp};
use tokio::time::{Instant, sleep};

/// What the server does about one request.
#[derive(Clone)]
pub(crate) struct Reply {
    delay: Duration,
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    body: Vec<Step>,
    is_none: bool,
    /// What the path ends with that this answers; any by default.
    path_end: String,
    /// Whether it is there for any number of requests.
    stays: bool,
}

/// One step of sending a body.
#[derive(Clone)]
pub(crate) enum Step {
    Send(String),
    Wait(Duration),
    /// The connection breaks.
    Break,
}

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it came, since the server began.
    pub(crate) at: Duration,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The server's side: what it has seen, and what it will answer.
#[derive(Clone)]
pub(crate) struct Server {
    start: Instant,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that have not ended.
    open: Arc<AtomicUsize>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            delay: Duration::ZERO,
            status: StatusCode::from_u16(status).expect("a status"),
            headers: Vec::new(),
            body: Vec::new(),
            is_none: false,
            path_end: String::new(),
            stays: false,
        }
    }

    /// The answer to a request for a path that ends like this, and to no other.
    pub(crate) fn to(self, path_end: impl Into<String>) -> Self {
        Self { path_end: path_end.into(), ..self }
    }

    /// However often it is asked.
    pub(crate) fn always(self) -> Self {
        Self { stays: true, ..self }
    }

    /// An event stream that sends this and stays open for ever.
    pub(crate) fn stream(text: &str) -> Self {
        Self::ended_stream(text).then(Step::Wait(Duration::MAX))
    }

    /// An event stream that sends this and ends.
    pub(crate) fn ended_stream(text: &str) -> Self {
        Self::new(200).header("content-type", "text/event-stream").then(Step::Send(text.to_owned()))
    }

    pub(crate) fn json(text: impl Into<String>) -> Self {
        Self::new(200).header("content-type", "application/json").then(Step::Send(text.into()))
    }

    pub(crate) fn problem(status: u16, name: &str) -> Self {
        let body = format!(r#"{{"type":"urn:tidings:problem:{name}","status":{status}}}"#);
        Self::new(status).header("content-type", "application/problem+json").then(Step::Send(body))
    }

    /// There is none: no connection can be made, and one that is open already is closed.
    pub(crate) fn none() -> Self {
        Self { is_none: true, ..Self::new(200) }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).expect("a status"), ..self }
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn then(mut self, step: Step) -> Self {
        self.body.push(step);
        self
    }
}

impl Server {
    /// A server that answers with these, one after another, and a client of it. Those that are meant for some paths are
    /// kept for these. What it has no answer for gets 418.
    pub(crate) fn new(config: Config, replies: impl IntoIterator<Item = Reply>) -> (Self, HttpClient) {
        let server = Self {
            start: Instant::now(),
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            seen: Arc::default(),
            open: Arc::default(),
        };
        let (dialed, protocol) = (server.clone(), config.protocol);
        let client = HttpClient::with_dial(config, move |uri| {
            let server = dialed.clone();
            async move {
                if server.refuses(uri.path()) {
                    server.saw(Request::new(String::new()).into_parts(), &uri);
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                tokio::spawn(server.serve(protocol, theirs));
                Ok(ours)
            }
        });
        (server, client)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }

    /// The seconds at which the requests came, cut to whole ones.
    pub(crate) fn seconds(&self) -> Vec<u64> {
        self.seen().iter().map(|seen| seen.at.as_secs()).collect()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.target).collect()
    }

    /// The values of one header, request by request; empty where a request had none.
    pub(crate) fn sent(&self, header: &str) -> Vec<String> {
        let value = |seen: &Seen| Some(seen.headers.get(header)?.to_str().ok()?.to_owned());
        self.seen().iter().map(|seen| value(seen).unwrap_or_default()).collect()
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn refuses(&self, path: &str) -> bool {
        let mut replies = self.replies.lock().expect("no test panics with it");
        let next = replies.iter().position(|reply| path.ends_with(&reply.path_end));
        next.filter(|next| replies[*next].is_none).and_then(|next| replies.remove(next)).is_some()
    }

    fn reply(&self, path: &str) -> Option<Reply> {
        let mut replies = self.replies.lock().expect("no test panics with it");
        let next = replies.iter().position(|reply| path.ends_with(&reply.path_end))?;
        if replies[next].stays { replies.get(next).cloned() } else { replies.remove(next) }
    }

    fn saw(&self, (head, body): (request::Parts, String), uri: &Uri) {
        let target = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let seen = Seen { at: self.start.elapsed(), method: head.method, target, headers: head.headers, body };
        self.seen.lock().expect("no test panics with it").push(seen);
    }

    async fn serve(self, protocol: Protocol, io: tokio::io::DuplexStream) {
        let open = Arc::clone(&self.open);
        open.fetch_add(1, Ordering::Relaxed);
        let service = service_fn(move |request: Request<Incoming>| {
            let server = self.clone();
            async move {
                let (head, body) = request.into_parts();
                let uri = head.uri.clone();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                server.saw((head, String::from_utf8_lossy(&body).into_owned()), &uri);
                server.reply(uri.path()).unwrap_or_else(|| Reply::new(418)).send().await
            }
        });
        // A client that hangs up, and a body that breaks, are what some tests are about.
        let _ = match protocol {
            Protocol::Http2 => {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                builder.serve_connection(TokioIo::new(io), service).await
            }
            _ => hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await,
        };
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reply {
    async fn send(self) -> io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>> {
        if self.is_none {
            return Err(io::Error::other("closed on purpose"));
        }
        sleep(self.delay).await;
        let frames = stream::unfold(VecDeque::from(self.body), |mut steps| async move {
            loop {
                match steps.pop_front()? {
                    Step::Send(text) => return Some((Ok(Frame::data(Bytes::from(text))), steps)),
                    Step::Wait(time) => sleep(time).await,
                    Step::Break => {
                        // What was sent before goes out first; hyper would drop it with the connection.
                        sleep(Duration::from_millis(1)).await;
                        return Some((Err(io::Error::other("broken on purpose")), steps));
                    }
                }
            }
        });
        let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value.parse().expect("a header's value"));
        }
        Ok(response)
    }
}

pub(crate) fn url(target: &str) -> Uri {
    format!("http://server.test{target}").parse().expect("a URL")
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The history of a job: `queued`, `progress` as often as wanted, `succeeded`.
pub(crate) fn history(progress: u32) -> Vec<Event> {
    let job = JobId::new();
    let mut events: Vec<Event> = Vec::new();
    let mut push = |draft: &Draft| {
        let before = events.last().map_or((0, Tag::START), |event| (event.seq(), event.tag()));
        events.push(Event::seal(job, before, Timestamp::from_millis(1_795_255_203_123), draft));
    };
    push(&Draft::queued(&"pipeline".parse().expect("a kind"), &json("{}")));
    for done in 0..progress {
        push(&Draft::progress(&Progress::percent(f64::from(done)).with_message("building \u{1F4E8}")));
    }
    push(&Draft::succeeded(&json("null")));
    events
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).expect("JSON")
}

/// The bytes of events, in a form that tells which ones differ.
pub(crate) fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8_lossy(event.json()).into_owned()).collect()
}

/// Reads a follower to its end: the events, and where it ended so, the error.
pub(crate) async fn read(follower: &mut Follower) -> (Vec<Event>, Option<Error>) {
    let mut events = Vec::new();
    while let Some(update) = follower.next().await {
        match update {
            Ok(Update::Event(event)) => events.push(event),
            Ok(other) => panic!("no gap was expected: {other:?}"),
            Err(error) => {
                assert!(follower.next().await.is_none(), "an error is the last item");
                return (events, Some(error));
            }
        }
    }
    assert!(follower.next().await.is_none(), "the end is the end");
    (events, None)
}

/// The body of short and long polling.
pub(crate) fn page(events: &[Event], cursor: Cursor, more_done: (bool, bool), gap: Option<(u64, u64)>) -> String {
    let (more, done) = more_done;
    let gap = gap.map_or_else(
        || "null".to_owned(),
        |(requested, resumed_at)| format!(r#"{{"requested":{requested},"resumed_at":{resumed_at}}}"#),
    );
    let events = texts(events).join(",");
    format!(
        r#"{{"job":{{"seq":{}}},"events":[{events}],"cursor":"{cursor}","more":{more},"done":{done},"gap":{gap}}}"#,
        cursor.number()
    )
}

/// A block of an event stream.
pub(crate) fn block(event: &Event) -> String {
    let json = String::from_utf8_lossy(event.json());
    format!("id: {}\nevent: {}\ndata: {json}\n\n", event.cursor(), event.kind())
}

/// An event stream with these events, as a server begins it.
pub(crate) fn blocks(events: &[Event]) -> String {
    format!("retry: 2000\n{}", events.iter().map(block).collect::<String>())
}

/// A page with these events, the last of which is the newest that there is.
pub(crate) fn next_page(events: &[Event]) -> Reply {
    let last = events.last().expect("a page with news");
    Reply::json(page(events, last.cursor(), (false, last.is_terminal()), None))
}

/// A page without events.
pub(crate) fn nothing_new(cursor: Cursor) -> Reply {
    Reply::json(page(&[], cursor, (false, false), None))
}

/// A job as its server shows it, as of this seq, with links for these transports.
pub(crate) fn job_json(id: JobId, cursor: Cursor, transports: &[&str]) -> String {
    let links = transports.iter().map(|name| format!(r#","{name}":"/api/jobs/{id}/{name}""#)).collect::<String>();
    let seq = cursor.number();
    format!(
        concat!(
            r#"{{"id":"{id}","kind":"pipeline","state":"running","seq":{seq},"cursor":"{cursor}","attempt":1,"#,
            r#""input":{{}},"progress":null,"result":null,"error":null,"cancel_requested":false,"#,
            r#""created_at":"2026-11-21T10:00:00.000Z","started_at":"2026-11-21T10:00:00.000Z","#,
            r#""updated_at":"2026-11-21T10:00:00.000Z","finished_at":null,"#,
            r#""links":{{"self":"/api/jobs/{id}"{links}}}}}"#
        ),
        id = id,
        seq = seq,
        cursor = cursor,
        links = links,
    )
}
