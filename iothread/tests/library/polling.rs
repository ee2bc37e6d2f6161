//! When a loop polls.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use iothread::{FdDispatch, FdHandler, Interest, IoThread, Parameter, Polling, Registry};

use crate::fixture::{held, pair, read_byte, unannounced};

/// Work is found in a flag; the file descriptor is only there to wake a loop that sleeps.
struct Flagged {
    work: Arc<AtomicBool>,
    sent: Sender<()>,
}

impl FdHandler for Flagged {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        let _ = rustix::io::read(dispatch.fd(), &mut [0; 8]);
        self.poll_ready(dispatch);
    }

    fn polling(&self) -> Polling {
        Polling::Memory
    }

    fn poll(&mut self, _: &mut FdDispatch<'_>) -> bool {
        self.work.load(Ordering::SeqCst)
    }

    fn poll_ready(&mut self, _: &mut FdDispatch<'_>) {
        if self.work.swap(false, Ordering::SeqCst) {
            self.sent.send(()).expect("the test listens");
        }
    }
}

#[test]
fn a_loop_learns_to_poll_and_forgets_it_when_told() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(1)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, mut far) = pair();
    let work = Arc::new(AtomicBool::new(false));
    let (sent, done) = channel();
    let handler = Flagged {
        work: Arc::clone(&work),
        sent,
    };
    let _watch = context.add_fd(near, Interest::READ, handler).unwrap();
    // Each event comes through the file descriptor as well, so a loop that sleeps sees it, too.
    while context.stats().successful_polls < 3 {
        work.store(true, Ordering::SeqCst);
        far.write_all(b"x").unwrap();
        done.recv().unwrap();
    }
    assert!(context.stats().poll_time.as_nanos() > 0);
    io0.set_parameter(Parameter::PollMaxNs, 0).unwrap();
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert_eq!(context.stats().poll_time.as_nanos(), 0);
    let polls = context.stats().polls;
    for _ in 0..10 {
        context.synchronize().unwrap();
    }
    assert_eq!(context.stats().polls, polls);
}

#[test]
fn a_loop_with_a_handler_that_cannot_be_polled_does_not_poll() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(1)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, _far) = pair();
    let _watch = context
        .watch(near)
        .on_readable(|_, _| {})
        .register()
        .unwrap();
    context.synchronize().unwrap();
    let polls = context.stats().polls;
    for _ in 0..20 {
        context.synchronize().unwrap();
    }
    assert_eq!(context.stats().polls, polls);
}

#[test]
fn a_file_descriptor_has_its_turn_while_polling_finds_other_things() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(1)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, mut far) = pair();
    let seen = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&seen);
    let _watch = context
        .watch(near)
        .on_readable(move |stream, _| {
            read_byte(stream);
            flag.store(true, Ordering::SeqCst);
        })
        // Never finds what the kernel knows.
        .on_poll(|_, _| false)
        .register()
        .unwrap();
    while context.stats().successful_polls == 0 {
        context.synchronize().unwrap();
    }
    far.write_all(b"x").unwrap();
    while !seen.load(Ordering::SeqCst) {
        context.synchronize().unwrap();
    }
}

/// Has always work.
struct Endless;

impl FdHandler for Endless {
    fn polling(&self) -> Polling {
        Polling::Memory
    }

    fn poll(&mut self, _: &mut FdDispatch<'_>) -> bool {
        true
    }
}

#[test]
fn a_handler_that_waits_to_write_has_its_turn_while_others_polls_succeed() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(0)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (busy, _busy_far) = pair();
    let _endless = context.add_fd(busy, Interest::READ, Endless).unwrap();
    while context.stats().successful_polls == 0 {
        context.synchronize().unwrap();
    }
    let (near, _far) = pair();
    let (sent, calls) = channel();
    let _writer = context
        .watch(near)
        .on_writable(move |_, dispatch| {
            sent.send(()).unwrap();
            dispatch.remove();
        })
        .on_poll(|_, _| false)
        .register()
        .unwrap();
    // It never comes if only what polling finds is served.
    calls.recv_timeout(Duration::from_secs(60)).unwrap();
}

/// A handler that needs a system call to find work does not keep the loop from polling, and has its turn within a poll that finds
/// nothing else: this one would last for a quarter of an hour.
#[test]
fn a_handler_that_may_be_late_has_its_turn_within_a_poll() {
    const LONG: Duration = Duration::from_secs(900);
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(LONG)
        .poll_grow(u32::MAX)
        // It never shrinks.
        .poll_shrink(1)
        .poll_weight(0)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, mut far) = pair();
    let (sent, bytes) = channel();
    let _late = context
        .watch(near)
        .on_readable(move |stream, _| sent.send(read_byte(stream)).unwrap())
        .may_be_late()
        .register()
        .unwrap();
    // It learns to poll by events that are not far apart, and then does nothing else.
    while context.stats().poll_time < LONG {
        context.synchronize().unwrap();
    }
    let sleeps = context.stats().sleeps;
    for _ in 0..3 {
        far.write_all(b"x").unwrap();
        let byte = bytes.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(byte, b'x');
        context.synchronize().unwrap();
    }
    assert_eq!(context.stats().sleeps, sleeps);
}

#[test]
fn a_handler_that_watches_for_nothing_does_not_keep_the_loop_from_polling() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(0)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, _far) = pair();
    let watch = context
        .watch(near)
        .on_readable(|_, _| {})
        .register()
        .unwrap();
    let polls = |least: u64| {
        let before = context.stats().polls;
        for _ in 0..20 {
            context.synchronize().unwrap();
        }
        while context.stats().polls < before + least {
            context.synchronize().unwrap();
        }
        context.stats().polls - before
    };
    assert_eq!(polls(0), 0);
    watch.set_interest(Interest::NONE).unwrap();
    assert!(polls(1) > 0);
    watch.set_interest(Interest::READ).unwrap();
    context.synchronize().unwrap();
    assert_eq!(polls(0), 0);
    drop(watch);
    assert!(polls(1) > 0);
}

/// Notifies like a virtqueue: not at all while it is polled.
struct Suppressed {
    notify: Arc<AtomicBool>,
    flagged: Flagged,
}

impl FdHandler for Suppressed {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.flagged.readable(dispatch);
    }

    fn polling(&self) -> Polling {
        Polling::Memory
    }

    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        self.flagged.poll(dispatch)
    }

    fn poll_ready(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.flagged.poll_ready(dispatch);
    }

    fn poll_begin(&mut self, _: &mut FdDispatch<'_>) {
        assert!(self.notify.swap(false, Ordering::SeqCst), "begun twice");
    }

    fn poll_end(&mut self, _: &mut FdDispatch<'_>) {
        assert!(!self.notify.swap(true, Ordering::SeqCst), "ended twice");
    }
}

#[test]
fn no_work_is_missed_by_handlers_that_notify_only_while_the_loop_sleeps() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_millis(2))
        .poll_weight(1)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, mut far) = pair();
    let (work, notify) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(true)),
    );
    let (sent, done) = channel();
    let handler = Suppressed {
        notify: Arc::clone(&notify),
        flagged: Flagged {
            work: Arc::clone(&work),
            sent,
        },
    };
    let _watch = context.add_fd(near, Interest::READ, handler).unwrap();
    for round in 0..3_000 {
        work.store(true, Ordering::SeqCst);
        if notify.load(Ordering::SeqCst) {
            far.write_all(b"x").unwrap();
        }
        done.recv().unwrap();
        if round % 500 == 0 {
            // One that cannot be polled ends polling for all, and comes and goes.
            let (other, _other_far) = pair();
            let other = context.watch(other).on_readable(|_, _| {}).register();
            context.synchronize().unwrap();
            drop(other);
        }
    }
    assert_eq!(context.stats().panics, 0);
}
