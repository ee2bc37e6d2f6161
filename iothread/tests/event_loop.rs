//! The loop of a real thread, with real file descriptors.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use iothread::{
    CallError, CallbackKind, FdDispatch, FdHandler, HeldAioContext, Interest, IoThread, MainLoop,
    Parameter, Registry, holder,
};

fn thread(id: &str) -> IoThread {
    IoThread::builder(id)
        .registry(&Registry::new())
        .spawn()
        .expect("the host has room for it")
}

fn held(thread: &IoThread) -> HeldAioContext {
    thread
        .get_aio_context(holder::qom_object("/machine/d"))
        .expect("the host has room for it")
}

fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("the host has room for it");
    a.set_nonblocking(true).expect("the host has room for it");
    (a, b)
}

/// Keeps the context's thread busy until the sender is used.
fn block(context: &HeldAioContext) -> Sender<()> {
    let (go, wait) = channel();
    let (begun, begins) = channel();
    context
        .post(move |_| {
            begun.send(()).expect("the test waits");
            wait.recv().expect("the test goes on");
        })
        .expect("a context that is held");
    begins.recv().expect("the closure runs");
    go
}

fn read_byte(mut stream: &UnixStream) -> u8 {
    let mut byte = [0];
    stream
        .read_exact(&mut byte)
        .expect("the host has room for it");
    byte[0]
}

#[test]
fn callbacks_run_on_the_named_thread_with_the_reported_id() {
    let io0 = thread("a-name-that-is-too-long");
    let context = held(&io0);
    let (name, id, current) = context
        .call(|dispatch| {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            let id = i64::from(rustix::thread::gettid().as_raw_nonzero().get());
            (name, id, dispatch.context().is_current())
        })
        .unwrap();
    assert_eq!(name, "IO a-name-that-\n");
    assert_eq!(id, io0.thread_id());
    assert!(current && !context.is_current());
}

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
        self.sent.send('r').expect("the host has room for it");
        dispatch
            .set_interest(Interest::WRITE)
            .expect("the host has room for it");
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.sent.send('w').expect("the host has room for it");
        dispatch
            .set_interest(Interest::NONE)
            .expect("the host has room for it");
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
    watch.remove();
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
    assert!(second.is_err());
    assert_eq!(context.stats().fds, 1);
}

#[test]
fn posted_closures_run_in_order_even_after_the_holder_is_released() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, numbers) = channel();
    for number in 0..100 {
        let sent = sent.clone();
        context.post(move |_| sent.send(number).unwrap()).unwrap();
    }
    drop((context, sent));
    assert_eq!(
        numbers.iter().collect::<Vec<_>>(),
        (0..100).collect::<Vec<_>>()
    );
}

#[test]
fn deletion_loses_no_posted_closure() {
    for _ in 0..50 {
        let io0 = thread("io0");
        let context = held(&io0);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let ran = Arc::clone(&ran);
            context
                .post(move |_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                })
                .unwrap();
        }
        drop(context);
        io0.delete().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 20);
    }
}

#[test]
fn call_refuses_to_wait_for_itself() {
    let io0 = thread("io0");
    let context = held(&io0);
    let refused = context
        .call(|dispatch| dispatch.context().call(|_| ()).is_err())
        .unwrap();
    assert!(refused);
}

#[test]
fn call_refuses_to_wait_in_a_circle() {
    let (io0, io1) = (thread("io0"), thread("io1"));
    let (c0, c1) = (held(&io0), held(&io1));
    let c0 = Arc::new(c0);
    let back = Arc::clone(&c0);
    let inner = c0
        .call(move |_| c1.call(move |_| back.call(|_| ())).unwrap())
        .unwrap();
    assert!(matches!(inner, Err(CallError::WouldDeadlock { .. })));
}

#[test]
fn a_panic_is_contained_and_reported() {
    let (sent, reports) = channel();
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(move |report| sent.send(report.clone()).unwrap())
        .spawn()
        .unwrap();
    let context = held(&io0);
    let error = context.call(|_| panic!("call {}", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "call into event loop 'io0' panicked: call 1"
    );
    let report = reports.recv().unwrap();
    assert_eq!(report.callback, CallbackKind::Posted);
    assert_eq!(report.holder, Some(holder::qom_object("/machine/d")));
    assert_eq!(report.to_string(), "posted closure of io0 panicked: call 1");

    let (near, mut far) = pair();
    let _watch = context
        .watch(near)
        .on_readable(|_, _| panic!("fd"))
        .register()
        .unwrap();
    far.write_all(b"x").unwrap();
    assert_eq!(reports.recv().unwrap().callback, CallbackKind::FdHandler);
    // The handler is gone, so its data does not make it panic again.
    context.synchronize().unwrap();
    assert_eq!(context.stats().fds, 0);
    assert_eq!(context.stats().panics, 2);
    assert_eq!(io0.last_panic().unwrap().message, "fd");
}

#[test]
fn a_capture_that_panics_when_dropped_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let io0 = thread("io0");
    let context = held(&io0);
    let bomb = Bomb;
    let bh = context
        .bottom_half(move |dispatch| {
            let _ = &bomb;
            dispatch.remove();
        })
        .unwrap();
    bh.schedule();
    context.synchronize().unwrap();
    assert_eq!(context.call(|_| 1).unwrap(), 1);
    assert_eq!(context.stats().panics, 1);
}

#[test]
fn a_bottom_half_runs_once_however_often_it_is_scheduled() {
    let io0 = thread("io0");
    let context = held(&io0);
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let bh = context
        .bottom_half(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    let blocked = block(&context);
    for _ in 0..10 {
        bh.schedule();
    }
    assert!(bh.is_scheduled());
    blocked.send(()).unwrap();
    context.synchronize().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    bh.schedule();
    context.synchronize().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[test]
fn a_cancelled_bottom_half_does_not_run_until_scheduled_again() {
    let io0 = thread("io0");
    let context = held(&io0);
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let bh = context
        .bottom_half(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    let blocked = block(&context);
    bh.schedule();
    bh.cancel();
    assert!(!bh.is_scheduled());
    blocked.send(()).unwrap();
    context.synchronize().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let blocked = block(&context);
    bh.schedule();
    bh.cancel();
    bh.schedule();
    blocked.send(()).unwrap();
    context.synchronize().unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_bottom_half_that_schedules_itself_lets_file_descriptors_in() {
    let io0 = thread("io0");
    let context = held(&io0);
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, (ended, end)) = (Arc::clone(&stop), channel());
    let bh = context
        .bottom_half(move |dispatch| {
            if flag.load(Ordering::SeqCst) {
                ended.send(()).unwrap();
            } else {
                dispatch.schedule();
            }
        })
        .unwrap();
    bh.schedule();
    let (near, mut far) = pair();
    let _watch = context
        .watch(near)
        .on_readable(move |stream, _| {
            read_byte(stream);
            stop.store(true, Ordering::SeqCst);
        })
        .register()
        .unwrap();
    far.write_all(b"x").unwrap();
    end.recv().unwrap();
}

#[test]
fn an_idle_bottom_half_runs_even_when_nothing_else_happens() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (ran, runs) = channel();
    let mut left = 3;
    let bh = context
        .bottom_half(move |dispatch| {
            left -= 1;
            ran.send(left).unwrap();
            if left > 0 {
                dispatch.schedule_idle();
            }
        })
        .unwrap();
    bh.schedule_idle();
    assert_eq!(runs.iter().take(3).collect::<Vec<_>>(), [2, 1, 0]);
}

#[test]
fn a_scheduler_outlives_its_bottom_half_without_keeping_it() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, ran): (_, Receiver<()>) = channel();
    let bh = context
        .bottom_half(move |_| sent.send(()).unwrap())
        .unwrap();
    let scheduler = bh.scheduler();
    scheduler.schedule();
    ran.recv().unwrap();
    context.synchronize().unwrap();
    drop(bh);
    scheduler.schedule();
    assert!(ran.recv().is_err());
}

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

    fn can_poll(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut FdDispatch<'_>) -> bool {
        self.work.load(Ordering::SeqCst)
    }

    fn poll_ready(&mut self, _: &mut FdDispatch<'_>) {
        if self.work.swap(false, Ordering::SeqCst) {
            self.sent.send(()).expect("the host has room for it");
        }
    }
}

#[test]
fn a_loop_learns_to_poll_and_forgets_it_when_told() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .poll_max_ns(1_000_000_000)
        .poll_weight(0)
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
        .poll_max_ns(1_000_000_000)
        .poll_weight(0)
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
fn affinity_is_inherited_and_can_be_changed() {
    let io0 = thread("io0");
    let inherited = io0.cpu_affinity().unwrap();
    assert!(!inherited.is_empty());
    let one = [inherited[0]];
    io0.set_cpu_affinity(&one).unwrap();
    assert_eq!(io0.cpu_affinity().unwrap(), one);
    let context = held(&io0);
    // A thread that the IOThread creates starts where that may run.
    let child = context
        .call(|_| {
            IoThread::builder("child")
                .registry(&Registry::new())
                .spawn()
                .unwrap()
        })
        .unwrap();
    assert_eq!(child.cpu_affinity().unwrap(), one);
    drop(context);
    io0.delete().unwrap();
    assert!(io0.cpu_affinity().is_err());
    assert!(io0.set_cpu_affinity(&[1 << 30]).is_err());
}

#[test]
fn an_iothread_can_be_deleted_from_its_own_thread() {
    let registry = Registry::new();
    let io0 = IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (sent, done) = channel();
    let own = io0.clone();
    let (go, wait) = channel::<()>();
    context
        .post(move |_| {
            wait.recv().unwrap();
            sent.send(own.delete()).unwrap();
        })
        .unwrap();
    drop(context);
    go.send(()).unwrap();
    assert_eq!(done.recv().unwrap(), Ok(()));
    assert!(registry.threads().is_empty());
}

#[test]
fn a_main_loop_runs_until_it_is_told_to_quit() {
    let mut main_loop = MainLoop::new().unwrap();
    let context = main_loop.context();
    assert!(context.holder().is_none());
    let quitting = context.clone();
    let (near, mut far) = pair();
    let _watch = context
        .watch(near)
        .on_readable(move |stream, _| {
            read_byte(stream);
            quitting.quit();
        })
        .register()
        .unwrap();
    let remote = context.clone();
    let other = std::thread::spawn(move || {
        let sum = remote.call(|_| 1 + 1).unwrap();
        far.write_all(b"x").unwrap();
        sum
    });
    main_loop.run();
    assert_eq!(other.join().unwrap(), 2);
    let (sent, ran) = channel();
    context.post(move |_| sent.send(()).unwrap()).unwrap();
    assert!(main_loop.run_once(false));
    ran.recv().unwrap();
    drop(main_loop);
    assert!(context.post(|_| ()).is_err());
    assert!(context.call(|_| ()).is_err());
}

#[test]
fn a_main_loop_that_is_dropped_runs_what_it_has_accepted() {
    let main_loop = MainLoop::new().unwrap();
    let (sent, ran) = channel();
    main_loop
        .context()
        .post(move |_| sent.send(()).unwrap())
        .unwrap();
    drop(main_loop);
    ran.recv().unwrap();
}

#[test]
fn nothing_is_handed_over_after_the_holder_is_released() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (go, wait) = channel::<()>();
    let (sent, refusals) = channel();
    context
        .post(move |dispatch| {
            wait.recv().unwrap();
            let context = dispatch.context();
            let posted = context.post(|_| ()).is_err();
            let worked = context.spawn_blocking(|| (), |_, _| ()).is_err();
            let timed = context.timer(iothread::Clock::Monotonic, |_| ()).is_err();
            let scheduled = context.bottom_half(|_| ()).is_err();
            sent.send((posted, worked, timed, scheduled)).unwrap();
        })
        .unwrap();
    drop(context);
    go.send(()).unwrap();
    assert_eq!(refusals.recv().unwrap(), (true, true, true, true));
}

#[test]
fn deleting_a_thread_that_waits_for_the_deleting_one_does_not_hang() {
    let registry = Registry::new();
    let io0 = IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
    let io1 = IoThread::builder("io1")
        .registry(&registry)
        .spawn()
        .unwrap();
    let (c0, c1) = (held(&io0), held(&io1));
    let (calling, called) = channel();
    let (sent, done) = channel();
    // io1 waits for io0, which deletes io1.
    let deleted = io1.clone();
    c0.post(move |_| {
        called.recv().unwrap();
        sent.send(deleted.delete()).unwrap();
    })
    .unwrap();
    let (go, wait) = channel();
    c1.post(move |_| {
        wait.recv().unwrap();
        calling.send(()).unwrap();
        let _ = c0.synchronize();
    })
    .unwrap();
    drop(c1);
    go.send(()).unwrap();
    assert_eq!(done.recv().unwrap(), Ok(()));
}
