//! Eventfds, and descriptors of values that do not lend theirs.

use std::io::Read;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::mpsc::channel;

use iothread::duplicate;
use rustix::event::{EventfdFlags, eventfd};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::fixture::{held, pair, thread};

#[test]
fn an_eventfd_of_rust_vmm_is_watched_and_stays_its_owners() {
    let io0 = thread("io0");
    let context = held(&io0);
    let kick = EventFd::new(EFD_NONBLOCK).unwrap();
    let (sent, counts) = channel();
    let watch = context
        .watch_eventfd(duplicate(&kick).unwrap(), move |count, _| {
            sent.send(count).unwrap();
        })
        .unwrap();
    kick.write(3).unwrap();
    assert_eq!(counts.recv().unwrap(), 3);
    kick.write(4).unwrap();
    assert_eq!(counts.recv().unwrap(), 4);
    drop(watch);
    context.synchronize().unwrap();
    // The owner has it alone again.
    kick.write(5).unwrap();
    assert_eq!(kick.read().unwrap(), 5);
    assert!(counts.recv().is_err());
}

#[test]
fn an_eventfd_that_others_empty_first_calls_nobody() {
    let io0 = thread("io0");
    let context = held(&io0);
    let kick = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
    let (sent, counts) = channel();
    let (go, wait) = channel::<()>();
    let second = duplicate(&*kick).unwrap();
    // Both are ready at once. The first one takes all.
    let sender = sent.clone();
    let _first = context
        .watch_eventfd(Arc::clone(&kick), move |count, _| {
            sender.send(count).unwrap()
        })
        .unwrap();
    let _second = context
        .watch_eventfd(second, move |count, _| sent.send(count).unwrap())
        .unwrap();
    context
        .post(move |_| assert!(wait.recv().is_err()))
        .unwrap();
    rustix::io::write(&kick, &7_u64.to_ne_bytes()).unwrap();
    drop(go);
    assert_eq!(counts.recv().unwrap(), 7);
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert!(counts.try_recv().is_err());
    assert_eq!(io0.stats().fds, 2);
}

#[test]
fn what_is_no_eventfd_is_not_watched_for_ever() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, far) = pair();
    let _watch = context
        .watch_eventfd(near, |_, _| panic!("three bytes are not a count"))
        .unwrap();
    std::io::Write::write_all(&mut &far, b"abc").unwrap();
    while io0.stats().fds > 0 {
        context.synchronize().unwrap();
    }
}

struct Number(RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

#[test]
fn a_duplicate_is_of_an_open_file_or_an_error() {
    let (near, far) = pair();
    let mut duplicate = std::os::unix::net::UnixStream::from(duplicate(&near).unwrap());
    assert_ne!(duplicate.as_raw_fd(), near.as_raw_fd());
    let flags = rustix::io::fcntl_getfd(&duplicate).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    drop(near);
    std::io::Write::write_all(&mut &far, b"x").unwrap();
    let mut byte = [0];
    duplicate.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    for number in [-1, RawFd::MAX] {
        let error = iothread::duplicate(&Number(number)).unwrap_err();
        let expected = rustix::io::Errno::BADF.raw_os_error();
        assert_eq!(error.raw_os_error(), Some(expected), "{number}");
    }
}
