//! Many streams at once, and what is checked on each: the seqs are 1, 2, 3, … without a hole or a repeat.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::retry_on_intr;
use socket2::{Domain, Protocol, Socket, Type};

use super::answers::{Answers, Part};
use super::api::{self, Api, Job};
use super::numbers::Histogram;
use crate::Result;

/// So many streams are being opened at a time: fewer than a server's backlog.
const OPENING: usize = 100;
/// How long it may take until the next of them is open.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many connections have one address of their own: fewer than there are ports for it.
const PER_ADDRESS: usize = 20_000;
/// One read takes as much of a stream.
const BUFFER: usize = 256 * 1024;
/// Readers that never read can take as much: what is sent to them stays with the server.
const SMALL_BUFFER: usize = 4096;

/// What a connection asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// The events after this one, as they come.
    Stream { after: u64 },
    /// The next event after this one, for as long as a poll may be held. Answered one poll before, as most are that are held:
    /// that leaves something behind on a connection.
    LongPoll { after: u64 },
}

/// Streams, of which each is read as soon as there is something to read.
pub(super) struct Crowd {
    epoll: OwnedFd,
    streams: Vec<Stream>,
    buffer: Vec<u8>,
    ready: Vec<epoll::Event>,
    /// Streams whose head has come.
    open: usize,
    /// The time that stamps are counted from.
    epoch: Instant,
    seen: Seen,
}

#[derive(Debug)]
struct Stream {
    socket: TcpStream,
    answers: Answers,
    events: super::events::Events,
    /// The seq of the last event.
    last: u64,
}

/// What came of all streams together.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Events that were reported here, on however many streams.
    pub(super) deliveries: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
    /// From when the event was due to when it was read.
    pub(super) delays: Histogram,
}

impl Crowd {
    /// Opens so many streams, the first on the first job, the next on the next, and so on in turn.
    pub(super) fn connect(
        address: SocketAddrV4,
        jobs: &[Job],
        count: usize,
        after: u64,
        epoch: Instant,
    ) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut crowd = Self {
            epoll,
            streams: Vec::with_capacity(count),
            buffer: vec![0; BUFFER],
            ready: Vec::with_capacity(1024),
            open: 0,
            epoch,
            seen: Seen::default(),
        };
        for (number, job) in jobs.iter().cycle().take(count).enumerate() {
            let socket = dial(address, number, job, Wish::Stream { after }, None)?;
            socket.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&crowd.epoll, &socket, data, epoll::EventFlags::IN)?;
            let stream = Stream { socket, answers: Answers::default(), events: Default::default(), last: after };
            crowd.streams.push(stream);
            crowd.wait_until_open((number + 1).saturating_sub(OPENING))?;
        }
        crowd.wait_until_open(count)?;
        Ok(crowd)
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Begins to count delays anew.
    pub(super) fn forget_delays(&mut self) {
        self.seen.delays = Histogram::default();
    }

    /// Becomes readable when a stream does.
    pub(super) fn wakes(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Reads what there is. Calls back every now and then, for what can't wait until all is read.
    pub(super) fn read(&mut self, mut between: impl FnMut(&Seen) -> Result<()>) -> Result<()> {
        // Where more and more comes, nobody would get away from here: all streams are looked at once.
        for _ in 0..=self.streams.len() / self.ready.capacity() {
            self.wait(Duration::ZERO)?;
            for place in 0..self.ready.len() {
                self.read_one(place)?;
                if place % 32 == 31 {
                    between(&self.seen)?;
                }
            }
            if self.ready.len() < self.ready.capacity() {
                break;
            }
        }
        Ok(())
    }

    /// Waits until so many are open.
    fn wait_until_open(&mut self, count: usize) -> Result<()> {
        while self.open < count {
            self.wait(PATIENCE)?;
            if self.ready.is_empty() {
                return Err(format!("only {} of {} streams are open", self.open, self.streams.len()).into());
            }
            for place in 0..self.ready.len() {
                self.read_one(place)?;
            }
        }
        Ok(())
    }

    /// Waits until some are readable, or that long.
    fn wait(&mut self, patience: Duration) -> io::Result<()> {
        self.ready.clear();
        let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
        // A child that ends interrupts it.
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&patience)))?;
        Ok(())
    }

    /// Reads once from the stream that is ready in this place. What is left makes it ready again.
    fn read_one(&mut self, place: usize) -> Result<()> {
        let number = self.ready[place].data.u64() as usize;
        let Self { streams, buffer, open, epoch, seen, .. } = self;
        let Stream { socket, answers, events, last } = &mut streams[number];
        let read = match socket.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("stream {number}: {error}").into()),
        };
        let now = epoch.elapsed().as_nanos() as u64;
        let mut end = (read == 0).then(|| "it was closed".to_owned());
        let fed = answers.feed(&buffer[..read], |part| match part {
            Part::Head(200) => *open += 1,
            Part::Head(status) => end = Some(format!("its status is {status}")),
            Part::Body(bytes) => events.feed(bytes, |seq, stamp| seen.event(last, seq, stamp, now)),
            Part::End => end = Some("it has ended".to_owned()),
        });
        match fed.err().or(end) {
            Some(why) => Err(format!("stream {number}: {why}").into()),
            None => Ok(()),
        }
    }
}

impl Seen {
    fn event(&mut self, last: &mut u64, seq: u64, stamp: Option<u64>, now: u64) {
        if seq > *last {
            self.lost += seq - *last - 1;
            *last = seq;
        } else {
            self.repeated += 1;
        }
        if let Some(stamp) = stamp {
            self.deliveries += 1;
            self.delays.add(now.saturating_sub(stamp));
        }
    }
}

/// Connections of which nobody reads.
#[derive(Debug)]
pub(super) struct Idle(#[expect(dead_code, reason = "they are open for as long as this lives")] Vec<TcpStream>);

impl Idle {
    /// Opens connections that take as much as any other, and on which nothing comes for now.
    pub(super) fn park(address: SocketAddrV4, job: &Job, count: usize, wish: Wish) -> Result<Self> {
        Self::open(address, job, count, wish, None)
    }

    /// Opens streams that take as little as possible, so that what comes on them is stuck at once.
    pub(super) fn clog(address: SocketAddrV4, job: &Job, count: usize) -> Result<Self> {
        Self::open(address, job, count, Wish::Stream { after: 0 }, Some(SMALL_BUFFER))
    }

    fn open(address: SocketAddrV4, job: &Job, count: usize, wish: Wish, receive_buffer: Option<usize>) -> Result<Self> {
        let mut sockets = Vec::with_capacity(count);
        for number in 0..count {
            sockets.push(dial(address, number, job, wish, receive_buffer)?);
            if number % OPENING == OPENING - 1 {
                Api::wait_for_earlier(address)?;
            }
        }
        Api::wait_for_earlier(address)?;
        Ok(Self(sockets))
    }
}

/// Connects, and asks.
fn dial(
    address: SocketAddrV4,
    number: usize,
    job: &Job,
    wish: Wish,
    receive_buffer: Option<usize>,
) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Ok(more @ 1..) = u8::try_from(number / PER_ADDRESS) {
        let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + more), 0));
        socket.bind(&own.into())?;
    }
    socket.connect(&SocketAddr::from(address).into())?;
    let mut socket = TcpStream::from(socket);
    let target = match wish {
        Wish::Stream { after } => format!("sse?after={after}"),
        Wish::LongPoll { after } => {
            let mut before = Api::over(address, socket);
            before.poll(job)?;
            socket = before.into_connection();
            format!("long-poll?after={after}&wait=55")
        }
    };
    let request = api::get(address, &format!("/jobs/{}/{target}", job.id));
    socket.write_all(request.as_bytes())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_repeats_are_counted() {
        let (mut seen, mut last) = (Seen::default(), 2);
        for (seq, stamp) in [(3, None), (4, Some(10)), (7, Some(20)), (7, Some(20)), (5, Some(15)), (8, Some(25))] {
            seen.event(&mut last, seq, stamp, 30);
        }
        assert_eq!((seen.deliveries, seen.lost, seen.repeated, last), (5, 2, 2, 8));
        assert_eq!(seen.delays.quantile(1.0), Some(20));
    }
}
