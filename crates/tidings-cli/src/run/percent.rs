//! Finds percentages in what programs print.

/// The last percentage from 0 to 100 in a line: a number, written out or with decimals, directly before `%` or with one
/// space between. A number that is part of a word, of another number or negative is none.
pub(crate) fn last_in(line: &[u8]) -> Option<f64> {
    let signs = line.iter().enumerate().rev().filter(|(_, byte)| **byte == b'%');
    signs.filter_map(|(sign, _)| line.get(..sign)).find_map(number_at_end)
}

/// The number that these bytes end in.
fn number_at_end(bytes: &[u8]) -> Option<f64> {
    let bytes = bytes.strip_suffix(b" ").unwrap_or(bytes);
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let begin = bytes.iter().rposition(|byte| !is_of_number(byte)).map_or(0, |before| before + 1);
    let (before, number) = bytes.split_at_checked(begin)?;
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b',' | b'+');
    if before.last().is_some_and(is_of_word) || !number.first()?.is_ascii_digit() || !number.last()?.is_ascii_digit() {
        return None;
    }
    let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_of_well_known_programs_are_found() {
        for (line, expected) in [
            ("0%", 0.0),
            ("[ 42%] Building CXX object main.o", 42.0),
            ("Receiving objects:  67% (670/1000), 1.2 MiB | 3 MiB/s", 67.0),
            ("######################                  61.8%", 61.8),
            ("    1,234,567  35%  1.2MB/s    0:00:05", 35.0),
            ("50 % of 100 %", 100.0),
            ("10% ... 20% ... ", 20.0),
            ("progress=99.5%", 99.5),
            ("100% but not 101%", 100.0),
        ] {
            assert_eq!(last_in(line.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for line in
            ["", "%", " %", "a%", "5", "5  %", "-5%", "101%", "1.2.3%", ".5%", "5.%", "v5%", "1,5%", "%20x", "\u{FF}5"]
        {
            assert_eq!(last_in(line.as_bytes()), None, "{line}");
        }
    }
}
