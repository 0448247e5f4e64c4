use std::iter::Sum;
use std::ops::Add;

/// How much there is of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines, whether or not the last one is ended.
    pub lines: usize,
    /// Words: runs of anything but white space.
    pub words: usize,
    /// Characters, not bytes.
    pub characters: usize,
}

impl Counts {
    /// Counts a text.
    pub fn of(text: &str) -> Self {
        Self { lines: text.lines().count(), words: text.split_whitespace().count(), characters: text.chars().count() }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            words: self.words + other.words,
            characters: self.characters + other.characters,
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn counts(lines: usize, words: usize, characters: usize) -> Counts {
        Counts { lines, words, characters }
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Counts::of(""), counts(0, 0, 0));
    }

    #[test]
    fn one_word() {
        assert_eq!(Counts::of("word"), counts(1, 1, 4));
    }

    #[test]
    fn a_line_that_is_ended_is_still_one() {
        assert_eq!(Counts::of("word\n"), counts(1, 1, 5));
    }

    #[test]
    fn empty_lines_are_lines() {
        assert_eq!(Counts::of("\n\n\n"), counts(3, 0, 3));
    }

    #[test]
    fn white_space_of_any_kind_parts_words() {
        assert_eq!(Counts::of("a\tb  c\u{2003}d"), counts(1, 4, 8));
    }

    #[test]
    fn white_space_at_the_ends_makes_no_word() {
        assert_eq!(Counts::of("  a  "), counts(1, 1, 5));
    }

    #[test]
    fn lines_may_end_in_cr_lf() {
        assert_eq!(Counts::of("a\r\nb\r\n"), counts(2, 2, 6));
    }

    #[test]
    fn characters_are_not_bytes() {
        assert_eq!(Counts::of("naïve ☃"), counts(1, 2, 7));
    }

    #[test]
    fn counts_add_up() {
        assert_eq!(counts(1, 2, 3) + counts(10, 20, 30), counts(11, 22, 33));
    }

    #[test]
    fn the_sum_of_none_is_zero() {
        assert_eq!(Vec::new().into_iter().sum::<Counts>(), counts(0, 0, 0));
    }
}
