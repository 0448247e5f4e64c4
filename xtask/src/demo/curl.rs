//! What to try in a browser and with curl.

use tidings_client::JobId;

use super::api::SUBMISSION;

/// Lines to paste into another terminal, with the real address and the job that has just been followed.
///
/// `broker` is the URL of one that is the demo's own: the password of any other is nobody's business.
pub(super) fn to_try(server: &str, job: JobId, broker: Option<&str>) -> String {
    let mut text = format!(
        "\
The server goes on until Ctrl-C. In a browser, all jobs, and the one that you have just seen:

    {server}/
    {server}/#/jobs/{job}

In another terminal:

    # all jobs of this server as they happen; leave it open
    curl --no-buffer '{server}/events?after=now'

    # one more job: the answer's `links` say how to follow it
    curl --json '{SUBMISSION}' {server}/jobs

    # the job that you have just seen: as it is now, its events at once, held for news, and as a stream
    curl {server}/jobs/{job}
    curl {server}/jobs/{job}/short-poll
    curl '{server}/jobs/{job}/long-poll?wait=10'
    curl --no-buffer {server}/jobs/{job}/sse

    # a job that you report yourself: the answer's `report` has the token
    curl --json '{{\"kind\":\"backup\",\"worker\":\"external\",\"input\":null}}' {server}/jobs
    curl --json '{{\"type\":\"progress\",\"data\":{{\"done\":1,\"total\":2}}}}' \\
        --header 'Authorization: Bearer TOKEN' {server}/jobs/ID/events

    # what is mounted
    curl {server}/transports
"
    );
    if let Some(broker) = broker {
        text += &format!(
            "
    # events are published to the exchange tidings.events, and jobs are taken from the queue tidings.jobs, of
    {broker}
"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_name_the_server_and_the_job() {
        let (server, job) = ("http://127.0.0.1:7330", JobId::new());
        let text = to_try(server, job, None);
        let (lines, urls) = (text.matches("curl ").count(), text.matches(server).count());
        // Two more are for a browser.
        assert!(lines + 2 == urls && lines > 5, "{text}");
        assert!(text.contains(&format!("{server}/#/jobs/{job}\n")), "{text}");
        assert!(text.contains(&format!("{server}/jobs/{job}/sse")) && text.contains(SUBMISSION), "{text}");
        assert!(!text.contains("amqp://") && to_try(server, job, Some("amqp://here")).contains("amqp://here"));
    }
}
