//! The page that tells what it costs: its tables and plots, made of the figures.

use std::fs;
use std::path::Path;

use super::figures::{Figure, Figures, Measurement, Unit};
use super::growth::{IDLE_CPU, IDLE_KERNEL, IDLE_SERVER, ROWS, Row};
use super::load::DISTURBED;
use super::numbers::{grouped, short};
use super::plot::{Plot, Point};
use crate::Result;

const PAGE: &str = "docs/costs.md";
/// Beside the page.
const PLOTS: &str = "docs/cost";
/// A table stands between these two, the first with its name.
const BEGIN: &str = "<!-- bench: ";
const END: &str = "<!-- end -->";
/// What the capacity table is extended to.
const BEYOND: f64 = 100_000.0;

/// Writes the plots, and the tables of the page.
pub(super) fn write(root: &Path, figures: &Figures) -> Result<()> {
    fs::create_dir_all(root.join(PLOTS))?;
    for row in ROWS {
        for (name, suffix) in [(row.cpu_name(), "cpu"), (row.memory_name(), "memory")] {
            let points: Vec<_> = figures.series("growth", &name).collect();
            let Some(first) = points.first() else { continue };
            let point = |figure: &&Figure| Point {
                at: figure.at.unwrap_or(0.0),
                value: figure.value,
                turns: figure.turns.clone(),
            };
            let points = points.iter().map(point).collect();
            let plot = Plot { title: &name, what: row.what, unit: first.unit, points };
            let file = root.join(PLOTS).join(format!("{}-{suffix}.svg", row.what.replace(' ', "-")));
            fs::write(&file, plot.svg()).map_err(|error| format!("can't write {}: {error}", file.display()))?;
        }
    }
    let path = root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| format!("can't read {PAGE}: {error}"))?;
    let page = fill(&page, |name| table(figures, name))?;
    Ok(fs::write(&path, page).map_err(|error| format!("can't write {PAGE}: {error}"))?)
}

/// Puts what `table` gives between the marks that name it.
fn fill(page: &str, table: impl Fn(&str) -> Result<String>) -> Result<String> {
    let (mut filled, mut rest) = (String::new(), page);
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (name, behind) = behind.split_once(" -->").ok_or("a mark in the page has no end")?;
        let (_, behind) = behind.split_once(END).ok_or_else(|| format!("the table {name} in the page has no end"))?;
        filled += &format!("{before}{BEGIN}{name} -->\n{}\n{END}", table(name)?.trim_end());
        rest = behind;
    }
    Ok(filled + rest)
}

/// A table by its name: a part's, or `capacity`.
fn table(figures: &Figures, name: &str) -> Result<String> {
    if name == "capacity" {
        return Ok(capacity(figures).unwrap_or_else(|| missing("growth")));
    }
    let Some(measurement) = figures.parts.get(name) else { return Ok(missing(name)) };
    let by_points = |row: &Row| by_points(figures, row);
    let rows: String = match name {
        "growth" => ROWS.iter().map(by_points).collect(),
        "pressure" => by_names(measurement),
        _ => rows(measurement),
    };
    Ok(format!("{rows}\n{}\n", origin(measurement)))
}

fn missing(part: &str) -> String {
    format!("Not measured yet: `cargo xtask bench {part} --plots`.\n")
}

/// One row for each figure.
fn rows(measurement: &Measurement) -> String {
    let row = |figure: &Figure| vec![figure.full_name(), figure.shown()];
    markdown(&["figure", "median"], &measurement.figures.iter().map(row).collect::<Vec<_>>())
}

/// One row for each point, with CPU time and memory.
fn by_points(figures: &Figures, row: &Row) -> String {
    let names = [row.cpu_name(), row.memory_name()];
    let points = figures.series("growth", &names[0]).filter_map(|figure| figure.at);
    let shown = |name: &String, at| figures.find("growth", name, Some(at)).map(Figure::shown).unwrap_or_default();
    let rows = points.map(|at| [vec![grouped(at)], names.iter().map(|name| shown(name, at)).collect()].concat());
    let heads = names.iter().map(|name| what(name));
    markdown(&[vec![row.what], heads.collect()].concat(), &rows.collect::<Vec<_>>())
}

/// One row for whatever stands before the colon of names, and one column for whatever stands behind it.
fn by_names(measurement: &Measurement) -> String {
    let (mut heads, mut rows) = (vec![""], Vec::<Vec<String>>::new());
    for figure in &measurement.figures {
        let (subject, what) = (subject(&figure.name), what(&figure.name));
        let column = heads.iter().position(|head| *head == what).unwrap_or_else(|| {
            heads.push(what);
            heads.len() - 1
        });
        let row = rows.iter().position(|row| row[0] == subject).unwrap_or_else(|| {
            rows.push(vec![subject.to_owned()]);
            rows.len() - 1
        });
        let row = &mut rows[row];
        row.resize(row.len().max(column + 1), String::new());
        row[column] = figure.shown();
    }
    markdown(&heads, &rows)
}

/// What a figure is of, in its name.
fn subject(name: &str) -> &str {
    name.split_once(": ").map_or(name, |(subject, _)| subject)
}

/// What a figure says of it.
fn what(name: &str) -> &str {
    name.split_once(": ").map_or(name, |(_, what)| what)
}

/// The first column on the left, numbers on the right.
fn markdown(heads: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let sides: Vec<_> = (0..heads.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
    let row = |row: &Vec<String>| {
        let cell = |column| row.get(column).map_or("", String::as_str);
        line(&(0..heads.len()).map(cell).collect::<Vec<_>>())
    };
    format!("\n{}{}{}", line(heads), line(&sides), rows.iter().map(row).collect::<String>())
}

/// Where a part's figures are from.
fn origin(measurement: &Measurement) -> String {
    let Measurement { at, commit, machine, others_share, .. } = measurement;
    let day = at.split('T').next().unwrap_or(at);
    let commit = commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    let disturbed = others_share.filter(|share| *share > DISTURBED);
    let disturbed =
        disturbed.map(|share| format!(" Others took {:.0} % of the server's core meanwhile.", share * 100.0));
    format!("{day}{commit}; {}.{}", machine.shown(), disturbed.unwrap_or_default())
}

/// What so many streams need. None where there are no figures.
fn capacity(figures: &Figures) -> Option<String> {
    let series = |name| -> Vec<_> {
        figures.series("growth", name).filter_map(|figure| Some((figure.at?, figure.value))).collect()
    };
    let (server, idle) = (series(IDLE_SERVER), series(IDLE_CPU));
    // Both ends were on this machine.
    let kernel = figures.find("growth", IDLE_KERNEL, None)?.value / 2.0;
    // The most subscribers that were measured: their share of one event's costs is the smallest, as it is here.
    let delivery = series(&ROWS[0].cpu_name()).last()?.1;
    let row = |streams: f64, mark: &str| {
        let at = |points: &[(f64, f64)]| on_line(points, streams);
        let core = |nanos: f64| format!("{} %", short(nanos / 1e7));
        let cells = [
            Unit::Bytes.show(at(&server)?),
            Unit::Bytes.show(kernel * streams),
            core(at(&idle)?),
            core(delivery * streams + at(&idle)?),
        ];
        Some([vec![grouped(streams)], cells.map(|cell| cell + mark).to_vec()].concat())
    };
    let mut rows = server.iter().map(|(streams, _)| row(*streams, "")).collect::<Option<Vec<_>>>()?;
    rows.push(row(BEYOND, " (drawn)")?);
    let heads = [
        "streams",
        "memory of the server",
        "memory of the kernel",
        "CPU while idle",
        "CPU with one event a second to each",
    ];
    let table = markdown(&heads, &rows);
    let origin = figures.parts.get("growth").map(origin)?;
    Some(format!("{table}\n\"Drawn\" is no measurement: the line through the first and the last row above. {origin}\n"))
}

/// The value at a point, on the line through the first and the last.
fn on_line(points: &[(f64, f64)], at: f64) -> Option<f64> {
    if let Some((_, value)) = points.iter().find(|(known, _)| *known == at) {
        return Some(*value);
    }
    let (first, last) = (points.first()?, points.last()?);
    let slope = (last.1 - first.1) / (last.0 - first.0);
    slope.is_finite().then_some(first.1 + slope * (at - first.0))
}

#[cfg(test)]
mod tests {
    use super::super::machine::Machine;
    use super::super::turns::Turns;
    use super::*;

    fn figures() -> Figures {
        let mut turns = Turns::default();
        for (streams, bytes) in [(1000.0, 12e6), (10_000.0, 30e6)] {
            turns.add_at(&ROWS[0].cpu_name(), streams, Unit::Nanoseconds, 5000.0);
            turns.add_at(IDLE_SERVER, streams, Unit::Bytes, bytes);
            turns.add_at(IDLE_CPU, streams, Unit::Nanoseconds, streams * 100.0);
        }
        turns.add(IDLE_KERNEL, Unit::Bytes, 8000.0);
        let measurement = Measurement {
            at: "2026-11-22T01:02:03Z".to_owned(),
            commit: Some("abc".to_owned()),
            machine: Machine::default(),
            others_share: Some(0.2),
            figures: turns.figures(),
        };
        Figures { parts: [("growth".to_owned(), measurement)].into() }
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "# Costs\n\n<!-- bench: one -->\nold\n<!-- end -->\n\ntext\n<!-- bench: two --><!-- end -->\nlast\n";
        let filled = fill(page, |name| Ok(format!("new {name}\n\n"))).unwrap();
        let expected = "# Costs\n\n<!-- bench: one -->\nnew one\n<!-- end -->\n\ntext\n\
                        <!-- bench: two -->\nnew two\n<!-- end -->\nlast\n";
        assert_eq!(filled, expected);
        assert_eq!(fill(&filled, |name| Ok(format!("new {name}"))).unwrap(), expected, "once more changes nothing");
        assert!(fill("<!-- bench: one -->\nno end", |_| Ok(String::new())).is_err());
    }

    #[test]
    fn the_page_in_the_repository_has_sound_marks() {
        let page = include_str!("../../../docs/costs.md");
        let names = std::cell::RefCell::new(Vec::new());
        fill(page, |name| {
            names.borrow_mut().push(name.to_owned());
            table(&figures(), name)
        })
        .unwrap();
        assert_eq!(names.into_inner(), ["server", "pressure", "growth", "paths", "instructions", "capacity"]);
        for row in ROWS {
            let what = row.what.replace(' ', "-");
            assert!(["cpu", "memory"].iter().all(|kind| page.contains(&format!("cost/{what}-{kind}.svg"))), "{what}");
        }
    }

    #[test]
    fn what_lies_beyond_is_drawn_and_marked() {
        let capacity = capacity(&figures()).unwrap();
        assert!(capacity.contains("\n| 1,000 | 12 MB | 4 MB | 0.01 % | 0.51 % |\n"), "{capacity}");
        let beyond = "\n| 100,000 | 210 MB (drawn) | 400 MB (drawn) | 1 % (drawn) | 51 % (drawn) |\n";
        assert!(capacity.contains(beyond), "{capacity}");
        assert!(capacity.contains("Others took 20 %"), "{capacity}");
        assert_eq!(super::capacity(&Figures::default()), None);
    }

    #[test]
    fn a_line_goes_through_what_was_measured() {
        let points = [(1.0, 10.0), (2.0, 99.0), (3.0, 30.0)];
        assert_eq!([1.0, 2.0, 3.0, 5.0].map(|at| on_line(&points, at)), [10.0, 99.0, 30.0, 50.0].map(Some));
        assert_eq!(on_line(&points[..1], 5.0), None);
    }

    #[test]
    fn figures_of_one_thing_stand_in_one_row() {
        let mut turns = Turns::default();
        for (name, value) in [("none: CPU", 1.0), ("none: p99", 2.0), ("full: CPU", 3.0), ("full: ratio", 4.0)] {
            turns.add(name, Unit::Instructions, value);
        }
        let figures = turns.figures();
        let machine = Machine::default();
        let measurement = Measurement { at: String::new(), commit: None, machine, others_share: None, figures };
        let expected = "\n|  | CPU | p99 | ratio |\n| --- | ---: | ---: | ---: |\n\
                        | none | 1 | 2 |  |\n| full | 3 |  | 4 |\n";
        assert_eq!(by_names(&measurement), expected);
    }

    #[test]
    fn a_part_that_was_not_measured_says_how_to() {
        let table = |name| table(&figures(), name).unwrap();
        assert!(table("server").contains("cargo xtask bench server --plots"));
        assert!(table("growth").contains("| 10,000 | 5 µs |"), "{}", table("growth"));
    }
}
