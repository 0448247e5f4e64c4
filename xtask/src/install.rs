//! Installs what the tests need from Debian's packages, where it may.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// Runs `apt-get` while a temporary policy keeps the packages' own services from starting.
const INSTALL: &str = include_str!("install-packages.sh");
/// Debian asks this program whether it may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether what is missing may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    Allowed,
    Forbidden,
}

/// A program that the tests need, as Debian packages it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packaged {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The packages that it is in.
    pub(crate) packages: &'static [&'static str],
}

impl Packaged {
    /// Installs it; services that come with it stay off.
    ///
    /// # Errors
    ///
    /// Where that is forbidden or impossible: the error says why, and how to install it by hand.
    pub(crate) fn install(&self, install: Install) -> Result<()> {
        let packages = self.packages.join(" ");
        if let Some(obstacle) = obstacle(install) {
            let name = self.name;
            return Err(format!(
                "{name} is not installed, and {obstacle}. Install it (on Debian and Ubuntu: apt-get install {packages})"
            )
            .into());
        }
        println!("{} is missing: installing {packages}, services stay off (--no-install forbids)", self.name);
        self.install_with(self.installer(Path::new(POLICY)))
    }

    /// The shell that installs. Its output is only worth reading if it fails.
    fn installer(&self, policy: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", INSTALL, "install-packages"]).arg(policy).args(self.packages).stdin(Stdio::null());
        command
    }

    fn install_with(&self, mut installer: Command) -> Result<()> {
        let done = installer.output().map_err(|error| format!("can't run a shell: {error}"))?;
        if done.status.success() {
            return Ok(());
        }
        let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        Err(format!("{} could not be installed ({}):\n{stdout}{stderr}", self.name, done.status).into())
    }
}

/// Why nothing can be installed here.
fn obstacle(install: Install) -> Option<&'static str> {
    if install == Install::Forbidden {
        Some("--no-install was given")
    } else if !is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        Some("this is neither Debian nor Ubuntu")
    } else if !rustix::process::geteuid().is_root() {
        Some("only root may install it")
    } else {
        None
    }
}

/// Whether an `os-release` is that of Debian, or of a relative.
fn is_debian(os_release: &str) -> bool {
    let value = |line: &str| -> Option<String> {
        let value = line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE="))?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    };
    os_release.lines().filter_map(value).any(|ids| ids.split_whitespace().any(|id| matches!(id, "debian" | "ubuntu")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    const TEAPOT: Packaged = Packaged { name: "Teapot", packages: &["teapot", "teapot-lid"] };

    /// A folder with an `apt-get` that does what `script` says, and the installer that meets it.
    fn with_apt_get(script: &str) -> (tempfile::TempDir, PathBuf, Command) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("apt-get");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let policy = folder.path().join("policy-rc.d");
        let mut command = TEAPOT.installer(&policy);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display())).current_dir(&folder);
        (folder, policy, command)
    }

    #[test]
    fn services_are_forbidden_while_it_installs_and_only_then() {
        let (folder, policy, installer) = with_apt_get("echo \"$@\" >>calls; ./policy-rc.d; echo $? >>calls");
        TEAPOT.install_with(installer).unwrap();
        assert!(!policy.exists());

        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls.len(), 4, "{calls:?}");
        assert!(calls[0].ends_with(" update") && calls[2].ends_with(" --no-install-recommends teapot teapot-lid"));
        assert_eq!([calls[1], calls[3]], ["101", "101"]);
    }

    #[test]
    fn a_policy_that_was_there_before_is_there_after_a_failure() {
        let (_folder, policy, installer) = with_apt_get("echo E: no such package >&2; exit 100");
        fs::write(&policy, "the machine's own").unwrap();
        let error = TEAPOT.install_with(installer).unwrap_err().to_string();
        assert!(error.starts_with("Teapot could not") && error.contains("E: no such package"), "{error}");
        assert_eq!(fs::read_to_string(&policy).unwrap(), "the machine's own");
    }

    /// By SIGTERM: who runs in the background ignores SIGINT, and a shell can't trap what was ignored when it began.
    #[test]
    fn no_policy_is_left_by_an_installation_that_is_interrupted() {
        let (_folder, policy, installer) = with_apt_get("kill -s TERM $PPID");
        assert!(TEAPOT.install_with(installer).is_err());
        assert!(!policy.exists());
    }

    #[test]
    fn what_may_not_be_installed_says_how_to_get_it() {
        let error = TEAPOT.install(Install::Forbidden).unwrap_err().to_string();
        assert!(error.starts_with("Teapot is not installed, and --no-install was given"), "{error}");
        assert!(error.ends_with("apt-get install teapot teapot-lid)"), "{error}");
    }

    #[test]
    fn knows_debian_and_its_relatives() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nPRETTY_NAME=\"not debian\"\n"));
    }
}
