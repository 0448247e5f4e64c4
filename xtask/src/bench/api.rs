//! Jobs that are opened and reported over HTTP, over one connection that waits for its answers.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddrV4, TcpStream};

use serde_json::Value;

use super::answers::{Answers, Part};
use crate::Result;

/// So many requests are sent before their answers are read. All that is said of them fits into the sockets' buffers.
const AT_ONCE: usize = 32;
/// As many events as one request brings, where it is not the requests that are measured.
const EVENTS_AT_ONCE: usize = 100;
/// No run takes as long.
const LEASE_SECONDS: u32 = 3600;

/// A connection that jobs are opened over.
#[derive(Debug)]
pub(super) struct Api {
    address: SocketAddrV4,
    connection: TcpStream,
    answers: Answers,
    buffer: Vec<u8>,
}

/// A job that runs here, as far as the server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) token: String,
}

impl Api {
    pub(super) fn connect(address: SocketAddrV4) -> Result<Self> {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        Ok(Self::over(address, connection))
    }

    /// Uses a connection of somebody else's, to whom [`into_connection`](Self::into_connection) gives it back.
    pub(super) fn over(address: SocketAddrV4, connection: TcpStream) -> Self {
        Self { address, connection, answers: Answers::default(), buffer: vec![0; 64 * 1024] }
    }

    pub(super) fn into_connection(self) -> TcpStream {
        self.connection
    }

    /// Opens so many jobs.
    pub(super) fn open(&mut self, count: usize) -> Result<Vec<Job>> {
        let body = format!(r#"{{"kind":"bench","input":{{}},"worker":"external","lease_seconds":{LEASE_SECONDS}}}"#);
        let request = post(self.address, "/jobs", None, &body);
        let mut jobs = Vec::with_capacity(count);
        while jobs.len() < count {
            let requests = vec![request.clone(); AT_ONCE.min(count - jobs.len())];
            for answer in self.exchange(&requests)? {
                jobs.push(Job::parse(&answer).ok_or("the server's answer to a submission names no job")?);
            }
        }
        Ok(jobs)
    }

    /// Ends these jobs.
    pub(super) fn finish(&mut self, jobs: &[Job]) -> Result<()> {
        let body = r#"{"type":"succeeded","data":{"result":null}}"#;
        for jobs in jobs.chunks(AT_ONCE) {
            let requests: Vec<_> = jobs.iter().map(|job| job.report(self.address, body)).collect();
            self.exchange(&requests)?;
        }
        Ok(())
    }

    /// Looks at a job so many times, each after the answer to the one before.
    pub(super) fn look(&mut self, job: &Job, times: usize) -> Result<()> {
        let request = get(self.address, &format!("/jobs/{}", job.id));
        (0..times).try_for_each(|_| self.exchange(std::slice::from_ref(&request)).map(drop))
    }

    /// Polls for the first events of a job, which has some.
    pub(super) fn poll(&mut self, job: &Job) -> Result<()> {
        self.exchange(&[get(self.address, &format!("/jobs/{}/long-poll?after=0", job.id))]).map(drop)
    }

    /// Reports so many events of a job, with so many bytes of data each.
    pub(super) fn fill(&mut self, job: &Job, count: usize, size: usize) -> Result<()> {
        let event = event(0, size);
        for first in (0..count).step_by(EVENTS_AT_ONCE) {
            let events = vec![event.as_str(); EVENTS_AT_ONCE.min(count - first)];
            self.exchange(&[job.report(self.address, &format!("[{}]", events.join(",")))])?;
        }
        Ok(())
    }

    /// Waits until the server has accepted all connections that were made before: it accepts them in their order.
    pub(super) fn wait_for_earlier(address: SocketAddrV4) -> Result<()> {
        Self::connect(address)?.exchange(&[get(address, "/healthz")]).map(drop)
    }

    /// Sends requests, and gives the bodies of their answers. All have to succeed.
    fn exchange(&mut self, requests: &[String]) -> Result<Vec<Vec<u8>>> {
        self.connection.write_all(requests.concat().as_bytes())?;
        let (mut bodies, mut body, mut refused) = (Vec::with_capacity(requests.len()), Vec::new(), None);
        while bodies.len() < requests.len() {
            let read = self.connection.read(&mut self.buffer)?;
            if read == 0 {
                return Err("the server has closed the connection".into());
            }
            self.answers.feed(&self.buffer[..read], |part| match part {
                Part::Head(status) if status >= 300 => refused = Some(status),
                Part::Head(_) => {}
                Part::Body(bytes) => body.extend_from_slice(bytes),
                Part::End => bodies.push(std::mem::take(&mut body)),
            })?;
        }
        match refused {
            Some(status) => Err(format!("the server refuses what is needed here: {status}").into()),
            None => Ok(bodies),
        }
    }
}

impl Job {
    /// Reads the answer to a submission.
    fn parse(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self { id: text(&answer["id"])?, token: text(&answer["report"]["token"])? })
    }

    /// A request that reports events.
    pub(super) fn report(&self, address: SocketAddrV4, body: &str) -> String {
        post(address, &format!("/jobs/{}/events", self.id), Some(&self.token), body)
    }
}

/// A request for what is at this path.
pub(super) fn get(address: SocketAddrV4, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

fn post(address: SocketAddrV4, path: &str, token: Option<&str>, body: &str) -> String {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    if let Some(token) = token {
        let _ = write!(request, "Authorization: Bearer {token}\r\n");
    }
    let _ = write!(request, "Content-Length: {}\r\n\r\n{body}", body.len());
    request
}

/// An event whose data are so many bytes, the stamp among them.
pub(super) fn event(stamp: u64, size: usize) -> String {
    let data = format!(r#"{{"t":{stamp},"text":""#);
    // The rest: quote and brace.
    let text = "abcdefghijklmnopqrstuvwxyz".chars().cycle().take(size.saturating_sub(data.len() + 2));
    let mut event = String::with_capacity(size + 40);
    event.push_str(r#"{"type":"tick","data":"#);
    event.push_str(&data);
    event.extend(text);
    event.push_str("\"}}");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_size_that_was_asked_for() {
        for (stamp, size) in [(0, 50), (u64::MAX, 50), (123_456_789, 200), (1, 16 * 1024)] {
            let event: Value = serde_json::from_str(&event(stamp, size)).unwrap();
            assert_eq!(event["data"]["t"], stamp);
            assert_eq!(event["data"].to_string().len(), size);
        }
    }

    #[test]
    fn a_job_is_read_from_the_answer_to_its_submission() {
        let answer = br#"{"id":"0193","kind":"bench","report":{"href":"/jobs/0193/events","token":"secret"}}"#;
        let job = Job { id: "0193".to_owned(), token: "secret".to_owned() };
        assert_eq!(Job::parse(answer), Some(job));
        assert_eq!(Job::parse(br#"{"id":"0193"}"#), None);
    }
}
