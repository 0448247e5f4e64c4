//! The command line: what can be asked for, and how `--help` says so.

use std::{ffi::OsString, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use tidings_client::{Client, Config, HttpClient, JobId, Json, Kind, State, Transport, Uri};

use crate::exit;

/// How long a person waits for the answer to a question, tries after failures included.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server has to answer before the user is told that it does not.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// Long jobs, told to whoever waits for them: submit jobs to a Tidings server, follow them, cancel them, and run any
/// command here as a job that others can watch.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, after_help = exit::HELP)]
pub(crate) struct Arguments {
    /// The server: its URL, with the prefix that Tidings is mounted under if there is one
    #[arg(long, value_name = "URL", env = "TIDINGS_URL", default_value = "http://127.0.0.1:7330", global = true)]
    #[arg(value_parser = server)]
    pub(crate) server: Server,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) struct Server(Uri);

impl Server {
    /// A client for one question.
    pub(crate) fn client(&self) -> Result<Client, tidings_client::Error> {
        let mut config = Config::default();
        config.retry_for = PATIENCE;
        self.client_with(config)
    }

    /// A client that asks whether the server is there at all.
    pub(crate) fn impatient_client(&self) -> Result<Client, tidings_client::Error> {
        let mut config = Config::default();
        config.retry_for = PATIENCE;
        config.connect_timeout = PATIENCE;
        config.answer_timeout = PATIENCE;
        config.longest_pause = SOON;
        self.client_with(config)
    }

    pub(crate) fn client_with(&self, config: Config) -> Result<Client, tidings_client::Error> {
        Client::with_http(self.0.clone(), HttpClient::new(config))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Submit a job, and print its id
    #[command(after_help = exit::HELP)]
    Submit(Submit),
    /// Follow jobs until they are over
    ///
    /// On a terminal their progress is shown as bars, with the lines they print above; into a pipe go these lines alone.
    /// Another transport is taken up where one fails, and no line is shown twice or lost.
    #[command(after_help = exit::HELP)]
    Follow(Follow),
    /// Ask for jobs to be cancelled
    Cancel(Cancel),
    /// List jobs, the newest first
    List(List),
    /// Run a command here as a job that others can watch and cancel
    ///
    /// The command runs as if it were run without: on a terminal if this is one, with the same input, and its output
    /// unchanged and at once. Its lines become the job's log, a percentage that it prints the job's progress, its exit
    /// code the outcome and the exit code of `tidings`. The address to watch at is printed to stderr.
    ///
    /// Ctrl-C cancels the job: the command and all that it has started get SIGTERM, and 5 s later SIGKILL; a second
    /// Ctrl-C kills at once. A cancel by anybody else does the same. Ctrl-Z does nothing, as a job can't be paused.
    ///
    /// The server may be away, from the beginning too: the command does not wait for it. What it has to be told is kept
    /// up to a bound, the oldest lines are left out where there are more, and both the log and stderr say how many.
    ///
    /// The command line and its output can be read by whoever can read the server's jobs.
    #[command(after_help = exit::HELP)]
    Run(Run),
    /// Print the completions for a shell, to be sourced from its configuration
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Submit {
    /// What sort of job, such as `pipeline`
    #[arg(value_parser = kind)]
    pub(crate) kind: Kind,
    /// What it works on, as JSON; `-` reads it from standard input
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub(crate) input: String,
    /// Follow the job until it is over, as `tidings follow` does
    #[arg(long)]
    pub(crate) follow: bool,
    /// Submit one job under this key, however often it is done
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

#[derive(Args, Debug)]
pub(crate) struct Follow {
    /// The ids of the jobs
    #[arg(required = true, value_name = "JOB", value_parser = job)]
    pub(crate) jobs: Vec<JobId>,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How jobs are followed and shown.
#[derive(Args, Debug)]
pub(crate) struct Reading {
    /// Print one JSON object a line: the events as the server sent them
    #[arg(long)]
    pub(crate) json: bool,
    /// Use this transport alone, or these in this order, and not whichever works best
    #[arg(long = "transport", value_name = "NAME", value_delimiter = ',', value_parser = transports())]
    pub(crate) transports: Vec<Transport>,
}

#[derive(Args, Debug)]
pub(crate) struct Cancel {
    /// The ids of the jobs
    #[arg(required = true, value_name = "JOB", value_parser = job)]
    pub(crate) jobs: Vec<JobId>,
    /// Why, for those who follow them
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only jobs in this state
    #[arg(long, value_parser = states())]
    pub(crate) state: Option<State>,
    /// Only jobs of this kind
    #[arg(long, value_parser = kind)]
    pub(crate) kind: Option<Kind>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Print one JSON object a line: the jobs as the server sent them
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// What sort of job the server is told it is
    #[arg(long, default_value = "command", value_parser = kind)]
    pub(crate) kind: Kind,
    /// After how many seconds without a word from here the server takes the command for lost
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u32).range(5..=86_400))]
    pub(crate) lease: u32,
    /// How much is kept for a server that is away, in bytes: `65536`, `512K` or `16M`
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = bytes)]
    pub(crate) buffer: usize,
    /// How many seconds the server has to take the rest once the command has ended
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub(crate) linger: u32,
    /// The command and its arguments, after `--`
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

fn server(text: &str) -> Result<Server, String> {
    let server = Server(text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?);
    // It would be shown to whoever is told where to watch, and help nobody: the server asks for none.
    if server.0.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("a URL with a user or a password is not supported".to_owned());
    }
    server.client().map_err(|error| error.to_string())?;
    Ok(server)
}

fn job(text: &str) -> Result<JobId, &'static str> {
    text.parse().map_err(|_| "a job's id looks like 01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10")
}

fn kind(text: &str) -> Result<Kind, &'static str> {
    text.parse().map_err(|_| "a kind is up to 64 of a-z, 0-9, _ and -, and begins with a letter")
}

fn transports() -> impl TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name)).try_map(|name| name.parse::<Transport>())
}

fn states() -> impl TypedValueParser<Value = State> {
    let states = [State::Queued, State::Running, State::Succeeded, State::Failed, State::Cancelled];
    PossibleValuesParser::new(states.map(State::as_str)).try_map(|name| name.parse::<State>())
}

fn bytes(text: &str) -> Result<usize, &'static str> {
    const WRONG: &str = "a size is a number of bytes, or one with K or M behind it";
    let (number, unit) = match text.strip_suffix(['K', 'k']) {
        Some(number) => (number, 1024),
        None => text.strip_suffix(['M', 'm']).map_or((text, 1), |number| (number, 1024 * 1024)),
    };
    number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)).ok_or(WRONG)
}

impl Submit {
    /// What the job works on.
    pub(crate) fn read_input(&self) -> Result<Json, String> {
        let text = match self.input.as_str() {
            "-" => std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string())?,
            text => text.to_owned(),
        };
        Json::parse(text.as_bytes()).map_err(|error| format!("the input is no JSON: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    const JOB: &str = "01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10";

    fn parse(line: &[&str]) -> Result<Arguments, ErrorKind> {
        Arguments::try_parse_from([&["tidings"], line].concat()).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_is_the_command_whatever_it_looks_like() {
        let Ok(Arguments { command: Command::Run(run), .. }) = parse(&["run", "--", "ls", "--json", "--", "-x"]) else {
            panic!("it is a command line");
        };
        assert_eq!(run.command, ["ls", "--json", "--", "-x"]);
        assert_eq!(parse(&["run", "ls"]).expect_err("no dashes"), ErrorKind::UnknownArgument);
        assert_eq!(parse(&["run", "--"]).expect_err("no command"), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn transports_are_an_order() {
        let line = ["follow", JOB, "--transport", "short-poll,sse"];
        let Ok(Arguments { command: Command::Follow(follow), .. }) = parse(&line) else {
            panic!("it is a command line");
        };
        assert_eq!(follow.reading.transports, [Transport::ShortPoll, Transport::Sse]);
        assert_eq!(parse(&["follow", JOB, "--transport", "amqp"]).expect_err("no HTTP"), ErrorKind::InvalidValue);
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_asked() {
        for line in [
            &["follow", "no-id"][..],
            &["submit", "Kind"],
            &["list", "--limit", "0"],
            &["run", "--lease", "4", "--", "ls"],
            &["run", "--buffer", "1G", "--", "ls"],
            &["list", "--server", "https://127.0.0.1"],
            &["list", "--server", "no url"],
            &["list", "--server", "http://user:secret@127.0.0.1"],
        ] {
            assert_eq!(parse(line).expect_err("it makes no sense"), ErrorKind::ValueValidation, "{line:?}");
        }
        assert_eq!(parse(&["list", "--state", "asleep"]).expect_err("no state"), ErrorKind::InvalidValue);
    }

    #[test]
    fn sizes_may_have_a_unit() {
        assert_eq!([bytes("7"), bytes("512K"), bytes("16M")], [Ok(7), Ok(512 * 1024), Ok(16 * 1024 * 1024)]);
        for wrong in ["", "K", "1.5M", "-1", "99999999999999M"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
