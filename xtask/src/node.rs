//! Finds Node.js, and has it installed where it may.

use std::process::{Command, Stdio};

use crate::Result;
use crate::install::{Install, Packaged};

const NODE: Packaged = Packaged { name: "Node.js", packages: &["nodejs", "npm"] };
/// The oldest Node that the browser module and npm's `eventsource` run in. Debian has it since version 13; where a package is
/// older, or an older Node is there already, it is for people to decide where to get another one.
const OLDEST: u32 = 20;

/// Sees to it that there is a Node which is new enough.
pub(crate) fn obtain(install: Install) -> Result<()> {
    if version().is_none() {
        NODE.install(install)?;
    }
    match version().as_deref().map(|version| (version, major(version))) {
        Some((_, Some(major))) if major >= OLDEST => Ok(()),
        Some((version, _)) => Err(format!("Node.js {OLDEST} or newer is needed, and this is {version}").into()),
        None => Err("Node.js was installed and is not on the PATH".into()),
    }
}

/// What `node --version` says.
fn version() -> Option<String> {
    let said = Command::new("node").arg("--version").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v9.0.0-nightly"), Some(9));
        assert_eq!(major("20"), None);
    }
}
