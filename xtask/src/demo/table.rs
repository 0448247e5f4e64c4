//! The table: what each transport cost, and how late it was.

use std::time::Duration;

use super::follow::Told;

const HEAD: [&str; 7] = ["transport", "requests", "bytes out", "bytes in", "events", "median delay", "worst delay"];
/// Between two columns.
const GAP: &str = "  ";

/// One row for each transport: its name on the left, all numbers on the right.
pub(super) fn render(told: &[Told]) -> String {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(told.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; HEAD.len()] = std::array::from_fn(width);
    let line = |row: &[String; HEAD.len()]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join(GAP) + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(told: &Told) -> [String; HEAD.len()] {
    let delays: Vec<_> = told.events.iter().map(|event| event.delay).collect();
    [
        told.transport.clone(),
        grouped(told.traffic.requests),
        grouped(told.traffic.sent),
        grouped(told.traffic.received),
        grouped(told.events.len() as u64),
        shown(median(&delays)),
        shown(delays.iter().max().copied()),
    ]
}

/// The one in the middle, or between the two in the middle.
fn median(delays: &[Duration]) -> Option<Duration> {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get((sorted.len() / 2).checked_sub(1)?)?;
    Some((lower + upper) / 2)
}

/// In whole milliseconds: the time of an event is not more exact.
fn shown(delay: Option<Duration>) -> String {
    match delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)) {
        None => "-".to_owned(),
        Some(0) => "< 1 ms".to_owned(),
        Some(millis) => format!("{} ms", grouped(millis)),
    }
}

/// With a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    digits.char_indices().flat_map(|(place, digit)| comma(place).then_some(',').into_iter().chain([digit])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::follow::Arrival;
    use super::*;

    fn told(transport: &str, millis: &[u64]) -> Told {
        let arrival = |millis: &u64| Arrival {
            seq: 1,
            kind: "log".to_owned(),
            json: Vec::new(),
            delay: Duration::from_millis(*millis),
        };
        Told { transport: transport.to_owned(), events: millis.iter().map(arrival).collect(), ..Told::default() }
    }

    #[test]
    fn the_columns_are_as_wide_as_what_is_in_them() {
        let table = render(&[told("short-poll", &[1, 2000, 3]), told("sse", &[])]);
        let expected = "\
transport   requests  bytes out  bytes in  events  median delay  worst delay
short-poll         0          0         0       3          3 ms     2,000 ms
sse                0          0         0       0             -            -
";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        let median = |millis: &[u64]| {
            let delays: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            median(&delays).map(|delay| delay.as_millis())
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(median(&[9, 1]), Some(5));
        assert_eq!(median(&[100, 1, 3]), Some(3));
        assert_eq!(median(&[4, 100, 1, 2]), Some(3));
    }

    #[test]
    fn delays_are_whole_milliseconds() {
        assert_eq!(shown(Some(Duration::from_micros(999))), "< 1 ms");
        assert_eq!(shown(Some(Duration::from_micros(1999))), "1 ms");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        let numbers = [0, 999, 1000, 12_345, 123_456, 1_234_567];
        let expected = ["0", "999", "1,000", "12,345", "123,456", "1,234,567"];
        assert_eq!(numbers.map(grouped), expected);
    }
}
