//! Delays by their frequency, medians, and numbers as people read them.

/// So many steps between a power of two and the next: no delay is off by more than 1 %.
const STEPS: u32 = 7;

/// Counts nanoseconds by how many they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, nanos: u64) {
        let step = step(nanos);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] += 1;
        self.total += 1;
    }

    /// The one that so large a share are not above: 0.5 for the median. None where there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let mut left = ((self.total as f64 * share).ceil() as u64).max(1);
        for (step, count) in self.counts.iter().enumerate() {
            if *count >= left {
                return Some(lowest(step));
            }
            left -= count;
        }
        None
    }
}

fn step(nanos: u64) -> usize {
    let shift = (63 - (nanos | 1).leading_zeros()).saturating_sub(STEPS);
    ((shift as usize) << STEPS) + (nanos >> shift) as usize
}

/// The lowest number of a step.
fn lowest(step: usize) -> u64 {
    let shift = (step >> STEPS).saturating_sub(1);
    ((step - (shift << STEPS)) as u64) << shift
}

/// The one in the middle, or between the two in the middle. None where there are none.
pub(super) fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// With three digits that count, and a comma before every three digits: `0.0123`, `4.57`, `12.3`, `3,010,000`.
pub(super) fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return format!("{number}");
    }
    let places = 2 - number.abs().log10().floor() as i32;
    if places > 0 {
        let shown = format!("{number:.*}", places.unsigned_abs() as usize);
        return shown.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let unit = 10_f64.powi(-places);
    grouped((number / unit).round() * unit)
}

/// As a whole number, with a comma before every three digits.
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let sign = if number < 0.0 { "-" } else { "" };
    let with_commas =
        digits.char_indices().flat_map(|(place, digit)| comma(place).then_some(',').into_iter().chain([digit]));
    sign.chars().chain(with_commas).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_hundredth() {
        let mut delays = Histogram::default();
        assert_eq!(delays.quantile(0.5), None);
        (1..=100_000).rev().for_each(|nanos| delays.add(nanos * 1000));
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = 100_000_000.0 * share;
            let found = delays.quantile(share).unwrap() as f64;
            assert!((found / exact - 1.0).abs() < 0.01, "{share}: {found} instead of {exact}");
        }
    }

    #[test]
    fn every_number_has_its_step() {
        for nanos in (0..2000).chain([u64::MAX / 3, u64::MAX]) {
            let lowest = lowest(step(nanos));
            assert!(lowest <= nanos && nanos - lowest <= nanos / 100, "{nanos}: {lowest}");
        }
        assert!((1..5000).all(|nanos| step(nanos) == step(nanos - 1) || step(nanos) == step(nanos - 1) + 1));
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0]), Some(5.0));
        assert_eq!(median(&[100.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 100.0, 1.0, 2.0]), Some(3.0));
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        let numbers = [0.0, 0.01234, 0.5, 1.0, 4.567, 12.34, 123.4, 999.9, 1000.0, 1234.5, 2_934_567.0, -1500.0];
        let expected =
            ["0", "0.0123", "0.5", "1", "4.57", "12.3", "123", "1,000", "1,000", "1,230", "2,930,000", "-1,500"];
        assert_eq!(numbers.map(short), expected);
    }
}
