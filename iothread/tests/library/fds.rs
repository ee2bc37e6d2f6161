//! File descriptors and their handlers.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use iothread::{ContextError, FdDispatch, FdHandler, Interest, MainLoop, SharedFdHandler};

use crate::fixture::{block, held, pair, read_byte, thread};

#[test]
fn readable_callback_is_called_again_while_data_is_left() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let (sent, bytes) = channel();
    let _watch = context
        .watch(near)
        .on_readable(move |stream, _| sent.send(read_byte(stream)).unwrap())
        .register()
        .unwrap();
    far.write_all(b"xyz").unwrap();
    let received: Vec<_> = bytes.iter().take(3).collect();
    assert_eq!(received, b"xyz");
}

#[test]
fn a_hang_up_is_told_to_whoever_watches() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, far) = pair();
    let (sent, gone) = channel();
    let _watch = context
        .watch(near)
        .on_readable(move |mut stream, dispatch| {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            sent.send(()).unwrap();
            dispatch.remove();
        })
        .register()
        .unwrap();
    drop(far);
    gone.recv().unwrap();
    // The callback, and with it the sender, is gone.
    assert!(gone.recv().is_err());
}

/// Sends 'r' or 'w' for each callback.
struct Toggle {
    sent: Sender<char>,
}

impl FdHandler for Toggle {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.sent.send('r').expect("the test listens");
        dispatch
            .set_interest(Interest::WRITE)
            .expect("a handler that is there");
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.sent.send('w').expect("the test listens");
        dispatch
            .set_interest(Interest::NONE)
            .expect("a handler that is there");
    }
}

#[test]
fn interest_can_be_changed_by_the_handler_and_from_outside() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let (sent, calls) = channel();
    let watch = context
        .add_fd(near, Interest::READ, Toggle { sent })
        .unwrap();
    far.write_all(b"x").unwrap();
    assert_eq!(calls.recv().unwrap(), 'r');
    assert_eq!(calls.recv().unwrap(), 'w');
    context.synchronize().unwrap();
    assert_eq!(watch.interest(), Interest::NONE);
    watch.set_interest(Interest::READ).unwrap();
    assert_eq!(calls.recv().unwrap(), 'r');
    assert_eq!(calls.recv().unwrap(), 'w');
    // The handler has something to do yet, which it cannot for a holder that is gone.
    context.synchronize().unwrap();
}

#[test]
fn a_hang_up_that_nobody_watches_for_does_not_spin() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, far) = pair();
    struct Nothing;
    impl FdHandler for Nothing {}
    let _watch = context.add_fd(near, Interest::NONE, Nothing).unwrap();
    drop(far);
    context.synchronize().unwrap();
    let before = context.stats().iterations;
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert!(context.stats().iterations - before <= 4);
}

#[test]
fn one_handler_removes_another_that_is_ready_too() {
    let io0 = thread("io0");
    let context = Arc::new(held(&io0));
    let (a, mut a_far) = pair();
    let (b, mut b_far) = pair();
    let watches: Arc<Mutex<Vec<_>>> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    // Both become ready while the thread is busy, so one iteration sees both.
    let blocked = block(&context);
    for stream in [a, b] {
        let (watches, calls) = (Arc::clone(&watches), Arc::clone(&calls));
        let all = Arc::clone(&watches);
        let watch = context
            .watch(stream)
            .on_readable(move |_, _| {
                calls.fetch_add(1, Ordering::SeqCst);
                // Itself and the other one.
                all.lock().unwrap().clear();
            })
            .register()
            .unwrap();
        watches.lock().unwrap().push(watch);
    }
    a_far.write_all(b"x").unwrap();
    b_far.write_all(b"x").unwrap();
    blocked.send(()).unwrap();
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(context.stats().fds, 0);
}

#[test]
fn a_removed_watch_closes_its_file_descriptor() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let watch = context
        .watch(near)
        .on_readable(|_, _| {})
        .register()
        .unwrap();
    drop(watch);
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
}

#[test]
fn releasing_the_holder_ends_its_handlers_and_spares_others() {
    let io0 = thread("io0");
    let first = held(&io0);
    let second = held(&io0);
    let (near, mut far) = pair();
    let (near2, mut far2) = pair();
    let _watch = first
        .watch(near)
        .on_readable(|_, _| panic!("called for a holder that is gone"))
        .register()
        .unwrap();
    let (sent, bytes) = channel();
    let _watch2 = second
        .watch(near2)
        .on_readable(move |stream, _| sent.send(read_byte(stream)).unwrap())
        .register()
        .unwrap();
    let bh = first.bottom_half(|_| panic!("as above")).unwrap();
    drop(first);
    bh.schedule();
    // The handle has kept the file descriptor.
    far.write_all(b"x").unwrap();
    far2.write_all(b"y").unwrap();
    assert_eq!(bytes.recv().unwrap(), b'y');
    second.synchronize().unwrap();
    assert_eq!(io0.stats().panics, 0);
    assert_eq!(io0.stats().fds, 1);
}

#[test]
fn a_file_descriptor_is_watched_once() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, _far) = pair();
    let near = Arc::new(near);
    let watch = context
        .watch(Arc::clone(&near))
        .on_readable(|_, _| {})
        .register();
    let second = context.watch(near).on_readable(|_, _| {}).register();
    assert!(watch.is_ok());
    let error = second.unwrap_err();
    assert!(
        matches!(&error, ContextError::Watch(error) if error.kind() == ErrorKind::AlreadyExists),
        "{error}"
    );
    assert_eq!(context.stats().fds, 1);
}

/// Counts how often its file descriptor is asked for, as every system call about it does.
struct Counting {
    stream: UnixStream,
    n_calls: Arc<AtomicUsize>,
}

impl AsFd for Counting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.n_calls.fetch_add(1, Ordering::SeqCst);
        self.stream.as_fd()
    }
}

#[test]
fn an_interest_that_does_not_change_is_free() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (stream, _far) = pair();
    let n_calls = Arc::new(AtomicUsize::new(0));
    let source = Counting {
        stream,
        n_calls: Arc::clone(&n_calls),
    };
    struct Nothing;
    impl FdHandler for Nothing {}
    let watch = context.add_fd(source, Interest::READ, Nothing).unwrap();
    let calls = |interest| {
        let before = n_calls.load(Ordering::SeqCst);
        watch.set_interest(interest).unwrap();
        n_calls.load(Ordering::SeqCst) - before
    };
    assert_eq!(calls(Interest::READ), 0);
    assert_eq!(calls(Interest::NONE), 1);
    assert_eq!(calls(Interest::NONE), 0);
    assert_eq!(calls(Interest::READ), 1);
    assert_eq!(calls(Interest::READ), 0);
}

#[test]
fn a_removed_handler_is_not_a_released_holder() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let watch = context
        .watch(near)
        .on_readable(|_, dispatch| dispatch.remove())
        .register()
        .unwrap();
    far.write_all(b"x").unwrap();
    while context.stats().fds > 0 {
        context.synchronize().unwrap();
    }
    let error = watch.set_interest(Interest::READ).unwrap_err();
    assert!(matches!(error, ContextError::Removed { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "handler on event loop 'io0' has been removed"
    );
    drop(context);
    let error = watch.set_interest(Interest::READ).unwrap_err();
    assert!(matches!(error, ContextError::Released { .. }), "{error}");

    // On a main loop, which has no holders, likewise.
    let mut main_loop = MainLoop::new().unwrap();
    let (near, mut far) = pair();
    let watch = main_loop
        .context()
        .watch(near)
        .on_readable(|_, dispatch| dispatch.remove())
        .register()
        .unwrap();
    far.write_all(b"x").unwrap();
    main_loop.run_once(true).unwrap();
    let error = watch.set_interest(Interest::READ).unwrap_err();
    assert!(matches!(error, ContextError::Removed { .. }), "{error}");
    drop(main_loop);
    let error = watch.set_interest(Interest::READ).unwrap_err();
    assert!(matches!(error, ContextError::Ended { .. }), "{error}");
}

#[test]
fn the_end_of_what_a_peer_sends_is_told_beside_what_it_has_sent() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let (sent, calls) = channel();
    let reader = sent.clone();
    let watch = context
        .watch(near)
        .on_readable(move |stream, dispatch| {
            reader.send(read_byte(stream)).unwrap();
            // The rest of it stays unread.
            dispatch.set_interest(Interest::PEER_CLOSED).unwrap();
        })
        .on_peer_closed(move |_, dispatch| {
            sent.send(b'!').unwrap();
            dispatch.remove();
        })
        .register()
        .unwrap();
    assert_eq!(watch.interest(), Interest::READ | Interest::PEER_CLOSED);
    far.write_all(b"ab").unwrap();
    assert_eq!(calls.recv().unwrap(), b'a');
    context.synchronize().unwrap();
    assert!(calls.try_recv().is_err());
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(calls.recv().unwrap(), b'!');
    context.synchronize().unwrap();
    assert_eq!(io0.stats().fds, 0);
}

#[test]
fn what_is_urgent_is_told_apart() {
    let io0 = thread("io0");
    let context = held(&io0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    let (sent, calls) = channel();
    let _watch = context
        .watch(near)
        .on_priority(move |near, dispatch| {
            let mut byte = [0];
            rustix::net::recv(near, &mut byte, rustix::net::RecvFlags::OOB).unwrap();
            sent.send(byte[0]).unwrap();
            dispatch.remove();
        })
        .register()
        .unwrap();
    // Ordinary data are not what is watched for.
    (&far).write_all(b"ordinary").unwrap();
    rustix::net::send(&far, b"!", rustix::net::SendFlags::OOB).unwrap();
    assert_eq!(calls.recv().unwrap(), b'!');
}

/// A handler that others have, too.
struct Shared {
    calls: std::sync::atomic::AtomicUsize,
    sent: std::sync::Mutex<Sender<usize>>,
}

impl SharedFdHandler for Shared {
    fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        let n = self.calls.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let later = Arc::clone(self);
        // It outlives this call by a clone of itself.
        let posted = dispatch.context().post(move |_| {
            let sent = later.sent.lock().expect("no panic under the lock");
            sent.send(n).expect("the test listens");
        });
        posted.expect("a context that is held");
        dispatch.remove();
    }
}

#[test]
fn a_handler_that_is_shared_needs_no_wrapper() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, calls) = channel();
    let shared = Arc::new(Shared {
        calls: std::sync::atomic::AtomicUsize::new(0),
        sent: std::sync::Mutex::new(sent),
    });
    let pairs = [pair(), pair()];
    let mut watches = Vec::new();
    for (near, mut far) in pairs {
        let watch = context.add_fd(near, Interest::READ, Arc::clone(&shared));
        watches.push(watch.unwrap());
        far.write_all(b"x").unwrap();
        calls.recv().unwrap();
    }
    assert_eq!(shared.calls.load(std::sync::atomic::Ordering::Acquire), 2);
}
