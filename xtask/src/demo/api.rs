//! What the demo asks the server besides following: what it mounts, and to run a job.

use http::{Request, Response, StatusCode};
use serde_json::{Map, Value};
use tidings_client::{HttpClient, JobId, Uri, resolve};

use crate::Result;

/// The job: the pipeline that ships with the server.
pub(super) const SUBMISSION: &str = r#"{"kind":"pipeline","input":{"pipeline":"deploy"}}"#;

/// The server's HTTP interface. Its connections are not the followers', so that it does not count.
pub(super) struct Api {
    client: HttpClient,
    base: Uri,
}

/// A job that was submitted.
pub(super) struct Job {
    pub(super) id: JobId,
    base: Uri,
    /// How it is reached over each transport.
    links: Map<String, Value>,
}

impl Api {
    pub(super) fn new(base: Uri) -> Self {
        Self { client: HttpClient::default(), base }
    }

    /// The names of the transports that the server mounts.
    pub(super) async fn transports(&self) -> Result<Vec<String>> {
        let request = Request::get(resolve(&self.base, "/transports")?).body(Default::default())?;
        let answer = expect(StatusCode::OK, self.client.send(request).await?)?;
        let transports = answer["transports"].as_array().ok_or("GET /transports answers no list")?;
        Ok(transports.iter().filter_map(|transport| transport["name"].as_str()).map(str::to_owned).collect())
    }

    pub(super) async fn submit(&self) -> Result<Job> {
        let request = Request::post(resolve(&self.base, "/jobs")?).body(SUBMISSION.into())?;
        let mut answer = expect(StatusCode::ACCEPTED, self.client.send(request).await?)?;
        let id = answer["id"].as_str().and_then(|id| id.parse().ok()).ok_or("POST /jobs answers without a job id")?;
        let Value::Object(links) = answer["links"].take() else {
            return Err("POST /jobs answers without links".into());
        };
        Ok(Job { id, base: self.base.clone(), links })
    }
}

impl Job {
    /// Where it is followed over a transport that is spoken over HTTP.
    pub(super) fn url(&self, transport: &str) -> Result<Uri> {
        let link = self.links.get(transport).and_then(Value::as_str);
        let link = link.ok_or_else(|| format!("the job has no link for {transport}"))?;
        Ok(resolve(&self.base, link)?)
    }
}

fn expect(status: StatusCode, answer: Response<impl AsRef<[u8]>>) -> Result<Value> {
    let body = answer.body().as_ref();
    if answer.status() != status {
        return Err(format!("the server answers {}: {}", answer.status(), String::from_utf8_lossy(body)).into());
    }
    Ok(serde_json::from_slice(body)?)
}
