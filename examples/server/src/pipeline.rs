//! Jobs of kind `pipeline`: commands that the config names, run one after another.

use std::{collections::BTreeMap, fs, future, io, path::Path, pin::pin, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tidings::{JobContext, JobError, Json, Progress, Worker};
use tidings_process::{Command, Launcher};
use tokio::time::{Instant, sleep};

use crate::{deploy, seconds};

/// What the server is told through its environment and commands have no business with: the broker's URL, which may hold
/// a password.
const SECRET_VARIABLE: &str = "TIDINGS_AMQP_URL";

/// Runs jobs of kind `pipeline`. A submission names one of the pipelines, and can't bring commands of its own.
#[derive(Debug)]
pub struct Pipelines {
    pipelines: BTreeMap<String, Pipeline>,
    launcher: Launcher,
}

/// The input of a submission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    pipeline: String,
}

impl Pipelines {
    /// Runs these, each under its name, with this launcher.
    #[must_use]
    pub fn new(pipelines: BTreeMap<String, Pipeline>, launcher: Launcher) -> Self {
        Self { pipelines, launcher }
    }

    /// What people may pick from, as JSON: `{"pipelines": [{"name": "deploy", "steps": ["install", …]}, …]}`, in the
    /// order of their names.
    #[must_use]
    pub fn listing(&self) -> String {
        let named = |(name, pipeline): (&String, &Pipeline)| {
            let steps: Vec<&str> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
            json!({ "name": name, "steps": steps })
        };
        let pipelines: Vec<_> = self.pipelines.iter().map(named).collect();
        json!({ "pipelines": pipelines }).to_string()
    }

    fn pick(&self, input: &Json) -> Result<(String, &Pipeline), String> {
        if !input.is_object() {
            return Err("the input is an object such as {\"pipeline\": \"deploy\"}".to_owned());
        }
        let Input { pipeline: name } = input.to().map_err(|error| error.to_string())?;
        match self.pipelines.get(&name) {
            Some(pipeline) => Ok((name, pipeline)),
            None => {
                let known: Vec<_> = self.pipelines.keys().map(String::as_str).collect();
                Err(format!("there is no pipeline {name:?}, only: {}", known.join(", ")))
            }
        }
    }
}

#[async_trait]
impl Worker for Pipelines {
    fn check(&self, input: &Json) -> Result<(), String> {
        self.pick(input).map(|_| ())
    }

    async fn run(&self, job: JobContext) -> Result<Json, JobError> {
        let (name, pipeline) = self.pick(job.input()).map_err(|why| JobError::new("invalid-input", why))?;
        let no_folder = |error: io::Error| JobError::new("scratch-folder", error.to_string());
        let folder = tempfile::Builder::new().prefix("tidings-").tempdir().map_err(no_folder)?;
        pipeline.write_files(folder.path()).map_err(no_folder)?;
        let outcome = pipeline.run(&job, &self.launcher, folder.path()).await;
        // There may be much in it, and removing it is no work for this thread.
        let removed = tokio::task::spawn_blocking(move || folder.close()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(job = %job.id(), %error, "a scratch folder can't be removed");
        }
        let steps = outcome?;
        let result = json!({ "pipeline": name, "steps": steps });
        Json::from_value(&result).map_err(|error| JobError::new("internal", error.to_string()))
    }
}

/// The pipelines that are there without any config.
pub(crate) fn shipped() -> BTreeMap<String, Pipeline> {
    BTreeMap::from([(deploy::NAME.to_owned(), deploy::pipeline())])
}

/// Steps that run one after another in one scratch folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Pipeline {
    /// What the scratch folder holds at the start: paths in it, and texts.
    #[serde(skip)]
    files: &'static [(&'static str, &'static str)],
    /// At least one.
    #[serde(deserialize_with = "not_empty")]
    steps: Vec<Step>,
}

impl Pipeline {
    pub(crate) fn new(steps: impl Into<Vec<Step>>) -> Self {
        Self { files: &[], steps: steps.into() }
    }

    #[must_use]
    pub(crate) fn with_files(self, files: &'static [(&'static str, &'static str)]) -> Self {
        Self { files, ..self }
    }

    /// Runs the steps, and gives how long each took.
    async fn run(
        &self,
        job: &JobContext,
        launcher: &Launcher,
        folder: &Path,
    ) -> Result<Vec<serde_json::Value>, JobError> {
        let total = self.steps.len();
        let progress = |done: usize| Progress::new(done as f64).with_total(total as f64).with_unit("steps");
        let mut took = Vec::new();
        for (done, step) in self.steps.iter().enumerate() {
            job.progress(progress(done).with_message(&step.name)).await?;
            let begun = Instant::now();
            step.run(job, launcher, folder).await?;
            took.push(json!({ "name": step.name, "seconds": begun.elapsed().as_secs_f64() }));
        }
        job.progress(progress(total)).await?;
        Ok(took)
    }

    fn write_files(&self, folder: &Path) -> io::Result<()> {
        for (path, text) in self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// One command of a pipeline.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Step {
    /// What people know it by; shown in the job's progress.
    name: String,
    /// The program and its arguments. No shell is involved.
    #[serde(deserialize_with = "program_and_arguments")]
    command: (String, Vec<String>),
    /// How long it may take. No limit by default but the job's own.
    #[serde(default, rename = "timeout_seconds", deserialize_with = "seconds::optional")]
    timeout: Option<Duration>,
    /// Variables besides those of the server.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Step {
    pub(crate) fn new(name: &str, program: &str, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            command: (program.to_owned(), arguments.iter().map(|&argument| argument.to_owned()).collect()),
            timeout: None,
            environment: BTreeMap::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn invocation(&self, job: &JobContext, folder: &Path) -> Command {
        let (program, arguments) = &self.command;
        self.environment
            .iter()
            .fold(Command::new(program), |command, (name, value)| command.with_variable(name, value))
            .with_arguments(arguments)
            .with_folder(folder)
            .with_variable("TIDINGS_JOB", job.id().to_string())
            .without_variable(SECRET_VARIABLE)
    }

    /// Runs the command until it and all its descendants have ended, whatever ends them.
    async fn run(&self, job: &JobContext, launcher: &Launcher, folder: &Path) -> Result<(), JobError> {
        let name = &self.name;
        let failed = |error: io::Error| JobError::new("cannot-start", format!("step `{name}`: {error}"));
        let mut running = launcher.start(self.invocation(job, folder)).map_err(failed)?;

        let mut limit = pin!(async {
            match self.timeout {
                Some(timeout) => sleep(timeout).await,
                None => future::pending().await,
            }
        });
        // Why the command was stopped, if it was.
        let mut stopped = None;
        loop {
            let why = tokio::select! {
                line = running.next_line() => match line {
                    Some((stream, line)) => job.log(stream.as_str(), &line).await.err().map(JobError::from),
                    None => break,
                },
                () = job.cancelled().cancelled(), if stopped.is_none() => Some(JobError::cancelled()),
                () = &mut limit, if stopped.is_none() => {
                    let seconds = self.timeout.unwrap_or_default().as_secs_f64();
                    Some(JobError::new("timeout", format!("step `{name}` took longer than {seconds} s")))
                }
            };
            if why.is_some() && stopped.is_none() {
                stopped = why;
                running.stop();
            }
        }
        let ending = running.wait().await.map_err(failed)?;
        match stopped {
            Some(why) => Err(why),
            None if ending.is_success() => Ok(()),
            None => Err(JobError::new("exit-status", format!("step `{name}`: {ending}"))),
        }
    }
}

fn program_and_arguments<'de, D: Deserializer<'de>>(from: D) -> Result<(String, Vec<String>), D::Error> {
    let mut words = not_empty(from)?.into_iter();
    // It is not empty.
    let program = words.next().unwrap_or_default();
    Ok((program, words.collect()))
}

fn not_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        return Err(serde::de::Error::custom("expected at least one"));
    }
    Ok(list)
}
