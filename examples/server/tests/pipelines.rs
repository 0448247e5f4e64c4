//! Jobs of kind `pipeline`, run by the real program with real processes.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Server, ends, lines, lives};

/// A pipeline `mine` of steps that are shell scripts.
fn config(scripts: &[&str]) -> String {
    let step = |(number, script): (usize, &&str)| {
        format!("[[pipelines.mine.steps]]\nname = \"step {number}\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n")
    };
    scripts.iter().enumerate().map(step).collect()
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

fn last(events: &[Value]) -> &Value {
    events.last().expect("there are events")
}

#[test]
fn deploy_builds_tests_and_releases_a_program() {
    let server = Server::start("");
    let id = server.submit("deploy");
    let events = server.events(&id);
    assert_eq!(last(&events)["type"], "succeeded", "{events:#?}");
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().expect("a number")).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>());

    let lines = lines(&events);
    assert!(lines.len() > 40, "{lines:#?}");
    assert!(lines.iter().any(|line| line == "test counts_files ... ok"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("Installed package `tally")), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains('\x1B')), "cargo writes colours");
    let messages: Vec<_> = of_type(&events, "progress").iter().map(|data| data["message"].clone()).collect();
    assert_eq!(messages, [json!("install"), json!("build"), json!("test"), json!("release"), Value::Null]);
    let progress = of_type(&events, "progress").pop().expect("progress").clone();
    assert_eq!(progress, json!({ "done": 4, "total": 4, "unit": "steps", "message": null }));
}

#[test]
fn a_submission_picks_a_pipeline_and_brings_nothing_else() {
    let server = Server::start("");
    for input in [
        json!({ "pipeline": "unknown" }),
        json!({ "pipeline": "deploy", "steps": [{ "name": "own", "command": ["true"] }] }),
        json!({ "pipeline": ["deploy"] }),
        json!(["deploy"]),
        json!({}),
        json!(null),
    ] {
        let answer = server.post("/jobs", &json!({ "kind": "pipeline", "input": input }));
        answer.assert_problem(422, "invalid-input");
    }
    assert_eq!(server.get("/jobs").json()["jobs"], json!([]));
}

#[test]
fn the_pipelines_are_listed_by_name_and_without_their_commands() {
    let server = Server::start(&config(&["true", "echo secret"]));
    let answer = server.get("/pipelines");
    assert_eq!(answer.status, 200, "{answer:?}");
    let deploy = json!({ "name": "deploy", "steps": ["install", "build", "test", "release"] });
    let mine = json!({ "name": "mine", "steps": ["step 0", "step 1"] });
    assert_eq!(answer.json(), json!({ "pipelines": [deploy, mine] }));
    server.post("/pipelines", &json!({})).assert_problem(405, "method-not-allowed");
}

#[test]
fn steps_share_a_scratch_folder_that_is_gone_afterwards() {
    let server = Server::start(&config(&["pwd; echo $TIDINGS_JOB; echo kept > file", "cat file; ls -A | wc -l"]));
    let id = server.submit("mine");
    let lines = lines(&server.events(&id));
    assert_eq!(lines[1..], [id.as_str(), "kept", "1"].map(str::to_owned));
    assert!(Path::new(&lines[0]).is_absolute() && !Path::new(&lines[0]).exists(), "{}", lines[0]);
}

#[test]
fn a_step_that_fails_ends_the_job_and_is_named() {
    let server = Server::start(&config(&["true", "echo oh >&2; exit 7", "echo never"]));
    let events = server.events(&server.submit("mine"));
    assert_eq!(last(&events)["type"], "failed");
    let error = json!({ "code": "exit-status", "message": "step `step 1`: exit status 7" });
    assert_eq!(last(&events)["data"]["error"], error);
    assert_eq!(lines(&events), ["oh"]);
    assert_eq!(of_type(&events, "log")[0]["stream"], "stderr");
}

#[test]
fn a_step_that_takes_too_long_ends_the_job() {
    let config = config(&["setsid sleep 300 & echo $!; wait"]) + "timeout_seconds = 0.5\n";
    let server = Server::start(&config);
    let events = server.events(&server.submit("mine"));
    let error = json!({ "code": "timeout", "message": "step `step 0` took longer than 0.5 s" });
    assert_eq!(last(&events)["data"]["error"], error);
    assert!(!lives(&lines(&events)[0]));
}

#[test]
fn cancelling_ends_the_command_and_descendants_outside_its_group() {
    let server = Server::start(&config(&["setsid sleep 300 & echo $!; wait", "echo never"]));
    let id = server.submit("mine");
    let pid = server.first_line(&id);
    assert!(lives(&pid));
    let answer = server.post(&format!("/jobs/{id}/cancel"), &json!({ "reason": "enough" }));
    assert_eq!(answer.status, 202);
    let events = server.events(&id);
    assert_eq!(last(&events)["type"], "cancelled");
    assert_eq!(last(&events)["data"]["reason"], "enough");
    assert_eq!(lines(&events), [pid.as_str()]);
    assert!(!lives(&pid));
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_within_the_time_for_cancelling() {
    let server = Server::start(&config(&["trap '' TERM; echo $$; while :; do sleep 1; done"]));
    let id = server.submit("mine");
    let pid = server.first_line(&id);
    server.post(&format!("/jobs/{id}/cancel"), &json!({}));
    let events = server.events(&id);
    assert_eq!(last(&events)["type"], "cancelled");
    assert!(!lives(&pid));
}

#[test]
fn a_server_that_is_killed_leaves_no_process_behind() {
    let mut server = Server::start(&config(&["setsid sleep 300 & echo $!; wait"]));
    let pid = server.first_line(&server.submit("mine"));
    assert!(lives(&pid));
    server.signal(rustix::process::Signal::KILL);
    server.ended();
    ends(&pid);
}

#[test]
fn many_lines_of_any_bytes_arrive_in_order() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf '\\000\\377\\n'";
    let server = Server::start(&config(&[script]));
    let lines = lines(&server.events(&server.submit("mine")));
    let numbered = (0..2000).map(|number| format!("line {number}"));
    assert_eq!(lines, numbered.chain(["\0\u{FFFD}".to_owned()]).collect::<Vec<_>>());
}
