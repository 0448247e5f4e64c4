//! Progress bars: one for each job that is followed, below the lines that jobs print.

use std::{env, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;
use tidings_client::{EventType, JobId, Json, Update};

use crate::{show::end_of, text};

/// How finely a bar can show.
const FULL: u64 = 1000;

/// How often the time that a job has taken is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// What is shown of several jobs on a terminal.
#[derive(Debug)]
pub(crate) struct Bars {
    all: MultiProgress,
    lanes: Vec<ProgressBar>,
    /// What stands before the lines of each job.
    names: Vec<String>,
}

impl Bars {
    pub(crate) fn new(jobs: &[JobId], names: Vec<String>) -> Self {
        let all = MultiProgress::new();
        let lanes = jobs.iter().zip(&names).map(|(job, name)| {
            let bar = all.add(ProgressBar::new(FULL)).with_style(style(Known::Nothing));
            // Where there is only one, it has no name before its lines, and room for its whole id.
            let prefix = name.split(' ').next().filter(|name| !name.is_empty()).map(str::to_owned);
            bar.set_prefix(prefix.unwrap_or_else(|| job.to_string()));
            bar.enable_steady_tick(TICK);
            bar
        });
        let lanes = lanes.collect();
        Self { all, lanes, names }
    }

    /// What stands before the lines of this job.
    pub(crate) fn name(&self, lane: usize) -> Option<&String> {
        self.names.get(lane)
    }

    /// Writes while the bars are out of the way.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }

    /// Shows how far the job is.
    pub(crate) fn update(&self, lane: usize, update: &Update) {
        let Some(bar) = self.lanes.get(lane) else { return };
        match update {
            Update::Job(job) => {
                bar.set_message(job.snapshot().state.as_str());
                job.snapshot().progress.iter().for_each(|progress| show_progress(bar, progress));
            }
            Update::Event(event) => match event.kind() {
                EventType::Progress => show_progress(bar, &event.data()),
                kind if kind.is_terminal() => {
                    if *kind == EventType::Succeeded {
                        bar.set_position(FULL);
                    }
                    bar.abandon_with_message(end_of(event));
                }
                EventType::Log | EventType::Custom(_) => {}
                kind => bar.set_message(kind.as_str().to_owned()),
            },
            _ => {}
        }
    }

    /// Shows that nothing more will come of this job.
    pub(crate) fn lost(&self, lane: usize) {
        if let Some(bar) = self.lanes.get(lane) {
            bar.abandon_with_message("can't be followed");
        }
    }
}

/// The data of a `progress` event.
#[derive(Deserialize)]
struct Progress {
    done: f64,
    total: Option<f64>,
    unit: Option<String>,
    message: Option<String>,
}

fn show_progress(bar: &ProgressBar, data: &Json) {
    let Ok(Progress { done, total, unit, message }) = data.to::<Progress>() else { return };
    let unit = unit.as_deref().unwrap_or_default();
    let text = match total {
        Some(total) if unit == "%" && total == 100.0 => message.unwrap_or_default(),
        Some(total) => format!("{done} of {total} {unit}  {}", message.unwrap_or_default()),
        None => format!("{done} {unit}  {}", message.unwrap_or_default()),
    };
    bar.set_message(text::plain(&text).trim_end().to_owned());
    if let Some(total) = total.filter(|total| *total > 0.0) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and FULL")]
        let position = ((done / total).clamp(0.0, 1.0) * FULL as f64) as u64;
        bar.set_style(style(Known::Share));
        bar.set_position(position);
    }
}

/// What is known of how far a job is.
#[derive(Clone, Copy)]
enum Known {
    Nothing,
    Share,
}

fn style(known: Known) -> ProgressStyle {
    // https://no-color.org: set to anything but nothing.
    let colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let template = match (known, colours) {
        (Known::Nothing, _) => "{prefix} {spinner} {elapsed:>4}  {wide_msg}",
        (Known::Share, true) => "{prefix} [{bar:30.cyan}] {percent:>3} % {elapsed:>4}  {wide_msg}",
        (Known::Share, false) => "{prefix} [{bar:30}] {percent:>3} % {elapsed:>4}  {wide_msg}",
    };
    // The templates are sound, as the tests show.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    fn shown(data: &str) -> (u64, String) {
        let bar = ProgressBar::with_draw_target(Some(FULL), ProgressDrawTarget::hidden());
        show_progress(&bar, &Json::parse(data.as_bytes()).expect("JSON"));
        (bar.position(), bar.message())
    }

    #[test]
    fn a_share_moves_the_bar_and_other_units_are_written_out() {
        let percent = r#"{"done": 41.5, "total": 100, "unit": "%", "message": "building"}"#;
        assert_eq!(shown(percent), (415, "building".to_owned()));
        let steps = r#"{"done": 1, "total": 4, "unit": "steps", "message": "test"}"#;
        assert_eq!(shown(steps), (250, "1 of 4 steps  test".to_owned()));
        assert_eq!(shown(r#"{"done": 7, "total": null, "unit": null, "message": null}"#), (0, "7".to_owned()));
        assert_eq!(shown(r#"{"done": 9, "total": 4, "unit": null, "message": null}"#).0, FULL);
    }

    #[test]
    fn what_a_job_says_can_not_move_the_cursor() {
        assert_eq!(shown(r#"{"done": 1, "total": null, "unit": null, "message": "\u001b[2Ja\nb"}"#).1, "1   ab");
    }
}
