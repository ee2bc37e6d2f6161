//! What all loops of a process share. One test at a time, since others would be seen.

use std::sync::mpsc::{Sender, channel};

use iothread::{
    HeldAioContext, IoThread, MainLoop, Registry, holder, set_worker_budget, unreported_panics,
    worker_budget,
};

fn thread(id: &str) -> (IoThread, HeldAioContext) {
    let io = IoThread::builder(id)
        .registry(&Registry::new())
        .thread_pool_max(i32::MAX.unsigned_abs())
        .spawn()
        .expect("the host has room for a thread");
    let context = io
        .get_aio_context(holder::block_node("n"))
        .expect("a thread that exists");
    (io, context)
}

/// Work that ends when its gate is opened or gone.
fn gated(context: &HeldAioContext, done: &Sender<()>) -> Sender<()> {
    let (open, gate) = channel::<()>();
    let done = done.clone();
    context
        .spawn_blocking(
            move || gate.recv().is_ok(),
            move |_, _| done.send(()).expect("the test waits"),
        )
        .expect("a context that is held");
    open
}

#[test]
fn the_workers_of_all_loops_share_a_budget_and_each_has_one_beside_it() {
    assert_eq!(worker_budget(), 1024);
    set_worker_budget(2);
    let loops = ["io0", "io1", "io2"].map(thread);
    let (sent, done) = channel();
    let gates: Vec<Vec<_>> = loops
        .iter()
        .map(|(_, context)| (0..10).map(|_| gated(context, &sent)).collect())
        .collect();
    for (_, context) in &loops {
        context.synchronize().unwrap();
        context.synchronize().unwrap();
        assert!(context.stats().workers >= 1);
        assert_eq!(context.stats().work, 10);
    }
    let n_workers = || -> u64 { loops.iter().map(|(io, _)| io.stats().workers).sum() };
    assert_eq!(n_workers(), 3 + 2);
    // With more budget the next piece of work brings those that are missing.
    set_worker_budget(100);
    let more: Vec<_> = loops
        .iter()
        .map(|(_, context)| gated(context, &sent))
        .collect();
    for (_, context) in &loops {
        context.synchronize().unwrap();
        context.synchronize().unwrap();
    }
    assert_eq!(n_workers(), 3 * 11);
    drop((gates, more));
    assert_eq!(done.iter().take(33).count(), 33);

    // What is given back can be used again: workers end with their loops.
    for (io, context) in loops {
        context.release();
        io.delete().unwrap();
    }
    set_worker_budget(1);
    let (_io, context) = thread("io3");
    let gates: Vec<_> = (0..5).map(|_| gated(&context, &sent)).collect();
    context.synchronize().unwrap();
    context.synchronize().unwrap();
    assert_eq!(context.stats().workers, 2);
    drop(gates);
    assert_eq!(done.iter().take(5).count(), 5);
    set_worker_budget(1024);

    // The other thing that all loops share; a second test would see these panics, or be seen.
    panics_without_a_hook_are_counted();
}

fn panics_without_a_hook_are_counted() {
    let texts = ["announced", "a hook that panics", "nobody is told"];
    let _expected = texts.map(tests::panics::expect);
    assert_eq!(unreported_panics(), 0);
    let (sent, reports) = channel();
    let sent = std::sync::Mutex::new(sent);
    let mut main_loop = MainLoop::builder()
        .on_panic(move |report| {
            assert_ne!(report.message, "a hook that panics");
            let sent = sent.lock().expect("no panic under the lock");
            sent.send(report.message.clone()).expect("the test waits");
        })
        .build()
        .expect("the host has room for a loop");
    let main = main_loop.context();
    main.post(|_| panic!("announced"))
        .expect("a loop that is there");
    main_loop.run_once(false).expect("a loop that may wait");
    assert_eq!(reports.try_recv().expect("a report"), "announced");
    assert_eq!(unreported_panics(), 0);
    main.post(|_| panic!("a hook that panics"))
        .expect("a loop that is there");
    main_loop.run_once(false).expect("a loop that may wait");
    assert_eq!(unreported_panics(), 1);
    let (_io, context) = thread("io4");
    assert!(context.call(|_| panic!("nobody is told")).is_err());
    assert_eq!(unreported_panics(), 2);
}
