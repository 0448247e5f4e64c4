//! Shows how far each follower is: as bars on a terminal, elsewhere line by line.

use std::io::{self, IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use tidings_client::Event;

const BAR: &str = "{prefix} [{bar:30}] {percent:>3} %  {wide_msg}";
/// How finely a bar can show.
const FULL: u64 = 1000;

/// Where all followers are shown.
pub(super) struct Board {
    /// `None` where there is no terminal.
    bars: Option<MultiProgress>,
    /// The longest name's.
    width: usize,
}

/// Where one follower is shown.
pub(super) struct Lane {
    name: String,
    bar: Option<ProgressBar>,
    events: usize,
}

impl Board {
    pub(super) fn new<'a>(transports: impl Iterator<Item = &'a str>) -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, width: transports.map(str::len).max().unwrap_or_default() }
    }

    pub(super) fn lane(&self, transport: &str) -> Lane {
        let name = format!("{transport:<width$}", width = self.width);
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            bars.add(ProgressBar::new(FULL)).with_style(style).with_prefix(name.clone())
        });
        Lane { name, bar, events: 0 }
    }
}

impl Lane {
    /// Shows what an event says, as far as it is of interest.
    pub(super) fn show(&mut self, event: &Event) {
        self.events += 1;
        let data: Value = event.data().to().unwrap_or_default();
        match (event.kind().as_str(), &self.bar) {
            ("log", Some(bar)) => bar.set_message(self.line(data["line"].as_str().unwrap_or_default())),
            ("progress", bar) => {
                let (part, step) = (part(&data), data["message"].as_str().unwrap_or_default());
                match bar {
                    Some(bar) => {
                        bar.set_message(self.line(step));
                        bar.set_position(part.unwrap_or_else(|| bar.position()));
                    }
                    None => println!("{} {}", self.name, self.line(&format!("{} {step}", percent(part)))),
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(&self, failure: Option<&str>) {
        let end = self.line(failure.unwrap_or("done"));
        match &self.bar {
            Some(bar) => bar.abandon_with_message(end),
            None => println!("{} {end}", self.name),
        }
    }

    /// Without what could move a terminal's cursor: the text may be any program's output.
    fn line(&self, text: &str) -> String {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{:>5} events  {}", self.events, text.trim_end())
    }
}

/// How much of the job is done, of [`FULL`].
fn part(progress: &Value) -> Option<u64> {
    let (done, total) = (progress["done"].as_f64()?, progress["total"].as_f64()?);
    (total > 0.0).then(|| (done / total).clamp(0.0, 1.0) * FULL as f64).map(|part| part.round() as u64)
}

fn percent(part: Option<u64>) -> String {
    part.map_or_else(String::new, |part| format!("{:>3} %", part * 100 / FULL))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }

    #[test]
    fn the_part_that_is_done_is_between_nothing_and_all() {
        let part = |done: f64, total: Value| part(&json!({ "done": done, "total": total }));
        assert_eq!(part(1.0, json!(4)), Some(250));
        assert_eq!(part(5.0, json!(4)), Some(FULL));
        assert_eq!(part(1.0, Value::Null), None);
        assert_eq!(part(0.0, json!(0)), None);
    }

    #[test]
    fn no_text_moves_the_cursor() {
        let lane = Lane { name: "sse".to_owned(), bar: None, events: 7 };
        assert_eq!(lane.line("a\x1b[2Jb\rc"), "    7 events  a [2Jb c");
    }
}
