//! Between two ends, on one thread.

use std::io;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::side::{Side, is_later};
use super::{Policy, Who};

/// Bytes that are read at a time.
const READ_SIZE: usize = 64 << 10;

/// The two ends of a connection. Without a server the policy answers by itself.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) client: Side,
    pub(crate) server: Option<Side>,
}

impl Ends {
    pub(crate) fn side(&mut self, who: Who) -> Option<&mut Side> {
        match who {
            Who::Client => Some(&mut self.client),
            Who::Server => self.server.as_mut(),
        }
    }

    /// Who hears what this one says.
    pub(crate) fn other(&mut self, who: Who) -> Option<&mut Side> {
        self.side(match who {
            Who::Client => Who::Server,
            Who::Server => Who::Client,
        })
    }

    /// Ends everything at once.
    pub(crate) fn close(&mut self) {
        self.client.close();
        if let Some(server) = &mut self.server {
            server.close();
        }
    }

    /// Whether nothing goes from one to the other any more.
    fn is_over(&self, policy: &dyn Policy) -> bool {
        let is_client_told = !self.client.is_busy() && !policy.is_busy();
        let Some(server) = &self.server else {
            return self.client.is_gone() || (self.client.is_silent && is_client_told);
        };
        // What a client that is gone had said is still to be delivered.
        (server.is_silent && is_client_told) || (self.client.is_gone() && !server.is_busy())
    }
}

/// What `poll` is asked about, in this order.
struct Asked {
    who: Who,
    flags: PollFlags,
}

/// Moves what both say until the connection is over, or `stop` is readable.
///
/// # Errors
///
/// What `poll` refuses.
pub(crate) fn run(
    ends: &mut Ends,
    policy: &mut dyn Policy,
    stop: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_SIZE];
    policy.begin(ends);
    let mut wanted = policy.wake(Instant::now(), ends);
    while !ends.is_over(policy) {
        let asked = asked(ends);
        let (stopped, rung, ready) = wait(ends, &asked, policy.bell(), stop, wanted)?;
        if stopped {
            ends.close();
            break;
        }
        for (asked, events) in asked.iter().zip(ready) {
            if events.contains(PollFlags::OUT)
                && let Some(side) = ends.side(asked.who)
            {
                side.flush();
            }
            let has_ended = events.intersects(PollFlags::HUP | PollFlags::ERR);
            // On Windows these are two bits, of which usually one comes.
            let is_readable = events.intersects(PollFlags::IN);
            if is_readable || (has_ended && asked.flags.contains(PollFlags::IN)) {
                read(asked.who, &mut buffer, policy, ends);
            } else if has_ended
                && let Some(side) = ends.side(asked.who).filter(|side| side.is_silent)
            {
                // Both directions are over.
                side.deafen();
            }
        }
        let now = Instant::now();
        if rung || wanted.is_some_and(|time| time <= now) || wanted.is_none() {
            wanted = policy.wake(now, ends);
        }
    }
    policy.over();
    Ok(())
}

/// What is waited for. Of a side whose counterpart has enough to do, nothing is read. A client that says nothing more is looked
/// at for its end.
fn asked(ends: &Ends) -> Vec<Asked> {
    let mut asked = Vec::with_capacity(2);
    let is_server_full = ends.server.as_ref().is_some_and(Side::is_full);
    let flags = flags(&ends.client, is_server_full);
    if !flags.is_empty() || ends.client.is_silent {
        let who = Who::Client;
        asked.push(Asked { who, flags });
    }
    if let Some(server) = &ends.server {
        let flags = self::flags(server, ends.client.is_full());
        if !flags.is_empty() {
            let who = Who::Server;
            asked.push(Asked { who, flags });
        }
    }
    asked
}

fn flags(side: &Side, is_held: bool) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, !side.is_silent && !is_held);
    flags.set(PollFlags::OUT, side.is_busy());
    flags
}

/// Waits; tells whether to stop, whether the bell has rung, and what is ready of what was asked about.
fn wait(
    ends: &Ends,
    asked: &[Asked],
    bell: Option<BorrowedFd<'_>>,
    stop: BorrowedFd<'_>,
    until: Option<Instant>,
) -> io::Result<(bool, bool, Vec<PollFlags>)> {
    let mut polled = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
    for asked in asked {
        let side = match asked.who {
            Who::Client => Some(&ends.client),
            Who::Server => ends.server.as_ref(),
        };
        if let Some(side) = side {
            polled.push(PollFd::from_borrowed_fd(side.descriptor(), asked.flags));
        }
    }
    let n_sides = polled.len() - 1;
    if let Some(bell) = bell {
        polled.push(PollFd::from_borrowed_fd(bell, PollFlags::IN));
    }
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready: Vec<PollFlags> = polled.iter().map(|polled| polled.revents()).collect();
    let rung = ready.get(n_sides + 1).is_some_and(|it| !it.is_empty());
    let stopped = ready.first().is_some_and(|it| !it.is_empty());
    Ok((stopped, rung, ready[1..=n_sides].to_vec()))
}

fn read(who: Who, buffer: &mut [u8], policy: &mut dyn Policy, ends: &mut Ends) {
    let Some(side) = ends.side(who) else {
        return;
    };
    let mut descriptors = Vec::new();
    match side.read(buffer, &mut descriptors) {
        Ok(0) => {}
        Ok(count) => return policy.hear(who, &buffer[..count], descriptors, ends),
        Err(error) if is_later(&error) => return,
        // Whatever it is, nothing more comes.
        Err(_) => {}
    }
    side.is_silent = true;
    policy.end(who, ends);
}
