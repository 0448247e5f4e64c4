//! A job that the test itself reports, so that it decides what happens when.

use serde_json::{Value, json};

use crate::support::{Answer, Server};

/// A job of kind `import` that runs nowhere.
#[derive(Debug)]
pub(crate) struct External<'a> {
    server: &'a Server,
    pub(crate) id: String,
    token: String,
}

impl<'a> External<'a> {
    pub(crate) fn open(server: &'a Server) -> Self {
        let answer = server.post("/jobs", &json!({ "kind": "import", "worker": "external", "lease_seconds": 3600 }));
        assert_eq!(answer.status, 202, "{answer:?}");
        let job = answer.json();
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self { server, id: text(&job["id"]), token: text(&job["report"]["token"]) }
    }

    /// Reports one event.
    pub(crate) fn report(&self, kind: &str, data: Value) {
        let event = json!({ "type": kind, "data": data });
        self.send("application/json", &event.to_string());
    }

    /// Reports a line of its log for each number: the word `line` and the number.
    pub(crate) fn count(&self, numbers: impl IntoIterator<Item = usize>) {
        self.log(numbers.into_iter().map(|number| format!("line {number}")));
    }

    /// Reports lines of its log.
    pub(crate) fn log<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) {
        let event = |line: S| {
            let data = json!({ "stream": "stdout", "line": line.as_ref() });
            json!({ "type": "log", "data": data }).to_string() + "\n"
        };
        let events: String = lines.into_iter().map(event).collect();
        self.send("application/x-ndjson", &events);
    }

    pub(crate) fn succeed(&self) {
        self.report("succeeded", json!({ "result": "all of it" }));
    }

    fn send(&self, content_type: &str, body: &str) {
        let (address, id, token, length) = (self.server.address, &self.id, &self.token, body.len());
        let head = format!("POST /jobs/{id}/events HTTP/1.1\r\nhost: {address}\r\nconnection: close");
        let fields =
            format!("authorization: Bearer {token}\r\ncontent-type: {content_type}\r\ncontent-length: {length}");
        let answer: Answer = self.server.ask(&format!("{head}\r\n{fields}\r\n\r\n{body}"));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
