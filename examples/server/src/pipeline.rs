//! Jobs of kind `pipeline`: commands that the config names, run one after another.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Deserializer};

use crate::{deploy, seconds};

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
    #[serde(deserialize_with = "not_empty")]
    command: Vec<String>,
    /// How long it may take. No limit by default but the job's own.
    #[serde(default, rename = "timeout_seconds", deserialize_with = "seconds::optional")]
    timeout: Option<Duration>,
    /// Variables besides those of the server.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Step {
    pub(crate) fn new(name: &str, command: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            command: command.iter().map(|&part| part.to_owned()).collect(),
            timeout: None,
            environment: BTreeMap::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }
}

fn not_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(from)?;
    if list.is_empty() {
        return Err(serde::de::Error::custom("expected at least one"));
    }
    Ok(list)
}
