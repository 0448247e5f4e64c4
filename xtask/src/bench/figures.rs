//! What was measured, as it is kept in a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::numbers::{grouped, short};
use crate::Result;

/// All figures, by the part that they come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) parts: BTreeMap<String, Measurement>,
}

/// What one part has measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// The time of its end.
    pub(super) at: String,
    /// The commit that was built, where git tells it.
    pub(super) commit: Option<String>,
    pub(super) machine: Machine,
    /// What part of the server's core others took meanwhile: the median of all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) others_share: Option<f64>,
    pub(super) figures: Vec<Figure>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figure {
    pub(super) name: String,
    /// Of a figure that was taken at several points, which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<f64>,
    pub(super) unit: Unit,
    /// The median of all turns.
    pub(super) value: f64,
    /// Where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) turns: Vec<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unit {
    Nanoseconds,
    Bytes,
    PerSecond,
    Instructions,
    /// One figure divided by another.
    Ratio,
}

impl Figures {
    /// Reads what was kept.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// The same, but that there are none where nothing was kept.
    pub(super) fn read_if_there(path: &Path) -> Result<Self> {
        if path.exists() { Self::read(path) } else { Ok(Self::default()) }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(fs::write(path, text).map_err(|error| format!("can't write {}: {error}", path.display()))?)
    }

    /// A figure of a part.
    pub(super) fn find(&self, part: &str, name: &str, at: Option<f64>) -> Option<&Figure> {
        self.series(part, name).find(|figure| figure.at == at)
    }

    /// A figure of a part at all its points, in the order in which they were taken.
    pub(super) fn series(&self, part: &str, name: &str) -> impl Iterator<Item = &Figure> {
        let figures = self.parts.get(part).map(|measurement| measurement.figures.as_slice()).unwrap_or_default();
        figures.iter().filter(move |figure| figure.name == name)
    }
}

impl Figure {
    /// Its name, with the point.
    pub(super) fn full_name(&self) -> String {
        match self.at {
            Some(at) => format!("{}: {}", self.name, grouped(at)),
            None => self.name.clone(),
        }
    }

    /// The value as one reads it.
    pub(super) fn shown(&self) -> String {
        self.unit.show(self.value)
    }
}

impl Unit {
    /// A value as one reads it.
    pub(super) fn show(self, value: f64) -> String {
        let scaled = |steps: &[(f64, &str)], rest: &str| {
            let step = steps.iter().find(|(least, _)| value.abs() >= *least);
            step.map_or_else(
                || format!("{} {rest}", short(value)),
                |(least, unit)| format!("{} {unit}", short(value / least)),
            )
        };
        match self {
            Self::Nanoseconds => scaled(&[(1e9, "s"), (1e6, "ms"), (1e3, "µs")], "ns"),
            Self::Bytes => scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB")], "B"),
            Self::PerSecond => scaled(&[(1e6, "M/s")], "/s"),
            Self::Instructions => short(value),
            Self::Ratio => format!("{value:.2} ×"),
        }
    }

    /// Whether a larger value is the better one.
    pub(super) fn is_better_when_larger(self) -> bool {
        self == Self::PerSecond
    }
}

#[cfg(test)]
mod tests {
    use super::super::turns::Turns;
    use super::*;

    #[test]
    fn values_are_shown_with_a_unit_that_fits() {
        let shown = [
            Unit::Nanoseconds.show(4567.0),
            Unit::Nanoseconds.show(63e6),
            Unit::Nanoseconds.show(12.34),
            Unit::Bytes.show(1536.0),
            Unit::Bytes.show(80.0),
            Unit::PerSecond.show(2_934_567.0),
            Unit::PerSecond.show(147_900.0),
            Unit::Instructions.show(1234.0),
            Unit::Ratio.show(1.0456),
        ];
        let expected = ["4.57 µs", "63 ms", "12.3 ns", "1.54 kB", "80 B", "2.93 M/s", "148,000 /s", "1,230", "1.05 ×"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        assert_eq!(Figures::read_if_there(&path).unwrap(), Figures::default());
        assert!(Figures::read(&path).is_err(), "who names a file means it");

        let mut turns = Turns::default();
        [3.0, 1.0, 2.0].into_iter().for_each(|value| turns.add("one", Unit::PerSecond, value));
        turns.add_at("two", 1000.0, Unit::Bytes, 4.5);
        let measurement = Measurement {
            at: "2026-11-22T00:00:00Z".to_owned(),
            commit: None,
            machine: Machine::default(),
            others_share: None,
            figures: turns.figures(),
        };
        let kept = Figures { parts: BTreeMap::from([("server".to_owned(), measurement)]) };
        kept.write(&path).unwrap();
        let read = Figures::read_if_there(&path).unwrap();
        assert_eq!(read, kept);
        assert_eq!(read.find("server", "one", None).map(|figure| figure.value), Some(2.0));
        assert_eq!(read.find("server", "two", None), None);
        assert_eq!(read.series("server", "two").next().and_then(|figure| figure.at), Some(1000.0));

        fs::write(&path, "{").unwrap();
        assert!(Figures::read_if_there(&path).is_err());
    }
}
