//! What is given to the tests of others: threads and loops that fail for what a test has overlooked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;

use iothread::holder;
use iothread_testing::{TestLoop, TestThread};

/// The panic of a test that has overlooked something.
fn failure(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("a test that fails");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(_) => "no message".to_owned(),
    }
}

#[test]
fn a_test_that_overlooks_nothing_passes() {
    let io0 = TestThread::new("io0");
    let mut main = TestLoop::new();
    let (sent, received) = channel();
    let (ready, next) = (main.context(), main.context());
    let device = io0.get_aio_context(holder::monitor("m")).unwrap();
    device
        .post(move |_| {
            let told = sent.clone();
            sent.send(1).unwrap();
            // Two steps of the main loop.
            let second = move |_: &mut iothread::Dispatch<'_>| told.send(3).unwrap();
            ready
                .post(move |_| {
                    sent.send(2).unwrap();
                    next.post(second).unwrap();
                })
                .unwrap();
        })
        .unwrap();
    let mut values = Vec::new();
    main.run_until(|| {
        values.extend(received.try_iter());
        values.len() >= 2
    });
    main.settle();
    values.extend(received.try_iter());
    assert_eq!(values, [1, 2, 3]);
    device.release();
    assert_eq!(io0.registry().threads().len(), 1);
}

#[test]
fn a_panic_that_a_test_has_overlooked_fails_it() {
    let _expected = [
        "overlooked",
        "1 panics on io0, the last of them: posted closure of io0 panicked: overlooked",
        "1 panics on main-loop, the last of them: posted closure of main-loop panicked: overlooked",
    ]
    .map(tests::panics::expect);
    let message = failure(|| {
        let io0 = TestThread::with("io0", |builder| builder.on_panic(|_| {}));
        let context = io0.get_aio_context(holder::monitor("m")).expect("a thread");
        context.post(|_| panic!("overlooked")).expect("a context");
        context.release();
    });
    assert!(message.starts_with("1 panics on io0"), "{message}");
    let message = failure(|| {
        let mut main = TestLoop::new();
        let context = main.context();
        context.post(|_| panic!("overlooked")).expect("a context");
        main.settle();
    });
    assert!(message.starts_with("1 panics on main-loop"), "{message}");
}

#[test]
fn a_holder_that_is_left_fails_a_test() {
    let _expected = tests::panics::expect("io0 is held by monitor 'm'");
    let mut kept = None;
    let message = failure(|| {
        let io0 = TestThread::new("io0");
        kept = io0.get_aio_context(holder::monitor("m")).ok();
    });
    assert_eq!(message, "io0 is held by monitor 'm'");
    drop(kept);
}
