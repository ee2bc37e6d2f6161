//! Blocking work on worker threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use iothread::{IoThread, MainLoop, Parameter, Registry, WorkPanicked, holder};

use crate::fixture::{thread_with_panics, unannounced};

fn thread(min: u32, max: u32) -> IoThread {
    IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .thread_pool_min(min)
        .thread_pool_max(max)
        .spawn()
        .expect("the host has room for a thread")
}

#[test]
fn completions_run_on_the_context_with_the_result() {
    let io0 = thread(0, 64);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let (sent, done) = channel();
    context
        .spawn_blocking(
            || std::thread::current().name().map(str::to_owned),
            move |dispatch, result| {
                let on_context = dispatch.context().is_current();
                sent.send((on_context, result)).unwrap();
            },
        )
        .unwrap();
    assert_eq!(done.recv().unwrap(), (true, Ok(Some("worker".to_owned()))));
}

#[test]
fn as_many_workers_run_at_once_as_there_is_work() {
    let io0 = thread(0, 4);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let barrier = Arc::new(Barrier::new(4));
    let (sent, done) = channel();
    for _ in 0..4 {
        let (barrier, sent) = (Arc::clone(&barrier), sent.clone());
        // Ends only if all four run at once.
        context
            .spawn_blocking(move || barrier.wait(), move |_, _| sent.send(()).unwrap())
            .unwrap();
    }
    assert_eq!(done.iter().take(4).count(), 4);
    assert!(context.stats().workers <= 4);
}

#[test]
fn no_more_workers_run_than_thread_pool_max() {
    let io0 = thread(0, 2);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let (sent, done) = channel();
    for _ in 0..50 {
        let (running, sent) = (Arc::clone(&running), sent.clone());
        context
            .spawn_blocking(
                move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    now
                },
                move |_, result| sent.send(result.unwrap()).unwrap(),
            )
            .unwrap();
    }
    assert!(done.iter().take(50).max().unwrap() <= 2);
}

#[test]
fn workers_start_with_work_whatever_the_limits_are() {
    let io0 = thread(i32::MAX.unsigned_abs(), i32::MAX.unsigned_abs());
    let most = i64::from(i32::MAX);
    assert_eq!(io0.parameters().get(Parameter::ThreadPoolMin), most);
    assert_eq!(io0.parameters().get(Parameter::ThreadPoolMax), most);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    for min in [0, most, 3] {
        io0.set_parameter(Parameter::ThreadPoolMin, min).unwrap();
        context.synchronize().unwrap();
        context.synchronize().unwrap();
    }
    assert_eq!(context.stats().workers, 0);
    let (sent, done) = channel();
    context
        .spawn_blocking(|| (), move |_, _| sent.send(()).unwrap())
        .unwrap();
    done.recv().unwrap();
    assert_eq!(context.stats().workers, 1);
}

#[test]
fn deletion_waits_for_work_and_its_completion() {
    let io0 = thread(0, 2);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let (go, wait) = channel::<()>();
    let (sent, done) = channel();
    context
        .spawn_blocking(
            move || wait.recv().unwrap(),
            move |_, result| sent.send(result).unwrap(),
        )
        .unwrap();
    drop(context);
    let deleting = io0.clone();
    let deletion = std::thread::spawn(move || deleting.delete());
    go.send(()).unwrap();
    deletion.join().unwrap().unwrap();
    assert_eq!(done.recv().unwrap(), Ok(()));
    assert_eq!(io0.stats().workers, 0);
}

#[test]
fn work_is_done_while_the_loop_waits_for_it() {
    let mut main = MainLoop::new().unwrap();
    let context = main.context();
    let (sent, done) = channel();
    let submit = {
        let context = main.context();
        move || {
            let (begun, wait) = channel();
            context
                .spawn_blocking(move || begun.send(()).unwrap(), |_, _| {})
                .unwrap();
            context.start_workers();
            wait.recv().unwrap();
            sent.send(()).unwrap();
        }
    };
    // On the loop, and while it does not run.
    let on_loop = submit.clone();
    context.post(move |_| on_loop()).unwrap();
    main.run_once(false).unwrap();
    submit();
    assert_eq!(done.try_iter().count(), 2);
}

#[test]
fn work_that_panics_tells_its_completion() {
    let _expected = tests::panics::expect("work");
    let io0 = thread_with_panics("io0");
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let (sent, done) = channel();
    context
        .spawn_blocking(
            || panic!("work"),
            move |_, result: Result<(), _>| sent.send(result).unwrap(),
        )
        .unwrap();
    assert_eq!(
        done.recv().unwrap(),
        Err(WorkPanicked {
            message: "work".to_owned()
        })
    );
    assert_eq!(io0.last_panic().unwrap().message, "work");
}

#[test]
fn all_work_is_done_while_the_limits_change() {
    let io0 = thread(0, 4);
    let context = io0.get_aio_context(holder::block_node("n")).unwrap();
    let (sent, done) = channel();
    for number in 0..2_000_i64 {
        let sent = sent.clone();
        context
            .spawn_blocking(move || number, move |_, n| sent.send(n.unwrap()).unwrap())
            .unwrap();
        if number % 20 == 0 {
            let max = number / 20 % 7 + 1;
            io0.set_parameter(Parameter::ThreadPoolMin, 0).unwrap();
            io0.set_parameter(Parameter::ThreadPoolMax, max).unwrap();
            io0.set_parameter(Parameter::ThreadPoolMin, max / 2)
                .unwrap();
        }
    }
    drop(sent);
    let mut numbers: Vec<_> = done.iter().collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..2_000));
}
