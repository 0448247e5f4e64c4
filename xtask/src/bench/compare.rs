//! Figures beside those of an earlier run.

use super::figures::{Figure, Figures, Measurement};

/// A figure that is worse by more is pointed out.
const TOLERANCE: f64 = 0.10;

/// A figure beside an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// By what part the value has grown: 0.1 for a tenth.
    growth: f64,
    is_worse: bool,
}

impl Change {
    /// None where there is nothing to compare.
    fn of(now: &Figure, before: &Figure) -> Option<Self> {
        let growth = now.value / before.value - 1.0;
        if now.unit != before.unit || !growth.is_finite() {
            return None;
        }
        // So much more for the same, or the same for so much less.
        let loss = if now.unit.is_better_when_larger() { before.value / now.value - 1.0 } else { growth };
        Some(Self { growth, is_worse: loss > TOLERANCE })
    }

    fn shown(self) -> String {
        let mark = if self.is_worse { "  WORSE" } else { "" };
        format!("{:+.1} %{mark}", self.growth * 100.0)
    }
}

/// The table of a part's figures, beside those of an earlier run where there are such.
pub(super) fn table(measurement: &Measurement, earlier: Option<&Measurement>) -> String {
    let before = |figure: &Figure| {
        let same = |other: &&Figure| other.name == figure.name && other.at == figure.at;
        earlier.and_then(|earlier| earlier.figures.iter().find(same))
    };
    let row = |figure: &Figure| {
        let before = before(figure);
        let change = before.and_then(|before| Change::of(figure, before));
        [
            figure.full_name(),
            figure.shown(),
            before.map(Figure::shown).unwrap_or_default(),
            change.map(Change::shown).unwrap_or_default(),
        ]
    };
    aligned(&measurement.figures.iter().map(row).collect::<Vec<_>>())
}

/// How many figures are worse than before, and of how many.
pub(super) fn worse(now: &Figures, before: &Figures) -> (usize, usize) {
    let figures = now
        .parts
        .iter()
        .flat_map(|(part, measurement)| measurement.figures.iter().map(move |figure| (part.as_str(), figure)));
    let changes: Vec<_> =
        figures.filter_map(|(part, figure)| Change::of(figure, before.find(part, &figure.name, figure.at)?)).collect();
    (changes.iter().filter(|change| change.is_worse).count(), changes.len())
}

/// Columns as wide as what is in them: the first on the left, numbers on the right.
fn aligned(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [name, now, before, _] = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 4]| {
        let line = format!("   {:<name$}  {:>now$}  {:>before$}  {}", row[0], row[1], row[2], row[3]);
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::figures::Unit;
    use super::super::machine::Machine;
    use super::*;

    fn figure(name: &str, unit: Unit, value: f64) -> Figure {
        Figure { name: name.to_owned(), at: None, unit, value, turns: Vec::new() }
    }

    fn measurement(figures: &[(&str, Unit, f64)]) -> Measurement {
        let figures = figures.iter().map(|(name, unit, value)| figure(name, *unit, *value)).collect();
        Measurement { at: String::new(), commit: None, machine: Machine::default(), others_share: None, figures }
    }

    #[test]
    fn what_is_worse_depends_on_what_is_counted() {
        let change = |unit, before, now| {
            Change::of(&figure("x", unit, now), &figure("x", unit, before)).map(|change| change.is_worse)
        };
        assert_eq!(change(Unit::Nanoseconds, 100.0, 111.0), Some(true));
        assert_eq!(change(Unit::Nanoseconds, 100.0, 109.0), Some(false));
        assert_eq!(change(Unit::Nanoseconds, 100.0, 50.0), Some(false));
        assert_eq!(change(Unit::PerSecond, 100.0, 89.0), Some(true));
        assert_eq!(change(Unit::PerSecond, 100.0, 92.0), Some(false));
        assert_eq!(change(Unit::PerSecond, 100.0, 200.0), Some(false));
        assert_eq!(change(Unit::Bytes, 0.0, 5.0), None);
    }

    #[test]
    fn figures_stand_beside_those_of_the_same_name() {
        let before = measurement(&[("delay", Unit::Nanoseconds, 2000.0), ("rate", Unit::PerSecond, 1000.0)]);
        let now =
            [("rate", Unit::PerSecond, 800.0), ("memory", Unit::Bytes, 80.0), ("delay", Unit::Nanoseconds, 1900.0)];
        let now = measurement(&now);
        let expected = [
            "   rate    800 /s  1,000 /s  -20.0 %  WORSE\n",
            "   memory    80 B\n",
            "   delay   1.9 µs      2 µs  -5.0 %\n",
        ];
        assert_eq!(table(&now, Some(&before)), expected.concat());
        let all = |part: &str, measurement| Figures { parts: [(part.to_owned(), measurement)].into() };
        assert_eq!(worse(&all("server", now.clone()), &all("server", before.clone())), (1, 2));
        assert_eq!(worse(&all("server", now), &all("core", before)), (0, 0));
    }
}
