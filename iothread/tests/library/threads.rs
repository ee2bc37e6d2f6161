//! What a thread is to the host, and how it ends.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use iothread::{
    AioContext, BhScheduler, BottomHalf, FdWatch, HeldAioContext, IoThread, MainContext, Registry,
    Timer, VirtualClock,
};

use crate::fixture::{held, thread};

#[test]
fn callbacks_run_on_the_named_thread_with_the_reported_id() {
    let io0 = thread("a-name-that-is-too-long");
    let context = held(&io0);
    let (name, id, current) = context
        .call(|dispatch| {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            let id = rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs();
            (name, id, dispatch.context().is_current())
        })
        .unwrap();
    assert_eq!(name, "IO a-name-that-\n");
    assert_eq!(id, io0.thread_id());
    assert!(current && !context.is_current());
}

#[test]
fn deletion_loses_no_posted_closure() {
    for _ in 0..50 {
        let io0 = thread("io0");
        let context = held(&io0);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let ran = Arc::clone(&ran);
            context
                .post(move |_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                })
                .unwrap();
        }
        drop(context);
        io0.delete().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 20);
    }
}

#[test]
fn affinity_is_inherited_and_can_be_changed() {
    let io0 = thread("io0");
    let inherited = io0.cpu_affinity().unwrap();
    assert!(!inherited.is_empty());
    let one = [inherited[0]];
    io0.set_cpu_affinity(&one).unwrap();
    assert_eq!(io0.cpu_affinity().unwrap(), one);
    let context = held(&io0);
    // A thread that the IOThread creates starts where that may run.
    let child = context
        .call(|_| {
            IoThread::builder("child")
                .registry(&Registry::new())
                .spawn()
                .unwrap()
        })
        .unwrap();
    assert_eq!(child.cpu_affinity().unwrap(), one);
    drop(context);
    let error = io0.set_cpu_affinity(&[1 << 30]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(io0.cpu_affinity().unwrap(), one);
    io0.delete().unwrap();
    let error = io0.cpu_affinity().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = io0.set_cpu_affinity(&one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn an_iothread_can_be_deleted_from_its_own_thread() {
    let registry = Registry::new();
    let io0 = IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
    let context = held(&io0);
    let (sent, done) = channel();
    let own = io0.clone();
    let (go, wait) = channel::<()>();
    context
        .post(move |_| {
            wait.recv().unwrap();
            sent.send(own.delete()).unwrap();
        })
        .unwrap();
    drop(context);
    go.send(()).unwrap();
    assert_eq!(done.recv().unwrap(), Ok(()));
    assert!(registry.threads().is_empty());
}

#[test]
fn deleting_a_thread_that_waits_for_the_deleting_one_does_not_hang() {
    let registry = Registry::new();
    let io0 = IoThread::builder("io0")
        .registry(&registry)
        .spawn()
        .unwrap();
    let io1 = IoThread::builder("io1")
        .registry(&registry)
        .spawn()
        .unwrap();
    let (c0, c1) = (held(&io0), held(&io1));
    let (calling, called) = channel();
    let (sent, done) = channel();
    // io1 waits for io0, which deletes io1.
    let deleted = io1.clone();
    c0.post(move |_| {
        called.recv().unwrap();
        sent.send(deleted.delete()).unwrap();
    })
    .unwrap();
    let (go, wait) = channel();
    c1.post(move |_| {
        wait.recv().unwrap();
        calling.send(()).unwrap();
        let _ = c0.synchronize();
    })
    .unwrap();
    drop(c1);
    go.send(()).unwrap();
    assert_eq!(done.recv().unwrap(), Ok(()));
}

#[test]
fn handles_may_be_used_from_any_thread() {
    fn check<T: Send + Sync>() {}
    check::<IoThread>();
    check::<HeldAioContext>();
    check::<AioContext>();
    check::<MainContext>();
    check::<BottomHalf>();
    check::<BhScheduler>();
    check::<Timer>();
    check::<FdWatch>();
    check::<Registry>();
    check::<VirtualClock>();
}
