//! Closures handed over or waited for, and callbacks that panic.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::channel;

use iothread::{
    CallError, CallbackKind, Clock, ContextError, Dispatch, IoThread, MainLoop, Registry, holder,
};

use crate::fixture::{held, pair, thread, thread_with_panics};

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
fn call_refuses_to_wait_for_itself() {
    let io0 = thread("io0");
    let context = held(&io0);
    let refused = context
        .call(|dispatch| dispatch.context().call(|_| ()))
        .unwrap();
    assert!(matches!(refused, Err(CallError::WouldDeadlock { .. })));
}

#[test]
fn a_loop_is_told_when_another_has_got_on() {
    let io0 = thread("io0");
    let context = held(&io0);
    let mut main_loop = MainLoop::new().unwrap();
    let (go, waiting) = channel::<()>();
    let (sent, told) = channel();
    context.post(move |_| waiting.recv().unwrap()).unwrap();
    let tell = move |_: &mut Dispatch<'_>| sent.send(()).unwrap();
    context
        .synchronize_then(&main_loop.context(), tell)
        .unwrap();
    main_loop.run_once(false).unwrap();
    assert!(told.try_recv().is_err(), "it is told too early");
    go.send(()).unwrap();
    while told.try_recv().is_err() {
        main_loop.run_once(true).unwrap();
    }
    // What was posted is over for the account of the holder, too.
    drop(context);
    assert_eq!(io0.holders().len(), 0);
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
    let _expected = ["call 1", "fd"].map(tests::panics::expect);
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
    let _expected = tests::panics::expect("dropped");
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let io0 = thread_with_panics("io0");
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
fn nothing_is_handed_over_after_the_holder_is_released() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (go, wait) = channel::<()>();
    let (sent, refusals) = channel();
    context
        .post(move |dispatch| {
            wait.recv().unwrap();
            let context = dispatch.context();
            let (near, _far) = pair();
            let refusals = [
                context.post(|_| ()).err(),
                context.spawn_blocking(|| (), |_, _| ()).err(),
                context.timer(Clock::Monotonic, |_| ()).err(),
                context.bottom_half(|_| ()).err(),
                context.watch(near).on_readable(|_, _| ()).register().err(),
            ];
            sent.send(refusals).unwrap();
        })
        .unwrap();
    drop(context);
    go.send(()).unwrap();
    for refusal in refusals.recv().unwrap() {
        let is_released = matches!(refusal, Some(ContextError::Released { .. }));
        assert!(is_released, "{refusal:?}");
    }
}
