//! Finds Chromium and the program that drives it, and has them installed where it may.

use std::env;

use crate::Result;
use crate::install::{Install, Packaged};

/// What the tests start. It finds its browser by itself.
const DRIVER: &str = "chromedriver";
const CHROMIUM: Packaged = Packaged { name: "Chromium", packages: &["chromium", "chromium-driver"] };

/// Sees to it that the tests find a browser.
pub(crate) fn obtain(install: Install) -> Result<()> {
    if is_installed() {
        return Ok(());
    }
    CHROMIUM.install(install).map_err(|error| format!("there is no browser: {error}"))?;
    if is_installed() { Ok(()) } else { Err(format!("{DRIVER} was installed and is not on the PATH").into()) }
}

fn is_installed() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(DRIVER).is_file())
}
