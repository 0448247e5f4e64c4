//! The files that are served: the one list. A test holds it to the folder `web`.

/// A file of the folder `web`.
#[derive(Debug)]
pub(crate) struct File {
    /// From the folder, with `/` in between.
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

const PAGE: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Of TypeScript's declarations: they have no type of their own.
const TEXT: &str = "text/plain; charset=utf-8";

/// Embeds files, each with its content type.
macro_rules! files {
    ($($path:literal: $content_type:expr,)*) => {
        &[$(File { path: $path, content_type: $content_type, bytes: include_bytes!(concat!("../web/", $path)) },)*]
    };
}

pub(crate) const FILES: &[File] = files! {
    "index.html": PAGE,
    "page.css": STYLE,
    "page/dom.js": SCRIPT,
    "page/fold.js": SCRIPT,
    "page/format.js": SCRIPT,
    "page/home.js": SCRIPT,
    "page/icon.svg": PICTURE,
    "page/job.js": SCRIPT,
    "page/lane.js": SCRIPT,
    "page/log.js": SCRIPT,
    "page/main.js": SCRIPT,
    "page/missing.js": SCRIPT,
    "page/plain.js": SCRIPT,
    "page/race.js": SCRIPT,
    "page/row.js": SCRIPT,
    "page/server.js": SCRIPT,
    "page/state.js": SCRIPT,
    "page/steps.js": SCRIPT,
    "page/submit.js": SCRIPT,
    "tidings.d.ts": TEXT,
    "tidings.js": SCRIPT,
    "tidings/event-stream.js": SCRIPT,
    "tidings/exchange.js": SCRIPT,
    "tidings/failures.js": SCRIPT,
    "tidings/follow.js": SCRIPT,
    "tidings/follower.js": SCRIPT,
    "tidings/heartbeat.js": SCRIPT,
    "tidings/hub.js": SCRIPT,
    "tidings/jobs.js": SCRIPT,
    "tidings/ladder.js": SCRIPT,
    "tidings/native.js": SCRIPT,
    "tidings/pages.js": SCRIPT,
    "tidings/polling.js": SCRIPT,
    "tidings/reading.js": SCRIPT,
    "tidings/shared.js": SCRIPT,
    "tidings/sources.js": SCRIPT,
    "tidings/updates.js": SCRIPT,
    "tidings/urls.js": SCRIPT,
    "tidings/wait.js": SCRIPT,
    "tidings/watcher.js": SCRIPT,
    "tidings/worker.js": SCRIPT,
};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = format!("{prefix}{}", entry.file_name().to_str().expect("a name in UTF-8"));
            if entry.file_type().expect("a type").is_dir() {
                below(&entry.path(), &format!("{path}/"), found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn the_list_and_the_folder_agree() {
        let mut found = BTreeSet::new();
        below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), "", &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(listed, found);
        assert_eq!(listed.len(), FILES.len(), "none is listed twice");
    }

    #[test]
    fn each_file_has_the_type_that_its_name_says() {
        for file in FILES {
            let expected = match file.path.rsplit_once('.').expect("an extension").1 {
                "html" => PAGE,
                "css" => STYLE,
                "js" => SCRIPT,
                "ts" => TEXT,
                "svg" => PICTURE,
                other => panic!("say here what type .{other} is"),
            };
            assert_eq!(file.content_type, expected, "{}", file.path);
        }
    }
}
