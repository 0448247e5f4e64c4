//! What makes a node private: its ports, its folders, its name and cookie.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::error::{Error, While};

/// Ports are picked from here: below the range that Linux takes ports of outgoing connections from. In that range a
/// client that dials a killed broker again and again would in the end be given the broker's port for itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Where a node listens and keeps its files. The folder goes when this is dropped.
#[derive(Debug)]
pub(super) struct Layout {
    folder: TempDir,
    amqp: u16,
    distribution: u16,
    epmd: u16,
}

impl Layout {
    /// Picks ports and writes the files that RabbitMQ reads.
    pub(super) fn create() -> Result<Self, Error> {
        let folder = TempDir::with_prefix("tidings-broker-").while_doing("make a folder for the broker")?;
        let [amqp, distribution, epmd] = free_ports().while_doing("find free ports for the broker")?;
        let layout = Self { folder, amqp, distribution, epmd };
        layout.write_files().while_doing("write the broker's configuration")?;
        Ok(layout)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn amqp(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.amqp).into()
    }

    pub(super) fn epmd(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.epmd).into()
    }

    /// The port mapper that Erlang nodes register with. Without one of its own a node starts one that outlives it.
    pub(super) fn epmd_command(&self) -> io::Result<Command> {
        let mut command = self.command("epmd")?;
        command.args(["-address", "127.0.0.1", "-port", &self.epmd.to_string()]);
        Ok(command)
    }

    /// The broker itself: the script ends in an `exec`, so that its process is the broker's.
    pub(super) fn broker_command(&self, program: &Path) -> io::Result<Command> {
        let mut command = self.command(program)?;
        command
            .env("RABBITMQ_NODENAME", format!("tidings-{}@localhost", self.amqp))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.amqp.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", self.path("schema"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            // Without it the script stays between us and the broker, to keep it from reading the terminal.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
            );
        Ok(command)
    }

    /// The end of what the node's programs printed.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 20;
        let printed = fs::read(self.path("printed")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// A program that knows nothing of the caller's environment, which may describe another RabbitMQ.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> io::Result<Command> {
        let printed = self.printed()?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.path("home"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed);
        Ok(command)
    }

    fn printed(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.path("printed"))
    }

    fn write_files(&self) -> io::Result<()> {
        let home = self.path("home");
        fs::create_dir(&home)?;
        // Erlang refuses a cookie that others may read.
        let mut cookie = File::create(home.join(".erlang.cookie"))?;
        cookie.set_permissions(Permissions::from_mode(0o400))?;
        let secret: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        cookie.write_all(secret.as_bytes())?;

        fs::write(self.path("enabled_plugins"), "[].\n")?;
        fs::write(
            self.path("rabbitmq.conf"),
            format!(
                "listeners.tcp.1 = 127.0.0.1:{}\n\
                 loopback_users.guest = true\n\
                 vm_memory_high_watermark.absolute = 512MB\n\
                 disk_free_limit.absolute = 50MB\n",
                self.amqp
            ),
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Three ports that nobody listens on. Somebody else may take one before the node does, which is why
/// `Node::start` tries again.
fn free_ports() -> io::Result<[u16; 3]> {
    // All three are held until all three are found, or one might be found twice.
    let held = [free_port()?, free_port()?, free_port()?];
    let [a, b, c] = held.map(|listener| listener.local_addr().map(|addr| addr.port()));
    Ok([a?, b?, c?])
}

fn free_port() -> io::Result<TcpListener> {
    const TRIES: usize = 100;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, fastrand::u16(PORTS))) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_none_that_linux_hands_out() {
        let ports = free_ports().unwrap();
        assert!(ports.iter().all(|port| PORTS.contains(port)));
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
    }

    #[test]
    fn the_cookie_is_nobody_elses_to_read() {
        let layout = Layout::create().unwrap();
        let cookie = layout.path("home/.erlang.cookie");
        let mode = fs::metadata(&cookie).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        assert_eq!(fs::read(&cookie).unwrap().len(), 32);
    }

    #[test]
    fn the_folder_goes_with_the_layout() {
        let layout = Layout::create().unwrap();
        let folder = layout.folder().to_owned();
        assert!(folder.join("rabbitmq.conf").is_file());
        drop(layout);
        assert!(!folder.exists());
    }
}
