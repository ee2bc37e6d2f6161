//! What a program does on the threads of a loop.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use iothread::{
    CallbackKind, CreateError, HolderChangeKind, IoThread, MainLoop, Registry, ThreadRole, holder,
};

use crate::fixture::{block, held, unannounced};

type Starts = Arc<Mutex<Vec<(ThreadRole, String)>>>;

/// Notes who begins, by the kernel's name of the thread.
fn noting(starts: &Starts) -> impl Fn(&iothread::ThreadStart<'_>) -> io::Result<()> + use<> {
    let starts = Arc::clone(starts);
    move |start| {
        assert_eq!(start.context, "io0");
        let name = std::fs::read_to_string("/proc/thread-self/comm")?;
        starts
            .lock()
            .expect("no panic under the lock")
            .push((start.role, name.trim_end().to_owned()));
        Ok(())
    }
}

#[test]
fn every_thread_is_told_of_before_it_does_anything() {
    let starts = Starts::default();
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .on_thread_start(noting(&starts))
        .stack_size(256 << 10)
        .worker_stack_size(128 << 10)
        .spawn()
        .unwrap();
    let seen = || starts.lock().unwrap().clone();
    assert_eq!(seen(), [(ThreadRole::Loop, "IO io0".to_owned())]);
    let context = held(&io0);
    let (sent, done) = channel();
    let at_work = Arc::clone(&starts);
    context
        .spawn_blocking(
            move || at_work.lock().unwrap().len(),
            move |_, n| sent.send(n.unwrap()).unwrap(),
        )
        .unwrap();
    assert_eq!(done.recv().unwrap(), 2);
    assert_eq!(seen()[1], (ThreadRole::Worker, "worker".to_owned()));
}

#[test]
fn a_thread_that_the_hook_refuses_does_nothing() {
    let _expected = tests::panics::expect("no filter");
    let registry = Registry::new();
    let refused = IoThread::builder("io0")
        .registry(&registry)
        .on_thread_start(|_| Err(io::ErrorKind::PermissionDenied.into()))
        .spawn()
        .unwrap_err();
    let CreateError::Host { source, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
    let refused = IoThread::builder("io0")
        .registry(&registry)
        .on_thread_start(|_| panic!("no filter"))
        .spawn()
        .unwrap_err();
    assert!(refused.to_string().ends_with("no filter"), "{refused}");
    assert!(registry.threads().is_empty());

    // A loop whose workers are refused does their work itself.
    let mut main_loop = MainLoop::builder()
        .on_panic(unannounced)
        .on_thread_start(|start| {
            assert_eq!(start.role, ThreadRole::Worker);
            Err(io::ErrorKind::PermissionDenied.into())
        })
        .build()
        .unwrap();
    let main = main_loop.context();
    let (sent, done) = channel();
    // Also later, when a worker that is there nevertheless would be waiting for it.
    for _ in 0..20 {
        let sent = sent.clone();
        main.spawn_blocking(
            || std::thread::current().id(),
            move |_, id| sent.send(id.unwrap()).unwrap(),
        )
        .unwrap();
        while main.stats().work > 0 {
            main_loop.run_once(false).unwrap();
        }
        main_loop.run_once(false).unwrap();
        assert_eq!(done.recv().unwrap(), std::thread::current().id());
    }
}

#[test]
fn the_hook_of_holders_sees_each_that_comes_and_goes() {
    let _expected = tests::panics::expect("the last one");
    let (sent, changes) = channel();
    let sent = Mutex::new(sent);
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(unannounced)
        .on_holders_changed(move |change| {
            // Not locked any more when this panics.
            let sent = sent.lock().unwrap().clone();
            let name = change.holder.name().to_owned();
            sent.send((change.iothread.to_owned(), name, change.kind))
                .unwrap();
            assert_ne!(change.holder.name(), "panics", "the last one");
        })
        .spawn()
        .unwrap();
    use HolderChangeKind::{Attached, Detached};
    let is = |name: &str, kind| Ok(("io0".to_owned(), name.to_owned(), kind));
    let guard = io0.get_aio_context(holder::monitor("a")).unwrap();
    assert_eq!(changes.try_recv(), is("a", Attached));
    io0.ref_holder(holder::monitor("b")).unwrap();
    assert_eq!(changes.try_recv(), is("b", Attached));
    let go = block(&guard);
    drop(guard);
    // Something of it runs, so it is still on record.
    assert!(changes.try_recv().is_err());
    go.send(()).unwrap();
    assert_eq!(changes.recv().unwrap(), is("a", Detached).unwrap());
    io0.unref_holder(&holder::monitor("b")).unwrap();
    assert_eq!(changes.try_recv(), is("b", Detached));
    // The record is made and struck out all the same.
    let guard = io0.get_aio_context(holder::monitor("panics")).unwrap();
    assert_eq!(io0.newest_holders(1), [holder::monitor("panics")]);
    drop(guard);
    assert_eq!(io0.newest_holders(1), []);
    io0.delete().unwrap();
    assert!(io0.get_aio_context(holder::monitor("late")).is_err());
    let names: Vec<_> = changes.try_iter().map(|it| it.1).collect();
    assert_eq!(names, ["panics", "panics"]);
}

#[test]
fn the_hook_of_iterations_sees_each_and_may_panic() {
    let _expected = tests::panics::expect("the second iteration");
    let n_calls = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&n_calls);
    let (sent, reports) = channel();
    let sent = Mutex::new(sent);
    let mut main_loop = MainLoop::builder()
        .on_panic(move |report| sent.lock().unwrap().send(report.callback).unwrap())
        .on_iteration(move |stats| {
            let n_calls = counting.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(stats.iterations, n_calls);
            assert_ne!(n_calls, 2, "the second iteration");
        })
        .build()
        .unwrap();
    for _ in 0..4 {
        main_loop.run_once(false).unwrap();
    }
    assert_eq!(n_calls.load(Ordering::SeqCst), 4);
    assert_eq!(reports.try_recv(), Ok(CallbackKind::Hook));
    assert!(reports.try_recv().is_err());
}
