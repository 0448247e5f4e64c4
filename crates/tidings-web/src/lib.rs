//! Tidings in a browser: a JavaScript module that follows jobs and a page that shows them, embedded and served.
//!
//! [`Web`] is a service that answers `GET` and `HEAD` for the files in this crate's folder `web`: `tidings.js`, the
//! modules that it imports, `tidings.d.ts` with its types, and the page, which is `/`. There is no build step: what is
//! served is what was written.
//!
//! # Guarantees
//!
//! - Nothing but the files of one list is served; no path of a request ever reaches a file system.
//! - Each answer has its content type, a strong `ETag`, and a content security policy under which a page may load
//!   scripts and styles and talk to its own origin, and nothing else.
//! - All files refer to each other by relative URLs, so the service can be nested under any prefix that ends in `/`.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use tidings_web::Web;
//! use tower_service::Service;
//!
//! let asked = Request::get("/tidings.js").body(())?;
//! let response = Web::new().call(asked).into_inner()?;
//! assert_eq!(response.headers()["content-type"], "text/javascript; charset=utf-8");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a page of the same origin:
//!
//! ```html
//! <script type="module">
//!   import { follow } from "./tidings.js";
//!   for await (const update of follow("jobs/01938f6e-7c1a-7b3e-9d52-8f3b2a6c4e10")) {
//!     if (update.kind === "event") console.log(update.event.type, update.event.data);
//!   }
//! </script>
//! ```
//!
//! # Knobs
//!
//! None: those of following are the options of `follow`, and `tidings.d.ts` describes them.
//!
//! # When not to use it
//!
//! Where a site has a bundler and serves its own files: take `web/tidings.js` and `web/tidings/` from this crate's
//! sources; they need no part of the Rust side.

mod files;
mod handler;

pub use handler::Web;
