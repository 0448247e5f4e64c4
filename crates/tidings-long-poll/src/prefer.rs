//! `Prefer: wait=<seconds>` (RFC 7240, 4.3).

use http::HeaderMap;

/// The seconds that the client would wait, where it says so. A malformed preference is ignored, as the standard wants
/// it; of several the first counts.
pub(crate) fn wait(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(preferences).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        // So many digits that the number fits nowhere are above every maximum.
        (name.trim().eq_ignore_ascii_case("wait") && digits).then(|| value.parse().unwrap_or(u64::MAX))
    })
}

/// Splits at the commas that stand outside quotes.
fn preferences(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |c| {
        let ends = c == ',' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        for (value, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, WAIT = \"7\" ; x=1", Some(7)),
            ("foo=\"a, wait=3\", wait=4", Some(4)),
            ("foo=\"a\\\", wait=3\", wait=5", Some(5)),
            ("wait=1, wait=2", Some(1)),
            ("wait=99999999999999999999999", Some(u64::MAX)),
            ("wait=0", Some(0)),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=+1", None),
            ("wait=1.5", None),
            ("waiting=1", None),
        ] {
            let headers = HeaderMap::from_iter([("prefer".parse().expect("a name"), value.parse().expect("a value"))]);
            assert_eq!(wait(&headers), seconds, "{value}");
        }
    }
}
