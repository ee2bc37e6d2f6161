//! Sections in which no callback starts.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{CallError, Clock, ContextError, Interest, IoThread, MainLoop, Registry, holder};

use crate::fixture::{held, pair, read_byte, thread, unannounced};

#[test]
fn nothing_of_a_paused_user_runs_until_it_is_resumed_and_then_all_does() {
    let io0 = thread("io0");
    let context = held(&io0);
    let other = io0.get_aio_context(holder::monitor("m")).unwrap();
    let (near, mut far) = pair();
    let (sent, calls) = channel();
    let sender = |name: &'static str| {
        let sent = sent.clone();
        move || sent.send(name).unwrap()
    };
    let (fd, bh, timer, late, foreign) = (
        sender("fd"),
        sender("bh"),
        sender("timer"),
        sender("late"),
        sender("foreign"),
    );
    let _watch = context
        .watch(near)
        .on_readable(move |near, _| {
            read_byte(near);
            fd();
        })
        .register()
        .unwrap();
    let bottom_half = context.bottom_half(move |_| bh()).unwrap();
    let alarm = context.timer(Clock::Monotonic, move |_| timer()).unwrap();
    let of_other = other.bottom_half(move |_| foreign()).unwrap();

    let first = context.pause().unwrap();
    let second = context.pause().unwrap();
    far.write_all(b"x").unwrap();
    bottom_half.schedule();
    alarm.arm_after(Duration::ZERO);
    // What is registered meanwhile is paused, too.
    let (late_near, mut late_far) = pair();
    let _late = context
        .watch(late_near)
        .on_readable(move |near, _| {
            read_byte(near);
            late();
        })
        .register()
        .unwrap();
    late_far.write_all(b"x").unwrap();
    drop(first);
    of_other.schedule();
    assert_eq!(calls.recv().unwrap(), "foreign");
    for _ in 0..5 {
        context.synchronize().unwrap();
    }
    assert!(calls.try_recv().is_err());
    drop(second);
    let mut names: Vec<_> = calls.iter().take(4).collect();
    names.sort_unstable();
    assert_eq!(names, ["bh", "fd", "late", "timer"]);
    for _ in 0..5 {
        context.synchronize().unwrap();
    }
    assert!(calls.try_recv().is_err());
}

#[test]
fn a_loop_sleeps_although_something_paused_is_ready() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let main = main_loop.context();
    let user = main.share();
    let (near, mut far) = pair();
    let (sent, calls) = channel();
    let _watch = user
        .watch(near)
        .on_readable(move |near, _| sent.send(read_byte(near)).unwrap())
        .register()
        .unwrap();
    let pause = user.pause().unwrap();
    far.write_all(b"x").unwrap();
    let (fire, fired) = channel();
    let timer = main
        .timer(Clock::Monotonic, move |_| fire.send(()).unwrap())
        .unwrap();
    timer.arm_after(Duration::from_millis(20));
    let before = main.stats().iterations;
    while fired.try_recv().is_err() {
        main_loop.run_once(true).unwrap();
    }
    // Thousands, if what is ready ended the wait.
    let n_iterations = main.stats().iterations - before;
    assert!(n_iterations <= 5, "{n_iterations} iterations");
    assert!(calls.try_recv().is_err());
    drop(pause);
    main_loop.run_once(true).unwrap();
    assert_eq!(calls.try_recv(), Ok(b'x'));
}

#[test]
fn what_is_taken_back_during_a_pause_does_not_run_after_it() {
    let io0 = thread("io0");
    let context = held(&io0);
    let bottom_half = context.bottom_half(|_| panic!("cancelled")).unwrap();
    let timer = context
        .timer(Clock::Monotonic, |_| panic!("disarmed"))
        .unwrap();
    let gone = context.bottom_half(|_| panic!("dropped")).unwrap();
    let pause = context.pause().unwrap();
    bottom_half.schedule();
    timer.arm_after(Duration::ZERO);
    gone.schedule();
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    bottom_half.cancel();
    timer.disarm();
    drop(gone);
    drop(pause);
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert_eq!(io0.stats().panics, 0);
}

#[test]
fn a_drain_waits_for_requests_and_what_they_lead_to() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (go, wait) = channel::<()>();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    context
        .spawn_blocking(
            move || assert!(wait.recv().is_err()),
            move |dispatch, _| {
                // A request in two steps.
                let second = move |_: &mut iothread::Dispatch<'_>, result: Result<(), _>| {
                    over.store(result.is_ok(), Ordering::SeqCst);
                };
                dispatch.context().spawn_blocking(|| (), second).unwrap();
            },
        )
        .unwrap();
    let pause = context.pause().unwrap();
    let opening = std::thread::spawn(move || drop(go));
    pause.drain().unwrap();
    assert!(is_over.load(Ordering::SeqCst));
    opening.join().unwrap();
    // There is nothing to wait for any more, however often.
    pause.drain().unwrap();
    // Its own thread would wait for itself.
    let inside = context.call(move |_| pause.drain()).unwrap();
    assert!(matches!(inside, Err(CallError::WouldDeadlock { .. })));
}

#[test]
fn all_users_of_a_thread_are_paused_those_that_come_included() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, calls) = channel();
    let early = sent.clone();
    let first = context
        .bottom_half(move |_| early.send(1).unwrap())
        .unwrap();
    let pause = io0.pause_all();
    let late = io0.get_aio_context(holder::monitor("m")).unwrap();
    let second = late.bottom_half(move |_| sent.send(2).unwrap()).unwrap();
    first.schedule();
    second.schedule();
    let (go, wait) = channel::<()>();
    let (tell, completed) = channel();
    context
        .spawn_blocking(
            move || assert!(wait.recv().is_err()),
            move |_, result| tell.send(result).unwrap(),
        )
        .unwrap();
    drop(go);
    pause.drain().unwrap();
    assert_eq!(completed.try_recv(), Ok(Ok(())));
    assert!(calls.try_recv().is_err());
    // One user's own pause outlasts that of all.
    let own = late.pause().unwrap();
    drop(pause);
    assert_eq!(calls.recv().unwrap(), 1);
    context.synchronize().unwrap();
    assert!(calls.try_recv().is_err());
    drop(own);
    assert_eq!(calls.recv().unwrap(), 2);
}

#[test]
fn a_paused_holder_can_be_released_and_pauses_end_in_any_order() {
    let io0 = thread("io0");
    let context = held(&io0);
    let bottom_half = context.bottom_half(|_| panic!("released")).unwrap();
    let pause = context.pause().unwrap();
    bottom_half.schedule();
    let all = io0.pause_all();
    let view = context.downgrade();
    context.release();
    assert!(io0.holders().is_empty());
    assert!(matches!(
        pause.drain(),
        Err(CallError::Context(ContextError::Released { .. }))
    ));
    assert!(matches!(view.pause(), Err(ContextError::Released { .. })));
    drop(all);
    drop(pause);
    drop(bottom_half);
    io0.delete().unwrap();
}

#[test]
fn an_interest_that_is_changed_during_a_pause_holds_after_it() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (near, mut far) = pair();
    let (sent, calls) = channel();
    let watch = context
        .watch(near)
        .on_readable(move |near, dispatch| {
            let byte = read_byte(near);
            sent.send(byte).unwrap();
            if byte == b'b' {
                // Then comes the end, of which there is nothing to read.
                dispatch.remove();
            }
        })
        .register()
        .unwrap();
    let pause = context.pause().unwrap();
    watch.set_interest(Interest::NONE).unwrap();
    far.write_all(b"a").unwrap();
    watch.set_interest(Interest::READ).unwrap();
    context.synchronize().unwrap();
    watch.set_interest(Interest::NONE).unwrap();
    drop(pause);
    context.synchronize().unwrap();
    assert!(calls.try_recv().is_err());
    watch.set_interest(Interest::READ).unwrap();
    assert_eq!(calls.recv().unwrap(), b'a');
    // A hang-up during a pause is told after it.
    let pause = context.pause().unwrap();
    far.write_all(b"b").unwrap();
    drop(far);
    context.synchronize().unwrap();
    assert!(calls.try_recv().is_err());
    drop(pause);
    assert_eq!(calls.recv().unwrap(), b'b');
    drop(watch);
}

#[test]
fn a_polled_handler_is_not_polled_while_it_is_paused() {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .poll_max(Duration::from_secs(1))
        .poll_weight(0)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (near, _far) = pair();
    let is_paused = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_paused);
    let (sent, polls) = channel();
    let _watch = context
        .watch(near)
        .on_readable(|_, _| {})
        .on_poll(move |_, _| {
            assert!(!flag.load(Ordering::SeqCst));
            // The test listens to the first ones.
            let _ = sent.send(());
            false
        })
        .register()
        .unwrap();
    while polls.try_recv().is_err() {
        context.synchronize().unwrap();
    }
    let pause = context.pause().unwrap();
    pause.drain().unwrap();
    is_paused.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        context.synchronize().unwrap();
    }
    is_paused.store(false, Ordering::SeqCst);
    while polls.try_recv().is_ok() {}
    drop(pause);
    while polls.try_recv().is_err() {
        context.synchronize().unwrap();
    }
    assert_eq!(io0.stats().panics, 0);
}

/// A pause that begins while a callback runs does not interrupt it, and a drain waits for it.
#[test]
fn a_drain_waits_for_the_callback_that_runs() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (begun, begins) = channel();
    let (go, wait) = channel::<()>();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let bottom_half = context
        .bottom_half(move |_| {
            begun.send(()).unwrap();
            assert!(wait.recv().is_err());
            over.store(true, Ordering::SeqCst);
        })
        .unwrap();
    bottom_half.schedule();
    begins.recv().unwrap();
    let pause = context.pause().unwrap();
    let opening = std::thread::spawn(move || drop(go));
    pause.drain().unwrap();
    assert!(is_over.load(Ordering::SeqCst));
    opening.join().unwrap();
    drop(pause);
}
