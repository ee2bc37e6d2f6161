//! The loop on a thread of the program's own.

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{CallError, Clock, ContextError, IoThread, MainLoop, OnMain, Registry, holder};

use crate::fixture::{pair, read_byte, unannounced};

#[test]
fn a_main_loop_runs_until_it_is_told_to_quit() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let context = main_loop.context();
    assert!(context.holder().is_none());
    let quitting = context.clone();
    let (near, mut far) = pair();
    let _watch = context
        .watch(near)
        .on_readable(move |stream, _| {
            read_byte(stream);
            quitting.quit();
        })
        .register()
        .unwrap();
    let remote = context.clone();
    let other = std::thread::spawn(move || {
        let sum = remote.call(|_| 1 + 1).unwrap();
        far.write_all(b"x").unwrap();
        // Kept open: its end would call the handler once more.
        (sum, far)
    });
    main_loop.run().unwrap();
    let (sum, _far) = other.join().unwrap();
    assert_eq!(sum, 2);
    let (sent, ran) = channel();
    context.post(move |_| sent.send(()).unwrap()).unwrap();
    assert!(main_loop.run_once(false).unwrap());
    ran.recv().unwrap();
    assert_eq!(context.stats().panics, 0);
    drop(main_loop);
    assert!(matches!(
        context.post(|_| ()),
        Err(ContextError::Ended { .. })
    ));
    assert!(matches!(
        context.call(|_| ()),
        Err(CallError::Context(ContextError::Ended { .. }))
    ));
}

#[test]
fn a_main_loop_that_is_dropped_runs_what_it_has_accepted() {
    let main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let (sent, ran) = channel();
    main_loop
        .context()
        .post(move |_| sent.send(()).unwrap())
        .unwrap();
    drop(main_loop);
    ran.recv().unwrap();
}

#[test]
fn the_load_is_the_busy_part_of_the_time() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let context = main_loop.context();
    let start = context.stats();
    assert_eq!(start.load_since(&start), 0.0);
    // A millisecond of each, at least.
    let busy = Duration::from_millis(1);
    context
        .post(move |dispatch| {
            let end = dispatch.now(Clock::Monotonic) + busy;
            while dispatch.now(Clock::Monotonic) < end {}
        })
        .unwrap();
    main_loop.run_once(true).unwrap();
    let timer = context.timer(Clock::Monotonic, |_| ()).unwrap();
    timer.arm_after(Duration::from_millis(2));
    while timer.is_armed() {
        main_loop.run_once(true).unwrap();
    }
    let now = context.stats();
    assert!(now.busy - start.busy >= busy);
    assert!(now.waited > start.waited);
    assert_eq!(now.waited, now.polled + now.slept);
    let load = now.load_since(&start);
    assert!(load > 0.0 && load < 1.0, "{load}");
}

/// What has to run on the main loop. Returns where that was.
fn on_main(main: OnMain<'_>) -> String {
    main.context().name().to_owned()
}

#[test]
fn only_a_main_loop_says_that_code_runs_on_it() {
    let mut main_loop = MainLoop::builder().on_panic(unannounced).build().unwrap();
    let context = main_loop.context();
    assert_eq!(on_main(main_loop.on_main()), "main-loop");
    // It does not run, so nobody is called by it.
    assert!(context.here().is_none());

    let (sent, places) = channel();
    let told = sent.clone();
    let bh = context
        .bottom_half(move |dispatch| told.send(dispatch.on_main().map(on_main)).unwrap())
        .unwrap();
    bh.schedule();
    let (told, inside) = (sent.clone(), context.clone());
    let user = context.share();
    user.post(move |_| told.send(inside.here().map(on_main)).unwrap())
        .unwrap();
    let told = sent.clone();
    context
        .run(move |main| told.send(Some(on_main(main))).unwrap())
        .unwrap();
    main_loop.run_once(false).unwrap();
    let main = Some("main-loop".to_owned());
    assert_eq!(
        places.try_iter().collect::<Vec<_>>(),
        [main.clone(), main.clone(), main]
    );

    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .spawn()
        .unwrap();
    let held = io0.get_aio_context(holder::monitor("m")).unwrap();
    let elsewhere = context.clone();
    let answers = held.call(move |dispatch| {
        (
            dispatch.on_main().map(on_main),
            elsewhere.here().map(on_main),
        )
    });
    assert_eq!(answers.unwrap(), (None, None));

    drop(main_loop);
    assert!(matches!(
        context.run(|_| ()),
        Err(ContextError::Ended { .. })
    ));
}
