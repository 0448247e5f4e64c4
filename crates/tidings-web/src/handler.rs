//! Answering with a file.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::LazyLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tidings_core::{Body, Problem, ProblemKind, etag};
use tower_service::Service;
use xxhash_rust::xxh3::xxh3_128;

use crate::files::{FILES, File};

/// What is answered for the folder itself.
const INDEX: &str = "index.html";
/// With every answer. A page may load what lies beside it and talk to its own origin, and is framed by nobody.
const SAFETY: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The embedded files as a service: ready at once, and without errors.
///
/// The path of a request is that of the file, and `/` is the page. Nest it under a prefix that ends in `/`, with the
/// prefix taken off: the files refer to each other by relative URLs.
///
/// An unknown path is answered with the problem `not-found`, another method than `GET` and `HEAD` with
/// `method-not-allowed`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Web {}

impl Web {
    /// The service.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is a file at this path. A host asks that has other services to turn to.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        find(path).is_some()
    }
}

impl<B> Service<Request<B>> for Web {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = answer(request.method(), request.uri().path(), request.headers());
        response.headers_mut().extend(SAFETY);
        ready(Ok(response))
    }
}

fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(Tagged { file, tag, quoted }) = find(path) else {
        return Problem::from(ProblemKind::NotFound).into_response();
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        let allow = HeaderValue::from_static("GET, HEAD");
        return Problem::from(ProblemKind::MethodNotAllowed).with_header(header::ALLOW, allow).into_response();
    }
    let mut response = Response::new(Body::empty());
    let fields = response.headers_mut();
    fields.insert(header::ETAG, quoted.clone());
    // Stored, and asked about each time: a page must not meet modules of another version than its own.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if etag::none_match_names(headers, tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes.len()));
    if *method == Method::GET {
        *response.body_mut() = Bytes::from_static(file.bytes).into();
    }
    response
}

/// A file with its entity tag.
struct Tagged {
    file: &'static File,
    tag: String,
    quoted: HeaderValue,
}

fn find(path: &str) -> Option<&'static Tagged> {
    /// By the hash of the bytes, so that a file keeps its tag for as long as it stays the same.
    static TAGGED: LazyLock<Vec<Tagged>> = LazyLock::new(|| FILES.iter().filter_map(tagged).collect());
    let path = match path.strip_prefix('/').unwrap_or(path) {
        "" => INDEX,
        path => path,
    };
    TAGGED.iter().find(|tagged| tagged.file.path == path)
}

fn tagged(file: &'static File) -> Option<Tagged> {
    let tag = format!("{:032x}", xxh3_128(file.bytes));
    // Digits between quotes are always a header's value.
    let quoted = HeaderValue::try_from(format!("\"{tag}\"")).ok()?;
    Some(Tagged { file, tag, quoted })
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    fn ask(request: http::request::Builder) -> Response<Body> {
        let request = request.body(()).expect("a request");
        Web::new().call(request).into_inner().unwrap_or_else(|never| match never {})
    }

    fn tag_of(path: &str) -> HeaderValue {
        ask(Request::get(path)).headers()["etag"].clone()
    }

    #[test]
    fn every_file_is_served_whole_with_its_type() {
        for file in FILES {
            let response = ask(Request::get(format!("/{}", file.path)));
            assert_eq!(response.status(), 200, "{}", file.path);
            assert_eq!(response.headers()["content-type"], file.content_type);
            assert_eq!(response.headers()["content-length"], file.bytes.len().to_string());
            assert_eq!(response.headers()["cache-control"], "no-cache");
            assert_eq!(response.body().as_bytes().expect("a whole body"), file.bytes);
        }
    }

    #[test]
    fn a_tag_stands_for_the_bytes() {
        let tag = tag_of("/tidings.js");
        assert!(!tag.to_str().expect("ASCII").starts_with("W/"), "it is a strong one");
        assert_ne!(tag, tag_of("/tidings.d.ts"));

        let seen = ask(Request::get("/tidings.js").header("if-none-match", &tag));
        assert_eq!((seen.status(), &seen.headers()["etag"]), (StatusCode::NOT_MODIFIED, &tag));
        assert!(seen.body().is_end_stream());
        let other = ask(Request::get("/tidings.js").header("if-none-match", tag_of("/tidings.d.ts")));
        assert_eq!(other.status(), 200);
    }

    #[test]
    fn head_is_get_without_the_body() {
        let (get, head) = (ask(Request::get("/tidings.js")), ask(Request::head("/tidings.js")));
        assert_eq!((head.status(), head.headers()), (get.status(), get.headers()));
        assert!(head.body().is_end_stream());
    }

    #[test]
    fn what_is_not_listed_is_not_there() {
        for path in
            ["/tidings", "/../src/lib.rs", "/web/tidings.js", "//tidings.js", "/tidings.js/", "/%2e%2e/Cargo.toml"]
        {
            let response = ask(Request::get(path));
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert!(!Web::new().has(path), "{path}");
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        let response = ask(Request::post("/tidings.js"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn every_answer_keeps_the_browser_to_this_origin() {
        let seen = Request::get("/tidings.js").header("if-none-match", "*");
        for request in [Request::get("/tidings.js"), seen, Request::get("/nothing"), Request::post("/tidings.js")] {
            let response = ask(request);
            let policy = response.headers()["content-security-policy"].to_str().expect("ASCII");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        }
    }
}
