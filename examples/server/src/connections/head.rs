//! The limits on a request's head: its target, its header block, its fields.
//!
//! hyper has limits of its own, but answers with an empty body where one of them is met. So its limits stand a little
//! above these, and these are checked first: on the bytes of a connection's first request before hyper sees them, and
//! on every request once it is parsed.

use http::{HeaderName, HeaderValue, Request, Response};
use memchr::memchr;
use tidings::{Problem, ProblemKind};

use super::Limits;

/// What a request line holds besides its target, with room to spare: the method, the version, spaces.
pub(super) const LINE_REST: usize = 64;

/// Why a request is refused before anybody looks at what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 414: the request target is too long.
    Target,
    /// 431: the header block is too long, or has too many fields.
    Headers,
}

impl Refusal {
    pub(super) fn response(self) -> Response<tidings::Body> {
        let problem = match self {
            Self::Target => ProblemKind::UriTooLong,
            Self::Headers => ProblemKind::HeaderFieldsTooLarge,
        };
        Problem::from(problem).into_response()
    }
}

/// Checks a head that has been parsed.
pub(super) fn check<B>(head: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let target = head.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.request_target_bytes {
        return Err(Refusal::Target);
    }
    // Each line of the block: the name, ": ", the value, CR LF.
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let block: usize = head.headers().iter().map(line).sum();
    if head.headers().len() > limits.header_fields || block > limits.header_block_bytes {
        return Err(Refusal::Headers);
    }
    Ok(())
}

/// Follows the bytes of an HTTP/1 head as they come in, to find its end or the limit that it goes over. Whether the
/// head is well formed is for hyper to say.
#[derive(Debug, Default)]
pub(super) struct Scan {
    looked_at: usize,
    line_start: usize,
    /// Where the request line ended and the header block began.
    block_start: Option<usize>,
    fields: usize,
}

impl Scan {
    /// Goes on where the last call stopped; `head` is all bytes so far. `true` once the head is whole.
    pub(super) fn is_whole(&mut self, head: &[u8], limits: &Limits) -> Result<bool, Refusal> {
        while let Some(found) = memchr(b'\n', head.get(self.looked_at..).unwrap_or_default()) {
            let newline = self.looked_at + found;
            let line = head.get(self.line_start..newline).unwrap_or_default();
            let is_empty = line.is_empty() || line == b"\r";
            self.looked_at = newline + 1;
            self.line_start = newline + 1;
            match self.block_start {
                // RFC 9112, 2.2: empty lines before the request line are ignored.
                None if is_empty => {}
                None => {
                    check_line(line.len(), limits)?;
                    self.block_start = Some(newline + 1);
                }
                Some(_) if is_empty => return Ok(true),
                Some(start) => {
                    self.fields += 1;
                    self.check_block(newline + 1 - start, limits)?;
                }
            }
        }
        self.looked_at = head.len();
        match self.block_start {
            None => check_line(head.len() - self.line_start, limits)?,
            Some(start) => self.check_block(head.len() - start, limits)?,
        }
        Ok(false)
    }

    fn check_block(&self, length: usize, limits: &Limits) -> Result<(), Refusal> {
        // The empty line that ends the block, CR LF at most, is not counted in.
        if self.fields > limits.header_fields || length > limits.header_block_bytes + 2 {
            return Err(Refusal::Headers);
        }
        Ok(())
    }
}

fn check_line(length: usize, limits: &Limits) -> Result<(), Refusal> {
    if length > limits.request_target_bytes + LINE_REST {
        return Err(Refusal::Target);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { request_target_bytes: 100, header_block_bytes: 200, header_fields: 3, ..Limits::default() }
    }

    /// Whole at once and byte by byte must come to the same.
    fn scan(head: &str) -> Result<bool, Refusal> {
        let at_once = Scan::default().is_whole(head.as_bytes(), &limits());
        let mut scan = Scan::default();
        let mut by_byte = Ok(false);
        for end in 1..=head.len() {
            by_byte = scan.is_whole(&head.as_bytes()[..end], &limits());
            if by_byte != Ok(false) {
                break;
            }
        }
        assert_eq!(at_once, by_byte, "{head:?}");
        at_once
    }

    #[test]
    fn the_empty_line_ends_a_head() {
        assert_eq!(scan("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(true));
        assert_eq!(scan("\r\n\r\nGET / HTTP/1.1\n\n"), Ok(true));
        assert_eq!(scan("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(false));
        assert_eq!(scan("\r\n\r\n"), Ok(false));
        assert_eq!(scan("GET / HTTP/1.1\r\n\r\nand a body\nof any length"), Ok(true));
    }

    #[test]
    fn a_long_target_is_refused_before_its_line_ends() {
        let target = "a".repeat(100 + LINE_REST);
        assert_eq!(scan(&format!("GET /{target}")), Err(Refusal::Target));
        assert_eq!(scan(&format!("GET /{}", "a".repeat(100))), Ok(false));
    }

    #[test]
    fn a_long_block_is_refused() {
        let field = |length: usize| format!("GET / HTTP/1.1\r\nx: {}\r\n", "a".repeat(length));
        assert_eq!(scan(&(field(195) + "\r\n")), Ok(true));
        assert_eq!(scan(&(field(198) + "\r\n")), Err(Refusal::Headers));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(300))), Err(Refusal::Headers));
    }

    #[test]
    fn many_fields_are_refused() {
        let fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(scan(&fields(3)), Ok(true));
        assert_eq!(scan(&fields(4)), Err(Refusal::Headers));
    }

    #[test]
    fn a_parsed_head_is_held_to_the_same_limits() {
        let request = |target: &str, fields: usize, length: usize| {
            let mut request = Request::get(target);
            for _ in 0..fields {
                request = request.header("x", "a".repeat(length));
            }
            check(&request.body(()).expect("a valid request"), &limits())
        };
        assert_eq!(request("/", 3, 10), Ok(()));
        assert_eq!(request(&format!("/{}", "a".repeat(99)), 0, 0), Ok(()));
        assert_eq!(request(&format!("/{}", "a".repeat(100)), 0, 0), Err(Refusal::Target));
        assert_eq!(request("/", 4, 10), Err(Refusal::Headers));
        assert_eq!(request("/", 1, 200), Err(Refusal::Headers));
    }
}
