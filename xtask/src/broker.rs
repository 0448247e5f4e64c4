//! Finds a RabbitMQ, and installs one where it may.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tidings_testkit::broker::{self, Broker};

use crate::Result;

/// Runs `apt-get` while a temporary policy keeps the package's own service from starting.
const INSTALL: &str = include_str!("install-rabbitmq.sh");
/// Debian asks this program whether it may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether RabbitMQ may be installed where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    Allowed,
    Forbidden,
}

/// The broker that the environment names, or a private node of the installed RabbitMQ, or of one that is installed
/// first.
pub(crate) fn obtain(install: Install) -> Result<Broker> {
    match Broker::find_or_start() {
        Err(error) if error.is_not_installed() => {}
        found => return Ok(found?),
    }
    if let Some(obstacle) = obstacle(install) {
        return Err(format!(
            "there is no broker: {obstacle}. Install RabbitMQ (on Debian and Ubuntu: apt-get install rabbitmq-server), \
             or set {} to the URL of one",
            broker::URL_VARIABLE
        )
        .into());
    }
    println!(
        "RabbitMQ is missing: installing the package rabbitmq-server, its service stays off (--no-install forbids)"
    );
    install_with(installer(Path::new(POLICY)))?;
    Ok(Broker::find_or_start()?)
}

/// Why RabbitMQ can't be installed here.
fn obstacle(install: Install) -> Option<&'static str> {
    if install == Install::Forbidden {
        Some("RabbitMQ is not installed, and --no-install was given")
    } else if !is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
        Some("RabbitMQ is not installed, and this is neither Debian nor Ubuntu")
    } else if !rustix::process::geteuid().is_root() {
        Some("RabbitMQ is not installed, and only root may install it")
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

/// The shell that installs. Its output is only worth reading if it fails.
fn installer(policy: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", INSTALL, "install-rabbitmq"]).arg(policy).stdin(Stdio::null());
    command
}

fn install_with(mut installer: Command) -> Result<()> {
    let done = installer.output().map_err(|error| format!("can't run a shell: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    Err(format!("rabbitmq-server could not be installed ({}):\n{stdout}{stderr}", done.status).into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A folder with an `apt-get` that does what `script` says, and the installer that meets it.
    fn with_apt_get(script: &str) -> (tempfile::TempDir, PathBuf, Command) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("apt-get");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let policy = folder.path().join("policy-rc.d");
        let mut command = installer(&policy);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display())).current_dir(&folder);
        (folder, policy, command)
    }

    #[test]
    fn services_are_forbidden_while_it_installs_and_only_then() {
        let (folder, policy, installer) = with_apt_get("echo \"$@\" >>calls; ./policy-rc.d; echo $? >>calls");
        install_with(installer).unwrap();
        assert!(!policy.exists());

        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls.len(), 4, "{calls:?}");
        assert!(calls[0].ends_with(" update") && calls[2].ends_with(" --no-install-recommends rabbitmq-server"));
        assert_eq!([calls[1], calls[3]], ["101", "101"]);
    }

    #[test]
    fn a_policy_that_was_there_before_is_there_after_a_failure() {
        let (_folder, policy, installer) = with_apt_get("echo E: no such package >&2; exit 100");
        fs::write(&policy, "the machine's own").unwrap();
        let error = install_with(installer).unwrap_err().to_string();
        assert!(error.contains("E: no such package"), "{error}");
        assert_eq!(fs::read_to_string(&policy).unwrap(), "the machine's own");
    }

    #[test]
    fn no_policy_is_left_by_an_installation_that_is_interrupted() {
        let (_folder, policy, installer) = with_apt_get("kill -s INT $PPID");
        assert!(install_with(installer).is_err());
        assert!(!policy.exists());
    }

    #[test]
    fn knows_debian_and_its_relatives() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nPRETTY_NAME=\"not debian\"\n"));
    }
}
