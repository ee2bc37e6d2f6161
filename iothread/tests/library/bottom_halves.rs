//! Bottom halves: scheduled, cancelled, idle.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use crate::fixture::{block, held, pair, read_byte, thread};

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
