//! Timers of real threads.

use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{Clock, HeldAioContext, IoThread, Registry, VirtualClock, holder};

use crate::fixture::unannounced;

fn context() -> HeldAioContext {
    let thread = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .spawn()
        .expect("the host has room for a thread");
    thread
        .get_aio_context(holder::monitor("m"))
        .expect("a thread that exists")
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    let context = context();
    let (sent, fired) = channel();
    let timers: Vec<_> = [3_u64, 1, 2]
        .into_iter()
        .map(|number| {
            let sent = sent.clone();
            let timer = context
                .timer(Clock::Monotonic, move |_| sent.send(number).unwrap())
                .unwrap();
            (number, timer)
        })
        .collect();
    let now = context.now(Clock::Monotonic);
    for (number, timer) in &timers {
        timer.arm_at(now + Duration::from_millis(*number));
    }
    assert_eq!(fired.iter().take(3).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(timers.iter().all(|(_, timer)| !timer.is_armed()));
}

#[test]
fn a_timer_does_not_fire_before_its_time() {
    let context = context();
    for clock in [Clock::Monotonic, Clock::Real, Clock::Virtual] {
        let (sent, fired) = channel();
        let timer = context
            .timer(clock, move |dispatch| {
                sent.send(dispatch.now(clock)).unwrap()
            })
            .unwrap();
        let time = context.now(clock) + Duration::from_micros(300);
        timer.arm_at(time);
        assert!(fired.recv().unwrap() >= time);
    }
}

#[test]
fn a_timer_arms_itself_again() {
    let context = context();
    let (sent, fired) = channel();
    let mut left = 5;
    let timer = context
        .timer(Clock::Monotonic, move |dispatch| {
            left -= 1;
            sent.send(left).unwrap();
            if left > 0 {
                // In the past: fires with the next iteration.
                dispatch.arm_at(Duration::ZERO);
            }
        })
        .unwrap();
    timer.arm_after(Duration::ZERO);
    assert_eq!(fired.iter().take(5).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
}

#[test]
fn one_timer_disarms_another_that_is_due_too() {
    let context = context();
    let (sent, fired) = channel();
    let second_sent = sent.clone();
    let second = context
        .timer(Clock::Monotonic, move |_| second_sent.send(2).unwrap())
        .unwrap();
    second.arm_after(Duration::from_secs(3600));
    let second = std::sync::Arc::new(second);
    let other = std::sync::Arc::clone(&second);
    let first = context
        .timer(Clock::Monotonic, move |_| {
            other.disarm();
            sent.send(1).unwrap();
        })
        .unwrap();
    // Both become due while the thread is busy.
    let (go, wait) = channel::<()>();
    let (begun, begins) = channel();
    context
        .post(move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
        })
        .unwrap();
    begins.recv().unwrap();
    first.arm_at(Duration::ZERO);
    second.arm_at(Duration::from_nanos(1));
    go.send(()).unwrap();
    assert_eq!(fired.recv().unwrap(), 1);
    context.synchronize().unwrap();
    assert!(fired.try_recv().is_err());
}

#[test]
fn arming_again_replaces_the_earlier_time() {
    let context = context();
    let (sent, fired) = channel();
    let timer = context
        .timer(Clock::Monotonic, move |_| sent.send(()).unwrap())
        .unwrap();
    timer.arm_after(Duration::from_secs(3600));
    let deadline = timer.deadline().unwrap();
    assert!(deadline > context.now(Clock::Monotonic));
    timer.arm_after(Duration::ZERO);
    fired.recv().unwrap();
    timer.arm_after(Duration::from_secs(3600));
    timer.disarm();
    assert_eq!(timer.deadline(), None);
}

#[test]
fn a_virtual_clock_that_stands_holds_its_timers_back() {
    let clock = VirtualClock::new();
    clock.stop();
    let before = clock.now();
    let thread = IoThread::builder("io0")
        .registry(&Registry::new())
        .virtual_clock(&clock)
        .spawn()
        .unwrap();
    let context = thread.get_aio_context(holder::monitor("m")).unwrap();
    let (sent, fired) = channel();
    let virtual_sent = sent.clone();
    let on_virtual = context
        .timer(Clock::Virtual, move |_| {
            virtual_sent.send("virtual").unwrap()
        })
        .unwrap();
    let on_monotonic = context
        .timer(Clock::Monotonic, move |_| sent.send("monotonic").unwrap())
        .unwrap();
    on_virtual.arm_at(Duration::ZERO);
    on_monotonic.arm_after(Duration::from_millis(1));
    assert_eq!(fired.recv().unwrap(), "monotonic");
    assert!(on_virtual.is_armed());
    assert_eq!(clock.now(), before);
    // Wakes the thread, which has nothing else to wait for.
    clock.start();
    assert_eq!(fired.recv().unwrap(), "virtual");
    assert!(clock.is_running());
}

#[test]
fn a_timer_ends_with_its_handle_or_holder() {
    let thread = IoThread::builder("io0")
        .registry(&Registry::new())
        .spawn()
        .unwrap();
    let context = thread.get_aio_context(holder::monitor("m")).unwrap();
    let (sent, fired) = channel::<()>();
    let second_sent = sent.clone();
    let timer = context
        .timer(Clock::Monotonic, move |_| sent.send(()).unwrap())
        .unwrap();
    timer.arm_after(Duration::from_secs(3600));
    let kept = context
        .timer(Clock::Monotonic, move |_| second_sent.send(()).unwrap())
        .unwrap();
    kept.arm_after(Duration::from_secs(3600));
    drop(timer);
    drop(context);
    // Both callbacks are gone, and their senders with them.
    assert!(fired.recv().is_err());
    kept.arm_after(Duration::ZERO);
    assert!(!kept.is_armed());
}
