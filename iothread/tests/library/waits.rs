//! No wait is for the thread that waits: a wait that would close a circle is refused, or goes on.
//!
//! Each test is one row of who waits: the thread of a main loop that runs or does not, a callback, a worker, a panic hook,
//! what is dropped; for each thing that can be waited for. A failure is a hang.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use iothread::{CallError, HeldAioContext, IoThread, MainLoop, Registry, holder};

use crate::fixture::{held, thread};

/// Runs a scenario on a thread of its own, which must come to its end.
fn ends(scenario: impl FnOnce() + Send + 'static) {
    let (sent, over) = channel();
    let running = thread::spawn(move || {
        scenario();
        sent.send(()).expect("the test waits");
    });
    match over.recv_timeout(Duration::from_secs(60)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            running.join().expect("the scenario passes")
        }
        Err(RecvTimeoutError::Timeout) => panic!("somebody waits for itself"),
    }
}

fn hold(io: &IoThread, name: &str) -> HeldAioContext {
    io.get_aio_context(holder::block_node(name))
        .expect("a thread that exists")
}

fn is_refused<R>(outcome: &Result<R, CallError>) -> bool {
    matches!(outcome, Err(CallError::WouldDeadlock { .. }))
}

/// A gate, and what opens it.
fn gate() -> (Sender<()>, Receiver<()>) {
    channel()
}

#[test]
fn the_thread_of_a_main_loop_does_not_wait_for_the_loop_whether_it_runs_or_not() {
    ends(|| {
        let mut main_loop = MainLoop::new().unwrap();
        let main = main_loop.context();
        assert!(is_refused(&main.call(|_| ())));
        assert!(is_refused(&main.synchronize()));
        let (sent, outcomes) = channel();
        let inner = main.clone();
        main.post(move |_| {
            sent.send((inner.call(|_| ()), inner.synchronize()))
                .unwrap();
        })
        .unwrap();
        main_loop.run_once(false).unwrap();
        let (called, synchronized) = outcomes.try_recv().unwrap();
        assert!(is_refused(&called) && is_refused(&synchronized));
        // Nothing is left behind: other threads are served.
        let remote = main.clone();
        let other = thread::spawn(move || remote.call(|_| 42).unwrap());
        while !other.is_finished() {
            main_loop.run_once(false).unwrap();
        }
        assert_eq!(other.join().unwrap(), 42);
    });
}

#[test]
fn a_circle_through_a_main_loop_that_does_not_run_is_refused() {
    ends(|| {
        let main_loop = MainLoop::new().unwrap();
        let main = main_loop.context();
        let (io0, io1) = (thread("io0"), thread("io1"));
        let (c0, c1) = (held(&io0), held(&io1));
        let back = main.clone();
        let inner = c0.call(move |_| back.call(|_| ())).unwrap();
        assert!(is_refused(&inner));
        // Through one more.
        let back = main.clone();
        let inner = c0
            .call(move |_| c1.call(move |_| back.synchronize()).unwrap())
            .unwrap();
        assert!(is_refused(&inner));
    });
}

#[test]
fn a_main_thread_releases_a_holder_whose_work_calls_the_main_loop() {
    for _ in 0..50 {
        ends(|| {
            let mut main_loop = MainLoop::new().unwrap();
            let main = main_loop.context();
            let io0 = thread("io0");
            let context = held(&io0);
            let (begun, begins) = channel();
            let remote = main.clone();
            context
                .spawn_blocking(
                    move || {
                        begun.send(()).unwrap();
                        remote.call(|_| ())
                    },
                    |_, _| (),
                )
                .unwrap();
            begins.recv().unwrap();
            // Who comes second is refused, or goes on: both are right.
            context.release();
            while !io0.holders().is_empty() {
                main_loop.run_once(false).unwrap();
            }
        });
    }
}

/// A thread `b` with a holder whose work has begun to call `a`, which is busy with the other end of the gate.
struct Caught {
    b: IoThread,
    context: HeldAioContext,
    outcome: Receiver<Result<(), CallError>>,
}

fn caught(a: &Arc<HeldAioContext>, b: IoThread) -> Caught {
    let context = hold(&b, "caught");
    let (sent, outcome) = channel();
    let (begun, begins) = channel();
    let calling = Arc::clone(a);
    context
        .spawn_blocking(
            move || {
                begun.send(()).expect("the scenario waits");
                let called = calling.call(|_| ());
                sent.send(called).expect("the scenario listens");
            },
            |_, _| (),
        )
        .expect("a context that is held");
    begins.recv().expect("work that begins");
    Caught {
        b,
        context,
        outcome,
    }
}

/// Lets `end` end what is caught, in a callback of the thread that its work calls.
fn in_a_callback(end: impl Fn(IoThread, HeldAioContext) + Send + Sync + 'static) {
    let end = Arc::new(end);
    for _ in 0..50 {
        let end = Arc::clone(&end);
        ends(move || {
            let a = thread("a");
            let context = Arc::new(held(&a));
            let (go, wait) = gate();
            let (sent, over) = channel();
            let (give, take) = channel::<(IoThread, HeldAioContext)>();
            context
                .post(move |_| {
                    wait.recv().expect("the scenario goes on");
                    let (b, context) = take.recv().expect("the scenario gives them");
                    end(b, context);
                    sent.send(()).expect("the scenario waits");
                })
                .expect("a context that is held");
            let registry = Registry::new();
            let b = IoThread::builder("b")
                .registry(&registry)
                .spawn()
                .expect("the host has room for a thread");
            let caught = caught(&context, b.clone());
            give.send((caught.b, caught.context))
                .expect("the callback takes them");
            go.send(()).expect("the callback waits");
            over.recv().expect("a callback that ends");
            // Served after the callback, or refused.
            let outcome = caught.outcome.recv().expect("an outcome");
            assert!(outcome.is_ok() || is_refused(&outcome));
            // What went on is complete in the end.
            while !b.holders().is_empty() {
                thread::yield_now();
            }
        });
    }
}

#[test]
fn a_callback_deletes_a_thread_whose_work_calls_the_callbacks_thread() {
    in_a_callback(|b, context| {
        drop(context);
        b.delete().unwrap();
    });
}

#[test]
fn a_callback_releases_a_holder_whose_work_calls_the_callbacks_thread() {
    in_a_callback(|_, context| context.release());
}

#[test]
fn a_callback_drops_the_last_handle_of_a_thread_whose_work_calls_the_callbacks_thread() {
    ends(|| {
        let a = thread("a");
        let context = Arc::new(held(&a));
        let (go, wait) = gate();
        let (sent, over) = channel();
        let (give, take) = channel::<Caught>();
        context
            .post(move |_| {
                wait.recv().unwrap();
                let Caught {
                    b,
                    context,
                    outcome,
                } = take.recv().unwrap();
                drop(context);
                drop(b);
                sent.send(outcome).unwrap();
            })
            .unwrap();
        // Its registry is gone at once.
        give.send(caught(&context, thread("b"))).unwrap();
        go.send(()).unwrap();
        let outcome = over.recv().unwrap().recv().unwrap();
        assert!(outcome.is_ok() || is_refused(&outcome));
    });
}

#[test]
fn a_callback_waits_for_a_holder_although_another_ones_work_calls_the_callbacks_thread() {
    ends(|| {
        let a = thread("a");
        let context = Arc::new(held(&a));
        let b = thread("b");
        let innocent = hold(&b, "innocent");
        let is_over = Arc::new(OnceLock::new());
        let (work_go, work_wait) = gate();
        let over = Arc::clone(&is_over);
        innocent
            .spawn_blocking(
                move || work_wait.recv().unwrap(),
                move |_, _| over.set(()).unwrap(),
            )
            .unwrap();
        let (go, wait) = gate();
        let (sent, seen) = channel();
        context
            .post(move |_| {
                wait.recv().unwrap();
                innocent.release();
                sent.send(is_over.get().is_some()).unwrap();
            })
            .unwrap();
        let caught = caught(&context, b);
        go.send(()).unwrap();
        work_go.send(()).unwrap();
        assert!(seen.recv().unwrap());
        caught.outcome.recv().unwrap().unwrap();
    });
}

#[test]
fn a_worker_does_not_wait_for_work_that_only_it_can_do() {
    ends(|| {
        let io0 = IoThread::builder("io0")
            .registry(&Registry::new())
            .thread_pool_max(1)
            .spawn()
            .unwrap();
        let (first, second) = (hold(&io0, "first"), hold(&io0, "second"));
        let (give, take) = channel::<HeldAioContext>();
        first
            .spawn_blocking(move || take.recv().unwrap().release(), |_, _| ())
            .unwrap();
        let (sent, done) = channel();
        second
            .spawn_blocking(move || sent.send(()).unwrap(), |_, _| ())
            .unwrap();
        give.send(second).unwrap();
        done.recv().unwrap();
        first.release();
        io0.delete().unwrap();
        assert!(io0.holders().is_empty());
    });
}

#[test]
fn two_workers_do_not_wait_for_each_others_queues() {
    for _ in 0..50 {
        ends(|| {
            let threads = ["io0", "io1"].map(|id| {
                IoThread::builder(id)
                    .registry(&Registry::new())
                    .thread_pool_max(1)
                    .spawn()
                    .unwrap()
            });
            let (busy, queued) = (
                threads.each_ref().map(|io| hold(io, "busy")),
                threads.each_ref().map(|io| hold(io, "queued")),
            );
            // Each worker releases the holder whose work waits for the other worker.
            let gates = busy.each_ref().map(|busy| {
                let (give, take) = channel::<HeldAioContext>();
                busy.spawn_blocking(move || take.recv().unwrap().release(), |_, _| ())
                    .unwrap();
                give
            });
            for context in &queued {
                context.spawn_blocking(|| (), |_, _| ()).unwrap();
            }
            let [first, second] = queued;
            gates[0].send(second).unwrap();
            gates[1].send(first).unwrap();
            for context in busy {
                context.release();
            }
            for io in threads {
                io.delete().unwrap();
                assert!(io.holders().is_empty());
            }
        });
    }
}

#[test]
fn a_worker_deletes_its_own_thread_and_calls_its_own_context() {
    ends(|| {
        let io0 = thread("io0");
        let context = Arc::new(held(&io0));
        let (go, wait) = gate();
        let (sent, deleted) = channel();
        let (own, calling) = (io0.clone(), Arc::clone(&context));
        context
            .spawn_blocking(
                move || {
                    // The loop's thread is another one.
                    assert_eq!(calling.call(|_| 1).unwrap(), 1);
                    drop(calling);
                    wait.recv().unwrap();
                    sent.send(own.delete()).unwrap();
                },
                |_, result| result.unwrap(),
            )
            .unwrap();
        // The work's clone goes first.
        let mut context = context;
        let context = loop {
            match Arc::try_unwrap(context) {
                Ok(context) => break context,
                Err(shared) => context = shared,
            }
            thread::yield_now();
        };
        drop(context);
        go.send(()).unwrap();
        deleted.recv().unwrap().unwrap();
        while !io0.holders().is_empty() {
            thread::yield_now();
        }
        assert_eq!(io0.stats().panics, 0);
    });
}

#[test]
fn a_main_loop_inside_a_callback_is_seen_as_part_of_its_thread() {
    ends(|| {
        let (io0, io1) = (thread("io0"), thread("io1"));
        let (c0, c1) = (Arc::new(held(&io0)), held(&io1));
        let outer = Arc::clone(&c0);
        let outcomes = c0
            .call(move |_| {
                let mut main_loop = MainLoop::new().unwrap();
                let main = main_loop.context();
                let (sent, outcomes) = channel();
                let (back, through) = (Arc::clone(&outer), outer);
                main.post(move |_| {
                    // Both are this thread: the loop that runs, and the one around it.
                    let direct = back.call(|_| ());
                    let circle = c1.call(move |_| through.call(|_| ())).unwrap();
                    sent.send((direct, circle)).unwrap();
                })
                .unwrap();
                main_loop.run_once(false).unwrap();
                outcomes.recv().unwrap()
            })
            .unwrap();
        assert!(is_refused(&outcomes.0) && is_refused(&outcomes.1));
    });
}

#[test]
fn a_main_loop_is_dropped_although_its_work_calls_another_loop_of_the_same_thread() {
    for _ in 0..50 {
        ends(|| {
            let first = MainLoop::new().unwrap();
            let mut second = MainLoop::new().unwrap();
            let (begun, begins) = channel();
            let (sent, outcome) = channel();
            let remote = second.context();
            first
                .context()
                .spawn_blocking(
                    move || {
                        begun.send(()).unwrap();
                        remote.call(|_| ())
                    },
                    move |_, result| sent.send(result.unwrap()).unwrap(),
                )
                .unwrap();
            first.context().start_workers();
            begins.recv().unwrap();
            drop(first);
            // Refused, or served by the second loop; the completion runs in any case.
            let outcome = loop {
                match outcome.recv_timeout(Duration::from_millis(1)) {
                    Ok(outcome) => break outcome,
                    Err(_) => second.run_once(false).unwrap(),
                };
            };
            assert!(outcome.is_ok() || is_refused(&outcome));
        });
    }
}

#[test]
fn a_main_loop_is_dropped_although_a_release_waits_for_work_that_calls_its_thread() {
    for _ in 0..50 {
        ends(|| {
            let first = MainLoop::new().unwrap();
            let mut second = MainLoop::new().unwrap();
            let io0 = thread("io0");
            let context = held(&io0);
            let (begun, begins) = channel();
            let remote = second.context();
            context
                .spawn_blocking(
                    move || {
                        begun.send(()).unwrap();
                        remote.call(|_| ())
                    },
                    |_, _| (),
                )
                .unwrap();
            begins.recv().unwrap();
            let (sent, told) = channel();
            context
                .release_then(&first.context(), move |_| sent.send(()).unwrap())
                .unwrap();
            drop(first);
            while told.recv_timeout(Duration::from_millis(1)).is_err() {
                second.run_once(false).unwrap();
            }
            assert!(io0.holders().is_empty());
        });
    }
}

#[test]
fn a_panic_hook_waits_for_nobody_who_waits_for_it() {
    ends(|| {
        let context: Arc<OnceLock<HeldAioContext>> = Arc::default();
        let (sent, outcomes) = channel();
        let sent = Mutex::new(sent);
        let calling = Arc::clone(&context);
        let io0 = IoThread::builder("io0")
            .registry(&Registry::new())
            .on_panic(move |report| {
                let outcome = calling.get().map(|context| context.call(|_| ()));
                let sent = sent.lock().unwrap();
                sent.send((report.message.clone(), outcome.unwrap()))
                    .unwrap();
            })
            .spawn()
            .unwrap();
        context.set(held(&io0)).unwrap();
        let context = context.get().unwrap();
        let _expected = ["callback", "work"].map(tests::panics::expect);
        // On the loop's thread the call would be to itself, on a worker it is not.
        context.post(|_| panic!("callback")).unwrap();
        let (message, outcome) = outcomes.recv().unwrap();
        assert!(message == "callback" && is_refused(&outcome));
        context
            .spawn_blocking(|| panic!("work"), |_, _: Result<(), _>| ())
            .unwrap();
        let (message, outcome) = outcomes.recv().unwrap();
        assert!(message == "work" && outcome.is_ok());
    });
}

/// Does something when it is dropped.
struct OnDrop(Option<Box<dyn FnOnce() + Send>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

#[test]
fn what_is_dropped_on_a_loop_waits_for_nobody_who_waits_for_it() {
    ends(|| {
        let io0 = thread("io0");
        let context = Arc::new(held(&io0));
        let other = hold(&io0, "other");
        let (sent, outcomes) = channel();
        let calling = Arc::clone(&context);
        let captured = OnDrop(Some(Box::new(move || {
            let called = calling.call(|_| ());
            let synchronized = calling.synchronize();
            other.release();
            sent.send((called, synchronized)).unwrap();
        })));
        let bh = context
            .bottom_half(move |dispatch| {
                let _captured = &captured;
                dispatch.remove();
            })
            .unwrap();
        bh.schedule();
        let (called, synchronized) = outcomes.recv().unwrap();
        assert!(is_refused(&called) && is_refused(&synchronized));
        context.synchronize().unwrap();
        assert_eq!(io0.holders(), [holder::qom_object("/machine/d")]);
        assert_eq!(io0.stats().panics, 0);
    });
}

#[test]
fn a_thread_that_nobody_waits_for_may_wait_for_everything() {
    ends(|| {
        let (io0, io1) = (thread("io0"), thread("io1"));
        let (c0, c1) = (held(&io0), held(&io1));
        assert_eq!(c0.call(move |_| c1.call(|_| 7).unwrap()).unwrap(), 7);
        c0.synchronize().unwrap();
        let (sent, done) = channel();
        c0.spawn_blocking(|| (), move |_, _| sent.send(()).unwrap())
            .unwrap();
        c0.release();
        done.try_recv().unwrap();
        io0.delete().unwrap();
        io1.delete().unwrap();
    });
}
