//! Where people can watch a job.

use http::{Request, header};
use tidings_client::{Client, Job};

/// Where people can watch a job: on the server's page, if it has one, else as a stream.
pub(crate) async fn address(client: &Client, job: &Job) -> String {
    let base = client.base().to_string();
    let base = base.trim_end_matches('/');
    if has_page(client, base).await {
        return format!("{base}/#/jobs/{}", job.id());
    }
    let link = job.link("sse").or_else(|| job.link("self"));
    let link = link.and_then(|link| tidings_client::resolve(client.base(), link).ok());
    link.map_or_else(|| format!("{base}/jobs/{}", job.id()), |link| link.to_string())
}

async fn has_page(client: &Client, base: &str) -> bool {
    let Ok(request) = Request::get(format!("{base}/")).header(header::ACCEPT, "text/html").body(Default::default())
    else {
        return false;
    };
    client.http().send(request).await.is_ok_and(|answer| {
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        answer.status().is_success() && kind.is_some_and(|kind| kind.starts_with("text/html"))
    })
}
