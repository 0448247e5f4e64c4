//! HTTP/1.1 by hand, so that anything can be sent, and answers can be looked at byte for byte.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    mem,
    net::TcpStream,
};

use serde_json::Value;

use crate::support::{HANGS, Server};

/// A request, put together line by line. A `GET` leaves its connection open, so that the server may take it over from
/// its HTTP library; all others ask for it to be closed afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    target: String,
    host: Option<String>,
    fields: String,
    body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &'static str, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), host: None, fields: String::new(), body: Vec::new() }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn head(target: impl Into<String>) -> Self {
        Self::new("HEAD", target)
    }

    pub(crate) fn post(target: impl Into<String>, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().to_vec(), ..Self::new("POST", target) }
    }

    pub(crate) fn delete(target: impl Into<String>) -> Self {
        Self::new("DELETE", target)
    }

    /// Names another host than the one that is connected to.
    pub(crate) fn host(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// The whole request as bytes.
    pub(crate) fn bytes(&self, server: &Server) -> Vec<u8> {
        let Self { method, target, fields, body, .. } = self;
        let host = self.host.clone().unwrap_or_else(|| server.address.to_string());
        let length = match method {
            &"POST" => format!("content-length: {}\r\n", body.len()),
            _ => String::new(),
        };
        let connection = if *method == "GET" { "" } else { "connection: close\r\n" };
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n{connection}{fields}{length}\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Sends it, and reads the answer to its end.
    pub(crate) fn to(&self, server: &Server) -> Reply {
        raw(server, &self.bytes(server))
    }

    /// Sends it, and reads no more than the head of the answer.
    pub(crate) fn open(&self, server: &Server) -> Live {
        let mut live = Live::connect(server);
        live.send(self.bytes(server));
        live.read_head();
        live
    }
}

/// Sends any bytes on a connection of their own, and reads the answer to its end.
pub(crate) fn raw(server: &Server, request: &[u8]) -> Reply {
    let mut live = Live::connect(server);
    live.send(request);
    live.reply(if request.starts_with(b"HEAD ") { Has::HeadAlone } else { Has::Body })
}

/// Whether an answer has a body, or only says how long it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    Body,
    HeadAlone,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case, values as they came.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// The value of a field that is there once at most.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that it is this problem, with all that every problem has.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, name: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.field("cache-control"), Some("no-store"), "{self:?}");
        let json = self.json();
        assert_eq!(json["type"], format!("urn:tidings:problem:{name}"), "{self:?}");
        assert_eq!(json["status"], status, "{self:?}");
        assert!(json["title"].is_string() && json["detail"].is_string(), "{self:?}");
        let waits = status == 429 || status == 503;
        assert_eq!(self.field("retry-after").is_some(), waits, "{self:?}");
        self
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is there twice");
    value
}

/// An answer that is still being sent, or a request that is.
#[derive(Debug)]
pub(crate) struct Live {
    stream: BufReader<TcpStream>,
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    /// What came of the body so far.
    pub(crate) text: String,
}

impl Live {
    pub(crate) fn connect(server: &Server) -> Self {
        Self::over(server.connect())
    }

    /// On a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(HANGS)).expect("a time");
        Self { stream: BufReader::new(stream), status: 0, fields: Vec::new(), text: String::new() }
    }

    /// Sends bytes. A server that has answered may have closed already, which reading the answer will show.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Sends a piece of a chunked body.
    pub(crate) fn send_chunk(&mut self, piece: &str) {
        self.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }

    pub(crate) fn read_head(&mut self) {
        let status = self.line();
        self.status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            self.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// Reads on until `enough` says so of the body so far.
    #[track_caller]
    pub(crate) fn until(&mut self, enough: impl Fn(&str) -> bool) -> &str {
        while !enough(&self.text) {
            assert!(self.chunk(), "it ended with {:?}", self.text);
        }
        &self.text
    }

    /// The rest of the body, up to its end.
    pub(crate) fn rest(mut self) -> String {
        self.finish();
        self.text
    }

    /// Reads the rest of the body, and leaves the connection to the next answer.
    pub(crate) fn finish(&mut self) {
        while self.chunk() {}
    }

    /// What comes until the server closes.
    pub(crate) fn rest_of_connection(mut self) -> String {
        self.read_to_end()
    }

    /// The last answer on this connection.
    pub(crate) fn reply(mut self, has: Has) -> Reply {
        self.answer(has)
    }

    /// The next answer on this connection.
    pub(crate) fn answer(&mut self, has: Has) -> Reply {
        self.fields.clear();
        self.read_head();
        let length = self.field("content-length").map(|length| length.parse::<usize>().expect("a length"));
        let chunked = self.field("transfer-encoding") == Some("chunked");
        match (has, length) {
            (Has::HeadAlone, _) => assert_eq!(self.read_to_end(), "", "a body after a HEAD"),
            (Has::Body, Some(length)) => {
                let mut body = vec![0; length];
                self.stream.read_exact(&mut body).expect("a whole body");
                self.text = String::from_utf8(body).expect("text");
            }
            (Has::Body, None) if [204, 304].contains(&self.status) => {}
            (Has::Body, None) if chunked => self.finish(),
            (Has::Body, None) => self.text = self.read_to_end(),
        }
        Reply { status: self.status, fields: mem::take(&mut self.fields), body: mem::take(&mut self.text) }
    }

    /// One chunk; false at the end (RFC 9112, 7.1).
    fn chunk(&mut self) -> bool {
        let size = usize::from_str_radix(&self.line(), 16).expect("the size of a chunk");
        let mut piece = vec![0; size];
        self.stream.read_exact(&mut piece).expect("a whole chunk");
        assert_eq!(self.line(), "");
        self.text.push_str(&String::from_utf8(piece).expect("whole characters"));
        size > 0
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("it goes on");
        let line = line.strip_suffix("\r\n");
        line.expect("lines of HTTP end in CR LF").to_owned()
    }

    fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).expect("text");
        text
    }
}
