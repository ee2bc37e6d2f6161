//! Closures that run after a while.

use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{Clock, ContextError, MainLoop, holder};

use crate::fixture::{held, thread, unannounced};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn a_closure_runs_once_after_its_time_and_later_ones_after_it() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, times) = channel();
    let start = context.now(Clock::Monotonic);
    for ms in [20, 1, 10] {
        let sent = sent.clone();
        let delay = Duration::from_millis(ms);
        context
            .post_after(delay, move |dispatch| {
                sent.send((delay, dispatch.now(Clock::Monotonic))).unwrap();
            })
            .unwrap();
    }
    drop(sent);
    let times: Vec<_> = times.iter().collect();
    assert_eq!(times.len(), 3);
    for (delay, time) in &times {
        assert!(*time >= start + *delay);
    }
    assert_eq!(times[0].0, Duration::from_millis(1));
    // Nothing of them is left.
    context.release();
    assert!(io0.holders().is_empty());
    assert_eq!(io0.stats().timers, 3);
}

#[test]
fn a_release_runs_at_once_what_waits_for_its_time() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (sent, ran) = channel();
    let listed = io0.clone();
    context
        .post_after(NEVER, move |dispatch| {
            let refused = dispatch.context().post_after(NEVER, |_| ());
            let refused = matches!(refused, Err(ContextError::Released { .. }));
            sent.send((listed.holders(), refused)).unwrap();
        })
        .unwrap();
    context.release();
    // The release has waited for it, and its holder was on record.
    let (holders, refused) = ran.try_recv().unwrap();
    assert_eq!(holders, [holder::qom_object("/machine/d")]);
    assert!(refused);
    assert!(io0.holders().is_empty());
    io0.delete().unwrap();
}

#[test]
fn a_main_loop_that_is_dropped_runs_what_waits_for_its_time() {
    let main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let main = main_loop.context();
    let (sent, ran) = channel();
    main.post_after(NEVER, move |_| sent.send(()).unwrap())
        .unwrap();
    drop(main_loop);
    ran.try_recv().unwrap();
    assert!(matches!(
        main.post_after(NEVER, |_| ()),
        Err(ContextError::Ended { .. })
    ));
}

#[test]
fn a_closure_that_panics_late_leaves_nothing_behind() {
    let _expected = tests::panics::expect("late");
    let io0 = crate::fixture::thread_with_panics("io0");
    let context = held(&io0);
    context
        .post_after(Duration::from_micros(1), |_| panic!("late"))
        .unwrap();
    context.release();
    assert!(io0.holders().is_empty());
    assert_eq!(io0.stats().panics, 1);
}
