//! The config file and the command line.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::Parser;
use serde::Deserialize;
use tidings::Retention;

use crate::{
    connections::Limits,
    pipeline::{self, Pipeline},
    transports::{Flags, Transports},
};

/// Runs jobs, and tells whoever waits for them what happens.
///
/// Without a config file it serves on this machine alone, with every limit at its default, and runs the pipeline
/// `deploy`. Its first line of output says where it listens. What it logs goes to standard error; the environment
/// variable RUST_LOG says how much (`info` by default).
#[derive(Debug, Parser)]
#[command(name = "tidings-server", version)]
pub struct Arguments {
    /// The config file, in TOML. Everything in it has a default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address and port to listen on; port 0 takes a free one. Names that clients know it by besides this address
    /// belong into `hosts` in the config. [default: 127.0.0.1:7330]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// The flags of the transports that have any.
    #[command(flatten)]
    pub transports: Flags,
}

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The address and port to listen on; port 0 takes a free one. 127.0.0.1:7330 by default.
    pub listen: SocketAddr,
    /// What `Host` may say besides the listening address: a request for another one is answered with 421. A name without a
    /// port goes with none and with the one that is listened on; another port is part of the name. `*` stands for any. None
    /// by default.
    pub hosts: Vec<String>,
    /// What every link begins with: a path such as `/tidings`, or a whole URL. Nothing by default.
    pub base: String,
    /// The limits on connections and on the heads of requests.
    pub connections: Limits,
    /// The limits on bodies and jobs.
    pub limits: tidings::Limits,
    /// What is kept of jobs and their events.
    pub retention: Retention,
    /// The knobs of the transports, by name.
    pub transports: Transports,
    /// The pipelines that jobs of kind `pipeline` pick from, by name. `deploy` is there by default.
    #[serde(deserialize_with = "with_shipped")]
    pub pipelines: BTreeMap<String, Pipeline>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7330)),
            hosts: Vec::new(),
            base: String::new(),
            connections: Limits::default(),
            limits: tidings::Limits::default(),
            retention: Retention::default(),
            transports: Transports::default(),
            pipelines: pipeline::shipped(),
        }
    }
}

impl Config {
    /// Puts together the config file, where there is one, and the arguments, which go before it.
    ///
    /// # Errors
    ///
    /// If the file can't be read, is no TOML, or has a key that is unknown or whose value is not one.
    pub fn load(arguments: &Arguments) -> Result<Self, Error> {
        let mut config = match &arguments.config {
            Some(path) => Self::from_file(path)?,
            None => Self::default(),
        };
        if let Some(listen) = arguments.listen {
            config.listen = listen;
        }
        config.transports = config.transports.with_flags(&arguments.transports);
        Ok(config)
    }

    fn from_file(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error(format!("{}: {error}", path.display())))?;
        toml::from_str(&text).map_err(|error| Error(format!("{}{}", path.display(), describe(&text, &error))))
    }
}

/// A pipeline of the file goes before the shipped one of its name.
fn with_shipped<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Pipeline>, D::Error> {
    let mut pipelines = pipeline::shipped();
    pipelines.extend(BTreeMap::<String, Pipeline>::deserialize(from)?);
    Ok(pipelines)
}

/// Where and what, without toml's own rendering: that shows the line, in which there may be a password.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return format!(": {message}");
    };
    let line = before.matches('\n').count();
    let key = text.lines().nth(line).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key {
        Some(key) => format!(", line {}, `{key}`: {message}", line + 1),
        None => format!(", line {}: {message}", line + 1),
    }
}

/// Why a config can't be used. Its text names the file, the line and the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| describe(text, &error))
    }

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    /// The example without the sections of transports that are not built.
    fn example() -> String {
        let text = include_str!("../config.example.toml").replace("\r\n", "\n");
        // The section of a transport that is not there by default is commented out.
        let uncommented = |line: &str| line.strip_prefix("# ").unwrap_or(line).to_owned();
        let header = |section: &str| section.lines().map(uncommented).find(|line| line.starts_with("[transports."));
        let is_built = |section: &&str| header(section).is_none_or(|header| parse(&header).is_ok());
        text.split("\n\n").filter(is_built).collect::<Vec<_>>().join("\n\n")
    }

    /// The keys of a section: whoever does not know one says which there are.
    fn keys(section: &str) -> Vec<String> {
        let error = parse(&format!("{section}\nno_such_key = 1")).expect_err("it is unknown");
        let (_, known) = error.split_once("expected ").unwrap_or_default();
        known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_example_says_what_the_defaults_are() {
        let example = parse(&example()).expect("the example is valid");
        assert_eq!(format!("{example:#?}"), format!("{:#?}", Config::default()));
    }

    #[test]
    fn the_example_names_every_key() {
        let example = example();
        let is_named = |key: &String| {
            let words = |line: &str| line.trim_start_matches("# ").split(['[', ']', '.', ' ']).any(|word| word == key);
            example.lines().filter(|line| line.contains(" = ") || line.contains('[')).any(words)
        };
        let sections = ["", "[connections]", "[limits]", "[retention]", "[[pipelines.a.steps]]"].map(str::to_owned);
        let transports = keys("[transports]").into_iter().map(|name| format!("[transports.{name}]"));
        for section in sections.into_iter().chain(transports) {
            let keys = keys(&section);
            assert!(!keys.is_empty(), "{section}");
            for key in keys {
                assert!(is_named(&key), "the example does not name `{key}` of {section}");
            }
        }
    }

    #[test]
    fn what_the_example_comments_out_is_valid_too() {
        let example = example();
        let lines = example.lines().map(|line| line.strip_prefix("# ").unwrap_or(line));
        let is_toml = |line: &&str| line.contains(" = ") && !line.contains('`') || line.starts_with('[');
        let config = parse(&lines.filter(is_toml).collect::<Vec<_>>().join("\n")).expect("it is valid");
        assert!(config.connections.connections.is_some());
        assert!(config.pipelines.contains_key("nightly"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = parse("[connections]\nheader_seconds = 1\nheder = 5\n").expect_err("it is unknown");
        assert!(error.starts_with(", line 3, `heder`: unknown field `heder`, expected one of"), "{error}");
        assert!(parse("typo = 1").expect_err("it is unknown").contains("unknown field `typo`"));
    }

    #[test]
    fn a_value_that_is_none_is_an_error_that_names_its_key() {
        let error = parse("\n[connections]\nheader_seconds = -1\n").expect_err("no time is negative");
        assert_eq!(error, ", line 3, `header_seconds`: expected a number of seconds, more than 0 and at most a year");
        let error = parse("listen = \"here\"").expect_err("no address");
        assert_eq!(error, ", line 1, `listen`: invalid socket address syntax");
    }

    #[test]
    fn times_need_not_be_whole() {
        let config = parse("[connections]\nfirst_byte_seconds = 0.25\nheader_seconds = 3").expect("valid");
        assert_eq!(config.connections.first_byte, Duration::from_millis(250));
        assert_eq!(config.connections.header, Duration::from_secs(3));
    }

    #[test]
    fn an_error_does_not_show_the_line_it_is_in() {
        let error = parse("base = \"http://user:hunter2@host\n").expect_err("the string has no end");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn pipelines_of_the_file_stand_beside_the_shipped_one() {
        let text = "[[pipelines.mine.steps]]\nname = \"only\"\ncommand = [\"true\"]\n";
        let config = parse(text).expect("valid");
        assert_eq!(config.pipelines.keys().collect::<Vec<_>>(), ["deploy", "mine"]);
    }
}
