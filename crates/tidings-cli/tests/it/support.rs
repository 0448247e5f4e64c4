//! What the tests share: a server, the program, and how to wait for what it does.

use std::{fs, net::SocketAddr, process::Stdio, time::Duration};

use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tidings::{Body, Host, JobError, Json, Limits, Progress, long_poll::LongPoll, short_poll::ShortPoll, sse::Sse};
use tidings_client::{Client, EventType, JobId, ListFilter, Update};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinSet,
    time::timeout,
};
use tower_service::Service as _;

/// Ends a test that hangs; nothing waits for it.
const HANGS: Duration = Duration::from_secs(60);

/// The program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tidings");

/// Waits for what must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(HANGS, future).await.expect("it comes in time")
}

/// A server with a page, and with jobs of three kinds: `count` succeeds, `fail` fails, `wait` waits to be cancelled.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub(crate) async fn start_with(limits: Limits) -> Self {
        let builder = Host::builder()
            .with_limits(limits)
            .with_job("count".parse().expect("a kind"), |job| async move {
                for number in 1..=3_u32 {
                    job.log("stdout", &format!("line {number}")).await?;
                    job.progress(Progress::new(f64::from(number)).with_total(3.0).with_unit("lines")).await?;
                }
                job.log("stdout", "\u{1B}[31mred\u{9B}0m\u{202E}").await?;
                Ok(Json::null())
            })
            .with_job("fail".parse().expect("a kind"), |_| async { Err(JobError::new("broken", "it is broken")) })
            .with_job("wait".parse().expect("a kind"), |job| async move {
                job.log("stdout", "waiting").await?;
                job.cancelled().cancelled().await;
                Err(JobError::cancelled())
            });
        let builder = builder.mount(ShortPoll::default()).mount(LongPoll::default()).mount(Sse::default());
        let (host, driver) = builder.build().expect("a host");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(std::future::pending()));
        tasks.spawn(serve(listener, host));
        Self { address, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.url().parse().expect("a URL")).expect("a server's URL")
    }

    /// The only job that there is, once there is one.
    pub(crate) async fn job(&self) -> JobId {
        let client = self.client();
        soon(async {
            loop {
                let listing = client.list(&ListFilter::new()).await.expect("a list");
                assert!(listing.jobs.len() <= 1, "one job is one");
                match listing.jobs.first() {
                    Some(job) => return job.id(),
                    None => tokio::task::yield_now().await,
                }
            }
        })
        .await
    }

    /// The events of a job from the beginning up to the first for which this holds.
    pub(crate) async fn events_until(&self, job: JobId, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut follow = self.client().follow(job);
        let mut events = Vec::new();
        soon(async {
            while let Some(update) = follow.next().await {
                if let Update::Event(event) = update.expect("an event") {
                    let event = Event { kind: event.kind().clone(), data: event.data().to().expect("its data") };
                    let ends = is_last(&event);
                    events.push(event);
                    if ends {
                        break;
                    }
                }
            }
        })
        .await;
        events
    }

    /// All events of a job, once it is over.
    pub(crate) async fn events(&self, job: JobId) -> Vec<Event> {
        self.events_until(job, |event| event.kind.is_terminal()).await
    }

    /// Waits for a line of the only job.
    pub(crate) async fn line(&self, wanted: &str) {
        let events = self.events_until(self.job().await, |event| event.data["line"] == wanted).await;
        assert_eq!(events.last().expect("events").data["line"], wanted, "{events:#?}");
    }
}

/// An event, as far as the tests look at it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventType,
    pub(crate) data: Value,
}

/// The lines of the log.
pub(crate) fn lines(events: &[Event]) -> Vec<&str> {
    let log = events.iter().filter(|event| event.kind == EventType::Log);
    log.map(|event| event.data["line"].as_str().expect("a line")).collect()
}

/// How a job has ended.
pub(crate) fn end(events: &[Event]) -> (&str, &Value) {
    let last = events.last().expect("there are events");
    (last.kind.as_str(), &last.data)
}

async fn serve(listener: TcpListener, host: Host) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let host = host.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut host = host.clone();
            async move {
                if request.uri().path() != "/" {
                    return host.call(request).await;
                }
                let mut page = Response::new(Body::from("<!doctype html>"));
                page.headers_mut().insert(header::CONTENT_TYPE, "text/html; charset=utf-8".parse().expect("a value"));
                Ok(page)
            }
        });
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        connections.spawn(async { drop(connection.await) });
    }
}

/// The program, which is killed when this is dropped.
pub(crate) struct Tidings {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: BufReader<ChildStdout>,
    pub(crate) stderr: BufReader<ChildStderr>,
}

/// What the program has printed, and how it has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Tidings {
    pub(crate) fn start(url: &str, arguments: &[&str]) -> Self {
        Self::spawn(url, Command::new(PROGRAM).args(arguments))
    }

    /// Runs a shell script that becomes the program, as `$T`.
    pub(crate) fn from_shell(url: &str, script: &str) -> Self {
        Self::spawn(url, Command::new("sh").args(["-c", script]).env("T", PROGRAM))
    }

    fn spawn(url: &str, command: &mut Command) -> Self {
        let mut child = command
            .env("TIDINGS_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("a pipe")),
            stderr: BufReader::new(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Runs a shell script as a job.
    pub(crate) fn sh(url: &str, script: &str) -> Self {
        Self::start(url, &["run", "--", "sh", "-c", script])
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        rustix::process::kill_process(pid.expect("it has not been waited for"), signal).expect("it lives");
    }

    /// The next line of its standard output.
    pub(crate) async fn line(&mut self) -> String {
        line(&mut self.stdout).await
    }

    /// Reads its standard error up to a line with these words.
    pub(crate) async fn says(&mut self, words: &str) -> String {
        loop {
            let line = line(&mut self.stderr).await;
            assert!(!line.is_empty(), "it never said {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (out, err, status) = soon(async {
            tokio::join!(
                self.stdout.read_to_string(&mut stdout),
                self.stderr.read_to_string(&mut stderr),
                self.child.wait()
            )
        })
        .await;
        out.and(err).expect("its output is text");
        Ended { code: status.expect("its end is told").code().expect("an exit code"), stdout, stderr }
    }
}

async fn line(output: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> String {
    let mut line = String::new();
    soon(output.read_line(&mut line)).await.expect("text");
    line.trim_end().to_owned()
}

/// Whether a process lives. One that has ended and that nobody has looked at yet does not.
pub(crate) fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until a process has ended.
pub(crate) async fn ends(pid: &str) {
    soon(async {
        while lives(pid) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
