//! A RabbitMQ node as a child process.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::error::{Error, Kind, While};
use super::layout::Layout;
use super::watchdog::Watchdog;

/// How long a start may take before it counts as failed. It takes 3 s where the machine has nothing else to do.
const START: Duration = Duration::from_secs(120);
/// How often a start is tried with other ports, should somebody have taken one of them in between.
const TRIES: usize = 3;
/// How long between two looks at whether the broker answers yet.
const PAUSE: Duration = Duration::from_millis(50);

/// A private RabbitMQ node, which runs as a child of this process and ends with it.
///
/// Its user is `guest` with the password `guest`, its virtual host `/`.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    /// `None` while the broker is killed.
    broker: Option<Child>,
    /// Leads the process group that the broker is in. It stays for as long as the node does.
    epmd: Child,
    watchdog: Watchdog,
    /// Last, since its folder must go after those who write to it.
    layout: Layout,
}

impl Node {
    /// Starts a node and waits until it speaks AMQP, which takes some seconds.
    ///
    /// # Errors
    ///
    /// Where RabbitMQ is not installed ([`Error::is_not_installed`]), where it ends by itself, and where it does
    /// not answer within two minutes. Nothing is left running then.
    pub fn start() -> Result<Self, Error> {
        let program = super::find().ok_or(Kind::NotInstalled)?;
        let mut tries = 1;
        loop {
            match Self::start_once(program.clone()) {
                Err(error) if error.is_worth_another_try() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    /// The AMQP URL to connect to. It stays the same for the node's whole life.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr())
    }

    /// Where it listens for AMQP.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.layout.amqp()
    }

    /// Ends the broker without a warning (SIGKILL) and waits until it is gone. Its ports are closed then; its data
    /// stay for [`restart`](Self::restart). Does nothing where it is killed already.
    ///
    /// A node that is killed within seconds of what was declared on it may lose that for good, messages and all: let it
    /// [`stop`](Self::stop) and [`restart`](Self::restart) once in between.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn kill(&mut self) -> Result<(), Error> {
        if let Some(mut broker) = self.broker.take() {
            broker.kill().while_doing("kill the broker")?;
            broker.wait().while_doing("wait for the broker's end")?;
        }
        Ok(())
    }

    /// Has the broker end in good order (SIGTERM) and waits until it is gone: everything that was declared on it is on disk
    /// then. Does nothing where it is killed already.
    ///
    /// # Errors
    ///
    /// Where it does not end in time, or the operating system refuses.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.signal(Signal::TERM).while_doing("stop the broker")?;
        let Some(broker) = &mut self.broker else { return Ok(()) };
        let asked = Instant::now();
        while broker.try_wait().while_doing("wait for the broker's end")?.is_none() {
            if asked.elapsed() > START {
                return Err(
                    Kind::Silent { program: "rabbitmq-server", after: START, log: self.layout.last_words() }.into()
                );
            }
            thread::sleep(PAUSE);
        }
        self.broker = None;
        Ok(())
    }

    /// Starts the broker again with the same ports and data, and waits until it speaks AMQP. Kills it first where
    /// it runs.
    ///
    /// For up to a second afterwards a stream may answer 404 and a quorum queue count 0 messages.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub fn restart(&mut self) -> Result<(), Error> {
        self.kill()?;
        let group = i32::try_from(self.epmd.id()).map_err(io::Error::other).while_doing("name the process group")?;
        let broker = self
            .layout
            .broker_command(&self.program)
            .and_then(|mut command| command.process_group(group).spawn())
            .while_doing("start the broker")?;
        let broker = self.broker.insert(broker);
        wait_until("rabbitmq-server", broker, &self.layout, || speaks_amqp(self.layout.amqp()))
    }

    /// Freezes the broker (SIGSTOP) and waits until it stands still: its connections stay open, and nothing answers on
    /// them. Does nothing where it is killed.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn suspend(&self) -> Result<(), Error> {
        self.signal(Signal::STOP).while_doing("suspend the broker")?;
        if let Some(broker) = &self.broker {
            // The signal is only on its way yet, and the broker's threads may still answer. NOWAIT leaves both the
            // broker's end to `kill` and its standing still to the next call of this.
            let until = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(Pid::from_child(broker)), until).while_doing("wait until the broker stands still")?;
        }
        Ok(())
    }

    /// Lets the broker go on after [`suspend`](Self::suspend) (SIGCONT).
    ///
    /// # Errors
    ///
    /// Where the operating system refuses.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT).while_doing("resume the broker")
    }

    fn start_once(program: PathBuf) -> Result<Self, Error> {
        let layout = Layout::create()?;
        let watchdog = Watchdog::start(layout.folder()).while_doing("start the shell that watches over the broker")?;
        let epmd = layout
            .epmd_command()
            .and_then(|mut command| command.process_group(0).spawn())
            .while_doing("start Erlang's port mapper, epmd")?;

        // From here on whatever fails drops the node, and that ends all of it.
        let mut node = Self { program, broker: None, epmd, watchdog, layout };
        node.watchdog.watch(node.epmd.id()).while_doing("tell the shell what to watch over")?;
        wait_until("epmd", &mut node.epmd, &node.layout, || TcpStream::connect(node.layout.epmd()).is_ok())?;
        node.restart()?;
        Ok(node)
    }

    fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        match &self.broker {
            Some(broker) => kill_process(Pid::from_child(broker), signal),
            None => Ok(()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The whole group, since the broker has helpers of its own. What can't be killed is gone already.
        let _ = kill_process_group(Pid::from_child(&self.epmd), Signal::KILL);
        if let Some(mut broker) = self.broker.take() {
            let _ = broker.wait();
        }
        let _ = self.epmd.wait();
    }
}

fn wait_until(
    program: &'static str,
    child: &mut Child,
    layout: &Layout,
    is_ready: impl Fn() -> bool,
) -> Result<(), Error> {
    let started = Instant::now();
    while !is_ready() {
        if let Some(status) = child.try_wait().while_doing("look after the broker")? {
            return Err(Kind::Ended { program, status, log: layout.last_words() }.into());
        }
        if started.elapsed() > START {
            return Err(Kind::Silent { program, after: START, log: layout.last_words() }.into());
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Whether a broker answers the protocol header with `Connection.Start` (AMQP 0-9-1, section 4.2.2).
///
/// That a port is open does not tell: on a restart it may be before queues can be used.
fn speaks_amqp(addr: SocketAddr) -> bool {
    /// Type 1 is a method frame, on channel 0; class 10, method 10 is `Connection.Start`.
    fn greets(addr: SocketAddr) -> io::Result<bool> {
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut frame = [0; 11];
        stream.read_exact(&mut frame)?;
        let [kind, channel_high, channel_low, _, _, _, _, method @ ..] = frame;
        Ok([kind, channel_high, channel_low] == [1, 0, 0] && method == [0, 10, 0, 10])
    }
    greets(addr).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// Answers the next connection's header with `answer`.
    fn peer(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut header = [0; 8];
            stream.read_exact(&mut header).unwrap();
            assert_eq!(&header, b"AMQP\x00\x00\x09\x01");
            stream.write_all(answer).unwrap();
        });
        addr
    }

    #[test]
    fn only_connection_start_is_an_answer() {
        assert!(speaks_amqp(peer(b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a\x00\x09")));
        // A broker that wants another version of the protocol, a web server, and one that hangs up.
        assert!(!speaks_amqp(peer(b"AMQP\x00\x01\x00\x00\x00\x00\x00")));
        assert!(!speaks_amqp(peer(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
        assert!(!speaks_amqp(peer(b"\x01\x00")));
    }
}
