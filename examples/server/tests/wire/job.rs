//! A job that is reported from outside, with which any history can be written.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    client::{Ask, Reply},
    support::{HANGS, Server},
};

/// What a submission of such a job says. Its lease is longer than any test waits, so that its end ends no hold.
pub(crate) const EXTERNAL: &str = r#"{"kind":"build","input":{"n":1},"worker":"external","lease_seconds":3600}"#;

/// A pipeline whose only step goes on until somebody ends it, and just one at a time.
pub(crate) const WAITS: &str =
    "[limits]\nrunning = 1\n[[pipelines.waits.steps]]\nname = \"wait\"\ncommand = [\"sleep\", \"600\"]\n";

/// A submission of that pipeline.
pub(crate) const PIPELINE: &str = r#"{"kind":"pipeline","input":{"pipeline":"waits"}}"#;

/// A job, and the token to report it with.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    server: &'a Server,
    pub(crate) id: String,
    pub(crate) token: String,
}

impl<'a> Job<'a> {
    /// One that is open, with two events.
    pub(crate) fn open(server: &'a Server) -> Self {
        Self::submit(server, EXTERNAL)
    }

    /// One that is open and of this kind.
    pub(crate) fn of_kind(server: &'a Server, kind: &str) -> Self {
        Self::submit(server, &json!({ "kind": kind, "worker": "external" }).to_string())
    }

    /// One that is open and has a history of this many events.
    pub(crate) fn with_events(server: &'a Server, count: u64) -> Self {
        let job = Self::open(server);
        let notes: Vec<_> = (3..=count).map(|seq| json!({ "type": "note", "data": seq })).collect();
        job.report(&Value::from(notes).to_string());
        job
    }

    /// One that has succeeded, with three events.
    pub(crate) fn over(server: &'a Server) -> Self {
        let job = Self::open(server);
        job.succeed();
        job
    }

    pub(crate) fn submit(server: &'a Server, body: &str) -> Self {
        let accepted = Ask::post("/jobs", body).to(server).expect(202).json();
        let text = |value: &Value| value.as_str().expect("it is there").to_owned();
        Self { server, id: text(&accepted["id"]), token: text(&accepted["report"]["token"]) }
    }

    /// A path beneath the job's.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/jobs/{}{rest}", self.id)
    }

    pub(crate) fn get(&self, rest: &str) -> Reply {
        Ask::get(self.path(rest)).to(self.server)
    }

    /// A request that reports this body, to which more can be added.
    pub(crate) fn reporting(&self, body: &str) -> Ask {
        Ask::post(self.path("/events"), body).field("authorization", &format!("Bearer {}", self.token))
    }

    /// Reports events that are taken.
    #[track_caller]
    pub(crate) fn report(&self, body: &str) -> Value {
        self.reporting(body).to(self.server).expect(200).json()
    }

    #[track_caller]
    pub(crate) fn note(&self) -> Value {
        self.report(r#"{"type":"note","data":null}"#)
    }

    #[track_caller]
    pub(crate) fn succeed(&self) -> Value {
        self.report(r#"{"type":"succeeded","data":{"result":42}}"#)
    }

    pub(crate) fn snapshot(&self) -> Value {
        self.get("").expect(200).json()
    }

    pub(crate) fn cursor(&self) -> String {
        self.snapshot()["cursor"].as_str().expect("a cursor").to_owned()
    }

    /// The events that are kept, as each was sent.
    pub(crate) fn events(&self) -> Vec<String> {
        events_of(&self.get("/short-poll").expect(200).body)
    }
}

/// The events of a page, each as it was sent.
pub(crate) fn events_of(page: &str) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        events: Vec<&'a serde_json::value::RawValue>,
    }
    let page: Page<'_> = serde_json::from_str(page).expect("a page");
    page.events.iter().map(|event| event.get().to_owned()).collect()
}

/// Submits a job that runs in the server, and gives its id.
pub(crate) fn start(server: &Server) -> String {
    let accepted = Ask::post("/jobs", PIPELINE).to(server).expect(202);
    accepted.json()["id"].as_str().expect("an id").to_owned()
}

/// Asks again and again until the answer is as it is waited for.
#[track_caller]
pub(crate) fn wait_for(server: &Server, path: &str, awaited: impl Fn(&Reply) -> bool) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = Ask::get(path).to(server);
        if awaited(&reply) {
            return reply;
        }
        assert!(begun.elapsed() < HANGS, "{reply:?}");
        std::thread::yield_now();
    }
}
