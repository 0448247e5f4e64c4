//! What a message asks for, and what becomes of it: decided without a broker.

use lapin::BasicProperties;
use tidings_core::{Problem, ProblemKind, Runs, Submission};

/// Reads a message as a submission. Its `message_id`, where it has one, is the idempotency key.
pub(crate) fn read(body: &[u8], properties: &BasicProperties, limit: usize) -> Result<Submission, Problem> {
    if body.len() > limit {
        let detail = format!("the body has {} bytes of at most {limit}", body.len());
        return Err(Problem::new(ProblemKind::PayloadTooLarge, detail));
    }
    let submission = Submission::parse(body)?;
    if matches!(submission.runs, Runs::Outside { .. }) && properties.reply_to().is_none() {
        let detail = "a job that is reported from outside needs reply_to, where its token goes";
        return Err(Problem::new(ProblemKind::InvalidInput, detail));
    }
    Ok(match properties.message_id() {
        Some(id) if !id.as_str().is_empty() => submission.with_key(id.as_str(), body),
        _ => submission,
    })
}

/// What becomes of a submission that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can never be accepted.
    Never,
    /// It may be accepted later, here.
    Later,
    /// Others may accept it, as this host is about to end.
    Elsewhere,
    /// It was accepted before, and its job is over and forgotten.
    Done,
}

impl Verdict {
    pub(crate) fn of(problem: ProblemKind) -> Self {
        match problem {
            // A log that does not answer is one of these.
            ProblemKind::Overloaded | ProblemKind::TooManyRequests => Self::Later,
            ProblemKind::ShuttingDown => Self::Elsewhere,
            ProblemKind::UnknownJob => Self::Done,
            // `Internal` among them, as when the look at its input panics: another try would end the same, and all that
            // is behind it in the queue would wait for it.
            _ => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &[u8] = br#"{"kind":"pipeline","input":null}"#;
    const EXTERNAL: &[u8] = br#"{"kind":"pipeline","worker":"external"}"#;

    fn refused(body: &[u8], properties: &BasicProperties) -> Option<ProblemKind> {
        read(body, properties, 64).err().map(|problem| problem.kind())
    }

    #[test]
    fn the_message_id_is_the_key() {
        let plain = BasicProperties::default();
        assert!(read(JOB, &plain, 64).is_ok_and(|submission| submission.key.is_none()));
        let empty = plain.clone().with_message_id("".into());
        assert!(read(JOB, &empty, 64).is_ok_and(|submission| submission.key.is_none()));
        let keyed = read(JOB, &plain.with_message_id("m-1".into()), 64).expect("a submission");
        assert_eq!(keyed.key.map(|(key, _)| key.to_string()).as_deref(), Some("m-1"));
    }

    #[test]
    fn what_can_never_be_accepted_is_told_why() {
        let plain = BasicProperties::default();
        for (body, problem) in [
            (&b"{"[..], ProblemKind::MalformedJson),
            (b"[]", ProblemKind::InvalidInput),
            (&[b' '; 65], ProblemKind::PayloadTooLarge),
            (br#"{"kind":"No Kind"}"#, ProblemKind::UnknownKind),
            (EXTERNAL, ProblemKind::InvalidInput),
        ] {
            assert_eq!(refused(body, &plain), Some(problem));
            assert_eq!(Verdict::of(problem), Verdict::Never);
        }
        assert_eq!(refused(EXTERNAL, &plain.with_reply_to("q".into())), None);
    }

    #[test]
    fn trouble_of_this_host_is_no_fault_of_a_submission() {
        assert_eq!(Verdict::of(ProblemKind::Overloaded), Verdict::Later);
        assert_eq!(Verdict::of(ProblemKind::ShuttingDown), Verdict::Elsewhere);
        assert_eq!(Verdict::of(ProblemKind::UnknownJob), Verdict::Done);
    }

    #[test]
    fn what_breaks_a_host_each_time_is_not_tried_for_ever() {
        assert_eq!(Verdict::of(ProblemKind::Internal), Verdict::Never);
    }
}
