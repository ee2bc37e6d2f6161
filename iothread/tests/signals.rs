//! Signals on a main loop. A process of its own, since signals are the whole process's.
#![cfg(feature = "signal")]

use std::sync::mpsc::channel;

use iothread::{MainLoop, Signal};
use rustix::process::{Signal as Number, getpid, kill_process};

#[test]
fn signals_become_callbacks_until_their_watch_is_dropped() {
    let mut main_loop = MainLoop::new().unwrap();
    let context = main_loop.context();
    let (sent, received) = channel();
    let watch = context
        .on_signal(Signal::User1, move |_| sent.send(()).unwrap())
        .unwrap();
    let ended = context.clone();
    let _quit = context
        .on_signal(Signal::Terminate, move |_| ended.quit())
        .unwrap();
    kill_process(getpid(), Number::USR1).unwrap();
    while received.try_recv().is_err() {
        main_loop.run_once(true).unwrap();
    }
    kill_process(getpid(), Number::TERM).unwrap();
    main_loop.run().unwrap();
    drop(watch);
    kill_process(getpid(), Number::USR1).unwrap();
    assert!(received.recv().is_err());
}
