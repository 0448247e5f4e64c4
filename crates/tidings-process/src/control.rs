//! How a supervisor is told what to do: over a socket that is its standard input.
//!
//! What comes first is the command's standard input as an open file (unix(7), `SCM_RIGHTS`), or word that it has none;
//! then orders, a byte each. That the socket closes is an order too: whoever had the other end is gone.

use std::{
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::Stdio,
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg,
    },
};

/// The byte that the command's standard input comes with.
const INPUT: u8 = b'i';

/// What a supervisor can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// End everything: SIGTERM, and SIGKILL after the grace.
    Stop,
    /// End everything by SIGKILL.
    Kill,
}

impl Order {
    const fn byte(self) -> u8 {
        match self {
            Self::Stop => b's',
            Self::Kill => b'k',
        }
    }
}

/// The end of the socket that gives orders.
#[derive(Debug)]
pub(crate) struct Control(UnixStream);

/// A socket for a new supervisor: our end, and its standard input.
pub(crate) fn pair(input: Option<&OwnedFd>) -> io::Result<(Control, Stdio)> {
    let (ours, theirs) = UnixStream::pair()?;
    let input = input.map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if let Some(input) = &input {
        // There is room for one, and it is the only one.
        message.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(input)));
    }
    sendmsg(&ours, &[IoSlice::new(&[INPUT])], &mut message, SendFlags::empty())?;
    // Nobody must ever wait for a supervisor to read.
    ours.set_nonblocking(true)?;
    Ok((Control(ours), Stdio::from(OwnedFd::from(theirs))))
}

impl Control {
    /// Gives an order. A supervisor that can't be told is gone, or has been told so often that it does not matter.
    pub(crate) fn send(&mut self, order: Order) {
        let _ = self.0.write(&[order.byte()]);
    }
}

/// The command's standard input, if it was given one: what comes first over a supervisor's socket.
pub(crate) fn receive_input(socket: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    let files = message.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok(files.flatten().next())
}

/// Waits for the next order over a supervisor's socket. `None` once it is closed.
pub(crate) fn receive_order(socket: impl AsFd) -> Option<Order> {
    let mut byte = [0];
    loop {
        match rustix::io::read(&socket, &mut byte) {
            Err(Errno::INTR) => {}
            Ok(1..) => return Some(if byte == [Order::Kill.byte()] { Order::Kill } else { Order::Stop }),
            Ok(0) | Err(_) => return None,
        }
    }
}
