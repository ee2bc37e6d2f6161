//! The loop on a thread of the program's own.

use std::io::Write;
use std::sync::mpsc::channel;

use iothread::MainLoop;

use crate::fixture::{pair, read_byte};

#[test]
fn a_main_loop_runs_until_it_is_told_to_quit() {
    let mut main_loop = MainLoop::new().unwrap();
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
        sum
    });
    main_loop.run().unwrap();
    assert_eq!(other.join().unwrap(), 2);
    let (sent, ran) = channel();
    context.post(move |_| sent.send(()).unwrap()).unwrap();
    assert!(main_loop.run_once(false).unwrap());
    ran.recv().unwrap();
    drop(main_loop);
    assert!(context.post(|_| ()).is_err());
    assert!(context.call(|_| ()).is_err());
}

#[test]
fn a_main_loop_that_is_dropped_runs_what_it_has_accepted() {
    let main_loop = MainLoop::new().unwrap();
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
    let mut main_loop = MainLoop::new().unwrap();
    let context = main_loop.context();
    let start = context.stats();
    assert_eq!(start.load_since(&start), 0.0);
    for _ in 0..100 {
        context.post(|_| ()).unwrap();
        main_loop.run_once(true).unwrap();
    }
    let load = context.stats().load_since(&start);
    assert!((0.0..=1.0).contains(&load));
}
