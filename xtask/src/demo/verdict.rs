//! The verdict: whether all followers have read the same events, byte for byte.

use std::fmt;

use super::follow::Told;

/// As many bytes are shown before and after the first one that differs.
const AROUND: usize = 30;
/// What a job that went well ends with.
const SUCCESS: &str = "succeeded";

/// What the comparison has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    transports: Vec<String>,
    events: usize,
    bytes: usize,
    faults: Vec<Fault>,
}

/// Why the demo has failed.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// There are fewer than two followers.
    NothingToCompare,
    /// A follower did not come to the job's end.
    Broken { transport: String, why: String },
    /// A follower has an event that others have not, or has it not where others have.
    Uneven { transport: String, seq: u64, presence: Presence },
    /// A follower's events are not numbered 1, 2, 3, …
    Disorder { transport: String, place: u64, seq: u64 },
    /// A follower has read other bytes.
    Different(Box<Difference>),
    /// All are of one mind: the job did not go well.
    Unsuccessful { kind: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Missing,
    Extra,
}

/// The first place at which one follower's events differ from what most others have read.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    transport: String,
    others: Vec<String>,
    seq: u64,
    /// In the event, from 0.
    at: usize,
    here: Vec<u8>,
    there: Vec<u8>,
    /// How many of its events differ.
    events: usize,
}

impl Verdict {
    pub(super) fn of(told: &[Told]) -> Self {
        let mut faults = Vec::new();
        if told.len() < 2 {
            faults.push(Fault::NothingToCompare);
        }
        for one in told {
            let transport = one.transport.clone();
            if let Some(why) = one.failure.clone() {
                faults.push(Fault::Broken { transport, why });
            } else if let Some((place, event)) = (1..).zip(&one.events).find(|(place, event)| event.seq != *place) {
                faults.push(Fault::Disorder { transport, place, seq: event.seq });
            }
        }
        let longest = told.iter().map(|one| one.events.len()).max().unwrap_or_default();
        let agreed: Vec<_> = (0..longest).map(|place| agreed(told, place)).collect();
        for one in told {
            faults.extend(uneven(one, &agreed));
            faults.extend(difference(one, told, &agreed).map(Box::new).map(Fault::Different));
        }
        let last = told.first().and_then(|one| one.events.last());
        if let Some(last) = last.filter(|last| faults.is_empty() && last.kind != SUCCESS) {
            faults.push(Fault::Unsuccessful { kind: last.kind.clone() });
        }
        Self {
            transports: told.iter().map(|one| one.transport.clone()).collect(),
            events: longest,
            bytes: agreed.iter().flatten().map(|json| json.len()).sum(),
            faults,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }
}

/// The bytes of an event, `None` where there is none: what most followers have, and of several that are equally many
/// what the first of them has.
fn agreed(told: &[Told], place: usize) -> Option<&[u8]> {
    let votes: Vec<_> = told.iter().map(|one| json(one, place)).collect();
    let count = |vote: &Option<&[u8]>| votes.iter().filter(|other| *other == vote).count();
    // Backwards, as the last of equals is the greatest.
    votes.iter().rev().max_by_key(|vote| count(vote)).copied().flatten()
}

fn json(told: &Told, place: usize) -> Option<&[u8]> {
    told.events.get(place).map(|event| event.json.as_slice())
}

/// Whether a follower has too few events, or too many. One that broke off has too few, and it has been said why.
fn uneven(told: &Told, agreed: &[Option<&[u8]>]) -> Option<Fault> {
    let place = (0..agreed.len()).find(|place| agreed[*place].is_some() != json(told, *place).is_some())?;
    let presence = if agreed[place].is_some() { Presence::Missing } else { Presence::Extra };
    if presence == Presence::Missing && told.failure.is_some() {
        return None;
    }
    Some(Fault::Uneven { transport: told.transport.clone(), seq: place as u64 + 1, presence })
}

fn difference(one: &Told, told: &[Told], agreed: &[Option<&[u8]>]) -> Option<Difference> {
    let pairs = one.events.iter().zip(agreed).filter_map(|(event, agreed)| agreed.map(|agreed| (event, agreed)));
    let differing: Vec<_> = pairs.filter(|(event, agreed)| event.json != *agreed).collect();
    let (event, there) = differing.first()?;
    let same = event.json.iter().zip(*there).take_while(|(here, there)| here == there).count();
    let has_agreed = |other: &&Told| other.events.iter().any(|other| other.seq == event.seq && other.json == **there);
    Some(Difference {
        transport: one.transport.clone(),
        others: told.iter().filter(has_agreed).map(|other| other.transport.clone()).collect(),
        seq: event.seq,
        at: same,
        here: event.json.clone(),
        there: there.to_vec(),
        events: differing.len(),
    })
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_good() {
            let (events, bytes, transports) = (self.events, self.bytes, list(&self.transports));
            return write!(f, "The same: {events} events of {bytes} bytes, byte for byte, over {transports}.");
        }
        let faults: Vec<_> = self.faults.iter().map(Fault::to_string).collect();
        f.write_str(&faults.join("\n"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToCompare => {
                f.write_str("There is nothing to compare: the job was not followed over two transports.")
            }
            Self::Broken { transport, why } => write!(f, "{transport} did not come to the job's end: {why}."),
            Self::Uneven { transport, seq, presence: Presence::Missing } => {
                write!(f, "{transport} has no event {seq}, and others do.")
            }
            Self::Uneven { transport, seq, presence: Presence::Extra } => {
                write!(f, "{transport} has an event {seq}, and others don't.")
            }
            Self::Disorder { transport, place, seq } => {
                write!(f, "{transport} has event {seq} in the place of event {place}.")
            }
            Self::Different(difference) => difference.fmt(f),
            Self::Unsuccessful { kind } => {
                write!(f, "All have read the same, and the job did not go well: its last event is `{kind}`.")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, others, seq, at, here, there, events } = self;
        let others = list(others);
        let width = transport.len().max(others.len());
        writeln!(
            f,
            "{transport} differs from {others}, in {events} of its events. First in event {seq}, at byte {at}:"
        )?;
        writeln!(f, "    {transport:width$}  {}", around(here, *at))?;
        writeln!(f, "    {others:width$}  {}", around(there, *at))?;
        let before = " ".repeat(around(here.get(..*at).unwrap_or(here), *at).chars().count());
        write!(f, "    {:width$}  {before}^ {}, and not {}", "", byte(here, *at), byte(there, *at))
    }
}

/// The bytes around a place, on one line. What is no printable ASCII is shown by its number.
fn around(json: &[u8], at: usize) -> String {
    let (from, to) = (at.saturating_sub(AROUND), at.saturating_add(AROUND).min(json.len()));
    let (head, tail) = (if from > 0 { "…" } else { "" }, if to < json.len() { "…" } else { "" });
    let shown = json.get(from..to).unwrap_or_default().iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    });
    format!("{head}{}{tail}", shown.collect::<String>())
}

fn byte(json: &[u8], at: usize) -> String {
    json.get(at).map_or_else(|| "its end".to_owned(), |byte| format!("0x{byte:02x}"))
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::follow::Arrival;
    use super::*;

    /// A follower that has read these lines, and then that the job went well.
    fn told(transport: &str, lines: &[&str]) -> Told {
        let arrival = |(seq, (kind, json)): (u64, (&str, &str))| Arrival {
            seq,
            kind: kind.to_owned(),
            json: json.as_bytes().to_vec(),
            delay: Duration::ZERO,
        };
        let lines = lines.iter().map(|line| ("log", *line)).chain([(SUCCESS, "the end")]);
        Told { transport: transport.to_owned(), events: (1..).zip(lines).map(arrival).collect(), ..Told::default() }
    }

    fn verdict(told: &[Told]) -> (bool, String) {
        let verdict = Verdict::of(told);
        (verdict.is_good(), verdict.to_string())
    }

    #[test]
    fn what_is_the_same_is_good() {
        let (is_good, text) =
            verdict(&[told("a", &["one", "two"]), told("b", &["one", "two"]), told("c", &["one", "two"])]);
        assert!(is_good);
        assert_eq!(text, "The same: 3 events of 13 bytes, byte for byte, over a, b and c.");
    }

    #[test]
    fn one_byte_is_shown_wherever_it_is() {
        for odd in 0..3 {
            let mut all = [told("a", &["one", "two"]), told("b", &["one", "two"]), told("c", &["one", "two"])];
            all[odd].events[1].json[2] = b'p';
            let (is_good, text) = verdict(&all);
            let name = ["a", "b", "c"][odd];
            let others = ["b and c", "a and c", "a and b"][odd];
            let expected = format!(
                "{name} differs from {others}, in 1 of its events. First in event 2, at byte 2:\n    \
                 {name}        twp\n    {others}  two\n               ^ 0x70, and not 0x6f"
            );
            assert!(!is_good);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn only_the_surroundings_are_shown_and_nothing_that_moves_a_cursor() {
        let long = format!("{}\x1b{}", "x".repeat(100), "y".repeat(100));
        let mut all = [told("a", &[&long]), told("b", &[&long])];
        all[1].events[0].json[101] = b'z';
        let (_, text) = verdict(&all);
        let (head, tail) = ("x".repeat(29), "y".repeat(29));
        assert!(text.contains(&format!("    b  …{head}\\x1bz{tail}…\n    a  …{head}\\x1by{tail}…\n")), "{text}");
        let caret = text.lines().last().unwrap().find('^').unwrap();
        assert_eq!(caret, "    b  ".len() + 1 + 29 + 4);
    }

    #[test]
    fn events_that_are_missing_or_too_many_are_told() {
        let (is_good, text) = verdict(&[told("a", &["one", "two"]), told("b", &["one"]), told("c", &["one", "two"])]);
        assert!(!is_good);
        assert!(text.contains("b has no event 3, and others do."), "{text}");
        let mut all = [told("a", &[]), told("b", &[]), told("c", &["more"])];
        all[2].events[0] = all[0].events[0].clone();
        let (is_good, text) = verdict(&all);
        assert!(!is_good);
        assert!(text.contains("c has an event 2, and others don't."), "{text}");
    }

    #[test]
    fn one_that_broke_off_is_told_once() {
        let mut all = [told("a", &["one"]), told("b", &["one"]), told("c", &["one"])];
        all[1].events.pop();
        all[1].failure = Some("the connection broke".to_owned());
        let (is_good, text) = verdict(&all);
        assert!(!is_good);
        assert_eq!(text, "b did not come to the job's end: the connection broke.");
    }

    #[test]
    fn a_hole_is_told_even_if_all_have_it() {
        let mut all = [told("a", &["one"]), told("b", &["one"])];
        for one in &mut all {
            one.events[1].seq = 3;
        }
        assert_eq!(verdict(&all).1, "a has event 3 in the place of event 2.\nb has event 3 in the place of event 2.");
    }

    #[test]
    fn a_job_that_failed_is_no_success() {
        let mut all = [told("a", &[]), told("b", &[])];
        for one in &mut all {
            one.events[0].kind = "failed".to_owned();
        }
        let (is_good, text) = verdict(&all);
        assert!(!is_good && text.ends_with("its last event is `failed`."), "{text}");
    }

    #[test]
    fn one_follower_or_none_proves_nothing() {
        assert!(!verdict(&[]).0);
        assert!(!verdict(&[told("a", &["one"])]).0);
    }
}
