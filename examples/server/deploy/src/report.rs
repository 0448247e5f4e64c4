use crate::Counts;

/// One line for each file, right-aligned, and one for all of them if there are several.
pub fn report(files: &[(String, Counts)]) -> String {
    let total: Counts = files.iter().map(|(_, counts)| *counts).sum();
    let width = total.characters.to_string().len();
    let mut text: String = files.iter().map(|(name, counts)| line(name, counts, width)).collect();
    if files.len() > 1 {
        text += &line("total", &total, width);
    }
    text
}

fn line(name: &str, counts: &Counts, width: usize) -> String {
    let Counts { lines, words, characters } = counts;
    format!("{lines:>width$} {words:>width$} {characters:>width$} {name}\n")
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::Counts;

    fn file(name: &str, text: &str) -> (String, Counts) {
        (name.to_owned(), Counts::of(text))
    }

    #[test]
    fn no_file_is_no_line() {
        assert_eq!(report(&[]), "");
    }

    #[test]
    fn one_file_has_no_total() {
        assert_eq!(report(&[file("a", "one two\n")]), "1 2 8 a\n");
    }

    #[test]
    fn several_files_have_a_total() {
        let text = report(&[file("a", "x\n"), file("b", "y z\n")]);
        assert_eq!(text, "1 1 2 a\n1 2 4 b\n2 3 6 total\n");
    }

    #[test]
    fn columns_are_aligned() {
        let text = report(&[file("a", "x\n"), file("b", "a long line of words\n")]);
        assert_eq!(text, " 1  1  2 a\n 1  5 21 b\n 2  6 23 total\n");
    }
}
