//! Figures that are taken in several turns.

use super::figures::{Figure, Unit};
use super::load::{DISTURBED, Measured};
use super::numbers::median;

/// A load that works for so much of the time may be too slow for the server.
const WHOLE: f64 = 0.95;

/// What several turns have given.
#[derive(Debug, Default)]
pub(super) struct Turns {
    values: Vec<(Key, Vec<f64>)>,
    others_shares: Vec<f64>,
    load_shares: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Key {
    name: String,
    at: Option<f64>,
    unit: Unit,
}

impl Turns {
    /// Adds a turn's value of a figure.
    pub(super) fn add(&mut self, name: &str, unit: Unit, value: f64) {
        self.push(Key { name: name.to_owned(), at: None, unit }, value);
    }

    /// Adds a turn's value of a figure that is taken at several points.
    pub(super) fn add_at(&mut self, name: &str, at: f64, unit: Unit, value: f64) {
        self.push(Key { name: name.to_owned(), at: Some(at), unit }, value);
    }

    /// Notes what makes a run worth less.
    pub(super) fn judge(&mut self, measured: &Measured) {
        self.others_shares.extend(measured.others_share);
        self.load_shares.push(measured.load_share);
    }

    fn push(&mut self, key: Key, value: f64) {
        match self.values.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => self.values.push((key, vec![value])),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The median of what others took of the server's core.
    pub(super) fn others_share(&self) -> Option<f64> {
        median(&self.others_shares)
    }

    /// Tells what makes all of it worth less.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let busy = self.load_shares.iter().filter(|share| **share > WHOLE).count();
        if busy > 0 {
            warnings.push(format!("in {busy} runs the load was at work all the time: it may be what was measured"));
        }
        if let Some(share) = self.others_share().filter(|share| *share > DISTURBED) {
            warnings
                .push(format!("others took {:.0} % of the server's core: measure on an idle machine", share * 100.0));
        }
        warnings
    }

    /// The median of each figure's turns.
    pub(super) fn figures(self) -> Vec<Figure> {
        let figure = |(Key { name, at, unit }, turns): (Key, Vec<f64>)| {
            let value = median(&turns).unwrap_or(f64::NAN);
            Figure { name, at, unit, value, turns: if turns.len() > 1 { turns } else { Vec::new() } }
        };
        self.values.into_iter().map(figure).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_turns() {
        let mut turns = Turns::default();
        for value in [3.0, 1.0, 2.0] {
            turns.add("delay", Unit::Nanoseconds, value);
            turns.add_at("delay", 10.0, Unit::Nanoseconds, value * 10.0);
        }
        turns.add("memory", Unit::Bytes, 7.0);
        let figures = turns.figures();
        let told: Vec<_> = figures.iter().map(|figure| (figure.name.as_str(), figure.at, figure.value)).collect();
        assert_eq!(told, [("delay", None, 2.0), ("delay", Some(10.0), 20.0), ("memory", None, 7.0)]);
        assert_eq!(figures.iter().map(|figure| figure.turns.len()).collect::<Vec<_>>(), [3, 3, 0]);
    }

    #[test]
    fn a_busy_machine_is_told() {
        let mut turns = Turns { others_shares: vec![0.01, 0.3, 0.02], load_shares: vec![0.5; 3], ..Turns::default() };
        assert_eq!(turns.warnings(), Vec::<String>::new());
        turns.others_shares.push(0.2);
        turns.load_shares.push(0.99);
        assert_eq!(turns.warnings().len(), 2);
    }
}
