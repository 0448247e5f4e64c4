//! What a request to a transport is about, read from its path and query.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{
    cursor::Cursor,
    log::Scope,
    problem::{Problem, ProblemKind},
};

/// What a request to a transport is about. Opaque, as tenants will come in here.
#[derive(Clone, Debug)]
pub struct Target {
    scope: Scope,
    after: Option<Cursor>,
    params: Params,
}

impl Target {
    pub(crate) fn new(scope: Scope, after: Option<Cursor>, params: Params) -> Self {
        Self { scope, after, params }
    }

    /// Whose events are asked for.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The cursor in the query, where there is one.
    #[must_use]
    pub fn after(&self) -> Option<Cursor> {
        self.after
    }

    /// The parameters in the query.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }
}

/// The parameters in a request's query. Those that nobody asks for are ignored.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// The query; decoded, where anything in it is encoded.
    text: String,
    pairs: SmallVec<[Pair; 3]>,
}

/// Where a parameter stands: its name from `start` to `end`, and its value up to `value_end`.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: usize,
    end: usize,
    value_start: usize,
    value_end: usize,
}

impl Params {
    /// Reads a query.
    #[must_use]
    pub fn parse(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        if query.bytes().any(|byte| byte == b'%' || byte == b'+') {
            return Self::decode(query);
        }
        let (mut pairs, mut start) = (SmallVec::new(), 0);
        for pair in query.split('&') {
            let value_end = start + pair.len();
            let equals = pair.bytes().position(|byte| byte == b'=');
            let (end, value_start) = equals.map_or((value_end, value_end), |at| (start + at, start + at + 1));
            if !pair.is_empty() {
                pairs.push(Pair { start, end, value_start, value_end });
            }
            start = value_end + 1;
        }
        Self { text: query.to_owned(), pairs }
    }

    fn decode(query: &str) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let start = params.text.len();
            params.text.push_str(&name);
            let end = params.text.len();
            params.text.push_str(&value);
            params.pairs.push(Pair { start, end, value_start: end, value_end: params.text.len() });
        }
        params
    }

    /// All values of a parameter that may be given several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.pairs.iter().filter(move |pair| self.text.get(pair.start..pair.end) == Some(name));
        pairs.filter_map(|pair| self.text.get(pair.value_start..pair.value_end))
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    ///
    /// Where it is there twice, or empty.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(""), _) => Err(invalid(format!("the parameter {name} is empty"))),
            (Some(value), None) => Ok(Some(value)),
            (Some(_), Some(_)) => Err(invalid(format!("the parameter {name} is there twice"))),
        }
    }

    /// A whole number; lowered to `most` where it is above.
    ///
    /// # Errors
    ///
    /// Where it is there twice, empty, no whole number, or less than `least`.
    pub fn number(&self, name: &'static str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid(format!("the parameter {name} is a whole number")));
        }
        // Digits alone that are too many for the type are above every maximum.
        let number: u64 = value.parse().unwrap_or(u64::MAX);
        if number < least {
            return Err(invalid(format!("the parameter {name} is {least} at least")));
        }
        Ok(Some(number.min(most)))
    }

    /// A cursor.
    ///
    /// # Errors
    ///
    /// Where it is there twice, or is none.
    pub fn cursor(&self, name: &'static str) -> Result<Option<Cursor>, Problem> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => parse_cursor(value).map(Some),
            (Some(_), Some(_)) => Err(invalid(format!("the parameter {name} is there twice"))),
        }
    }
}

/// Reads a cursor that a client has sent.
///
/// # Errors
///
/// `invalid-cursor`, where it is none.
pub fn parse_cursor(text: &str) -> Result<Cursor, Problem> {
    text.parse().map_err(|e| Problem::new(ProblemKind::InvalidCursor, Cow::Owned(format!("{e}"))))
}

fn invalid(detail: String) -> Problem {
    Problem::new(ProblemKind::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(Some(query))
    }

    #[test]
    fn what_is_known_is_checked_and_the_rest_ignored() {
        let params = params("limit=5&x=&x=&wait=99999999999999999999999&kind=%61b&job=1&job=2");
        assert_eq!(params.number("limit", 1, 1000).ok(), Some(Some(5)));
        assert_eq!(params.number("wait", 0, 55).ok(), Some(Some(55)));
        assert_eq!(params.one("kind").ok(), Some(Some("ab")));
        assert_eq!(params.one("nothing").ok(), Some(None));
        assert_eq!(params.all("job").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_is_plain_is_read_as_what_is_encoded() {
        for query in ["", "&", "a=1&b=2", "&&a=1&", "a", "a&b", "=", "=1", "a==1=", "a=1&a=2&a", "\u{e4}=\u{fc}&b=%"] {
            let all: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            let params = params(query);
            assert_eq!(params.pairs.len(), all.len(), "{query}");
            for (name, _) in &all {
                let expected = all.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_ref());
                assert_eq!(params.all(name).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{query}");
            }
        }
    }

    #[test]
    fn twice_empty_or_out_of_range_is_refused() {
        for query in ["limit=", "limit=1&limit=1", "limit=0", "limit=-1", "limit=1.5", "limit=x", "limit"] {
            let problem = params(query).number("limit", 1, 1000).expect_err(query);
            assert_eq!(problem.kind(), ProblemKind::InvalidRequest, "{query}");
        }
        for query in ["after=", "after=x", "after"] {
            let problem = params(query).cursor("after").expect_err(query);
            assert_eq!(problem.kind(), ProblemKind::InvalidCursor, "{query}");
        }
        assert_eq!(params("after=1&after=1").cursor("after").map_err(|p| p.kind()), Err(ProblemKind::InvalidRequest));
    }
}
