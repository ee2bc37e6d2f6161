//! What the time of a loop goes to.

use std::time::Duration;

use iothread::{HeldAioContext, IoThread, LoopStats, Registry};
use tests::eventually;

use crate::fixture::{block, held, thread, unannounced};

/// Waits until time passes within one phase of the loop, which `of` tells. Returns what the loop had done before and then.
fn while_it_lasts(
    context: &HeldAioContext,
    of: impl Fn(&LoopStats) -> Duration,
) -> (LoopStats, LoopStats) {
    let mut seen = None;
    eventually(|| {
        let (before, now) = (context.stats(), context.stats());
        let is_within = before.iterations == now.iterations && of(&now) > of(&before);
        seen = is_within.then_some((before, now));
        is_within
    });
    seen.expect("it has come true")
}

#[test]
fn a_sleep_and_a_callback_are_counted_while_they_last() {
    let io0 = thread("io0");
    let context = held(&io0);
    let (before, now) = while_it_lasts(&context, |it| it.slept);
    assert_eq!((before.busy, before.polled), (now.busy, now.polled));
    let go = block(&context);
    let (before, now) = while_it_lasts(&context, |it| it.busy);
    assert_eq!((before.slept, before.polled), (now.slept, now.polled));
    assert_eq!(now.load_since(&before), 1.0);
    go.send(()).unwrap();
}

#[test]
fn polling_is_neither_sleep_nor_work() {
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
    // It learns to poll by events that are not far apart.
    while context.stats().poll_time < LONG {
        context.synchronize().unwrap();
    }
    let (before, now) = while_it_lasts(&context, |it| it.polled);
    assert_eq!((before.busy, before.slept), (now.busy, now.slept));
    assert_eq!(now.load_since(&before), 0.0);
    assert_eq!(now.waited, now.polled + now.slept);
}
