//! When a holder is gone: not before everything of it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use iothread::{
    BottomHalf, CallError, ContextError, DeleteError, DeleteThenError, HeldAioContext, IoThread,
    MainLoop, Registry, holder,
};

use crate::fixture::{block, held, pair, read_byte, thread, unannounced};

/// Blocking work of a holder that waits for the test.
struct Request {
    /// Ends the work.
    go: Sender<()>,
    is_completed: Arc<AtomicBool>,
}

impl Request {
    fn start(context: &HeldAioContext) -> Self {
        let (go, wait) = channel();
        let is_completed = Arc::new(AtomicBool::new(false));
        let completed = Arc::clone(&is_completed);
        context
            .spawn_blocking(
                move || wait.recv().expect("the test ends the work"),
                move |_, result| {
                    result.expect("no panic");
                    completed.store(true, Ordering::SeqCst);
                },
            )
            .expect("a context that is held");
        Self { go, is_completed }
    }

    fn is_completed(&self) -> bool {
        self.is_completed.load(Ordering::SeqCst)
    }
}

/// Something registered, and what is disconnected when a release has ended it.
fn canary(context: &HeldAioContext) -> (BottomHalf, Receiver<()>) {
    let (alive, gone) = channel::<()>();
    let bh = context
        .bottom_half(move |_| {
            let _alive = &alive;
        })
        .expect("a context that is held");
    (bh, gone)
}

/// A second holder, for the test's own use.
fn observer(io0: &IoThread) -> HeldAioContext {
    io0.get_aio_context(holder::monitor("test"))
        .expect("a thread that exists")
}

#[test]
fn a_release_waits_for_work_and_its_completion() {
    for _ in 0..20 {
        let io0 = thread("io0");
        let test = observer(&io0);
        let context = held(&io0);
        let request = Request::start(&context);
        let (_bh, begun) = canary(&context);
        let completed = Arc::clone(&request.is_completed);
        let releasing = thread::spawn(move || {
            context.release();
            completed.load(Ordering::SeqCst)
        });
        // The release has begun, and the thread has nothing else to do.
        assert!(begun.recv().is_err());
        test.synchronize().unwrap();
        assert_eq!(io0.holder_counts().total(), 2);
        request.go.send(()).unwrap();
        assert!(releasing.join().unwrap());
        assert_eq!(io0.holders(), [holder::monitor("test")]);
    }
}

#[test]
fn a_dropped_context_is_listed_until_its_work_is_over() {
    let io0 = thread("io0");
    let context = held(&io0);
    let request = Request::start(&context);
    drop(context);
    assert_eq!(io0.holders(), [holder::qom_object("/machine/d")]);
    assert_eq!(io0.holder_counts().total(), 1);
    request.go.send(()).unwrap();
    // Waits for the holder that leaves, and is not refused for its sake.
    io0.delete().unwrap();
    assert!(request.is_completed());
    assert!(io0.holders().is_empty());
}

#[test]
fn a_holder_of_whom_nothing_is_left_goes_with_the_drop() {
    let io0 = thread("io0");
    drop(held(&io0));
    assert!(io0.holders().is_empty());
    let context = held(&io0);
    let (near, _far) = pair();
    let watch = context.watch(near).on_readable(|_, _| {}).register();
    assert_eq!(context.call(|_| 1).unwrap(), 1);
    context.synchronize().unwrap();
    drop(context);
    assert!(io0.holders().is_empty());
    assert!(watch.is_ok());
}

#[test]
fn a_posted_closure_counts_until_it_has_run() {
    let io0 = thread("io0");
    let test = observer(&io0);
    let blocked = block(&test);
    let context = held(&io0);
    context.post(|_| ()).unwrap();
    drop(context);
    assert_eq!(io0.holders()[0], holder::qom_object("/machine/d"));
    blocked.send(()).unwrap();
    test.synchronize().unwrap();
    assert_eq!(io0.holders(), [holder::monitor("test")]);
}

#[test]
fn a_callback_that_runs_counts_until_it_returns() {
    let io0 = thread("io0");
    let test = observer(&io0);
    let context = held(&io0);
    let (near, far) = pair();
    let (entered, is_in) = channel();
    let (go, wait) = channel::<()>();
    let watch = context
        .watch(near)
        .on_readable(move |stream, _| {
            read_byte(stream);
            entered.send(()).unwrap();
            wait.recv().unwrap();
        })
        .register()
        .unwrap();
    std::io::Write::write_all(&mut &far, b"x").unwrap();
    is_in.recv().unwrap();
    // Removed before the holder is released, and it runs nevertheless.
    drop(watch);
    drop(context);
    assert_eq!(io0.holders()[0], holder::qom_object("/machine/d"));
    go.send(()).unwrap();
    test.synchronize().unwrap();
    // The release's own look comes after the callback.
    test.synchronize().unwrap();
    assert_eq!(io0.holders(), [holder::monitor("test")]);
    assert_eq!(io0.stats().panics, 0);
}

#[test]
fn a_loop_is_told_when_the_last_work_is_over_and_the_record_is_gone() {
    let mut main_loop = MainLoop::new().unwrap();
    let main = main_loop.context();
    let io0 = thread("io0");
    let context = held(&io0);
    let requests = [(); 3].map(|()| Request::start(&context));
    let quitting = main.clone();
    let (thread, completed) = (
        io0.clone(),
        requests
            .each_ref()
            .map(|request| Arc::clone(&request.is_completed)),
    );
    let (sent, told) = channel();
    context
        .release_then(&main, move |dispatch| {
            let all = completed.iter().all(|flag| flag.load(Ordering::SeqCst));
            let on_main = dispatch.context().name() == "main-loop";
            sent.send((all, on_main, thread.holders())).unwrap();
            quitting.quit();
        })
        .unwrap();
    // Nothing has waited for the work, which waits for this.
    assert_eq!(io0.holders(), [holder::qom_object("/machine/d")]);
    for request in &requests {
        request.go.send(()).unwrap();
    }
    main_loop.run().unwrap();
    assert_eq!(told.recv().unwrap(), (true, true, vec![]));
}

#[test]
fn a_loop_is_told_of_a_holder_that_has_nothing_left_too() {
    let mut main_loop = MainLoop::new().unwrap();
    let main = main_loop.context();
    let io0 = thread("io0");
    let (sent, told) = channel();
    held(&io0)
        .release_then(&main, move |_| sent.send(()).unwrap())
        .unwrap();
    assert!(io0.holders().is_empty());
    assert!(main_loop.run_once(false).unwrap());
    told.try_recv().unwrap();
}

#[test]
fn a_callback_after_a_release_counts_for_the_holder_that_it_is_told_to() {
    let (io0, io1) = (thread("io0"), thread("io1"));
    let (first, second) = (held(&io0), held(&io1));
    let request = Request::start(&first);
    let (sent, told) = channel();
    first
        .release_then(&second, move |_| sent.send(()).unwrap())
        .unwrap();
    drop(second);
    assert_eq!(io1.holders(), [holder::qom_object("/machine/d")]);
    request.go.send(()).unwrap();
    io1.delete().unwrap();
    told.try_recv().unwrap();
    assert!(request.is_completed());
}

#[test]
fn two_holders_do_not_wait_for_each_others_callbacks() {
    let (io0, io1) = (thread("io0"), thread("io1"));
    let (first, second) = (held(&io0), held(&io1));
    // Views of both that outlive the release.
    let (sent, refused) = channel();
    let (go, wait) = channel::<()>();
    let other = Arc::new(std::sync::Mutex::new(Some(second)));
    let lent = Arc::clone(&other);
    first
        .post(move |dispatch| {
            wait.recv().unwrap();
            // `first` is released, with its callback at `second`; the way back would close a circle.
            let second = lent.lock().unwrap().take().unwrap();
            sent.send(second.release_then(dispatch.context(), |_| ()))
                .unwrap();
        })
        .unwrap();
    let second = other.lock().unwrap();
    first
        .release_then(second.as_ref().unwrap(), |_| ())
        .unwrap();
    drop(second);
    go.send(()).unwrap();
    assert!(matches!(
        refused.recv().unwrap(),
        Err(ContextError::Released { .. })
    ));
    io0.delete().unwrap();
    io1.delete().unwrap();
}

#[test]
fn a_context_that_takes_nothing_is_told_nothing_and_the_holder_goes() {
    let main_loop = MainLoop::new().unwrap();
    let main = main_loop.context();
    drop(main_loop);
    let io0 = thread("io0");
    let outcome = held(&io0).release_then(&main, |_| panic!("called on a loop that is gone"));
    assert!(matches!(outcome, Err(ContextError::Ended { .. })));
    assert!(io0.holders().is_empty());
}

#[test]
fn a_thread_is_not_deleted_in_passing_while_a_holder_leaves() {
    let io0 = thread("io0");
    let context = held(&io0);
    let request = Request::start(&context);
    let mut main_loop = MainLoop::new().unwrap();
    let main = main_loop.context();
    let quitting = main.clone();
    context
        .release_then(&main, move |_| quitting.quit())
        .unwrap();
    assert_eq!(
        io0.try_delete(),
        Err(DeleteError::InUse {
            id: "io0".to_owned(),
            n_holders: 1
        })
    );
    request.go.send(()).unwrap();
    main_loop.run().unwrap();
    assert_eq!(io0.try_delete(), Ok(()));
    assert_eq!(
        io0.try_delete(),
        Err(DeleteError::NotFound {
            id: "io0".to_owned()
        })
    );
}

#[test]
fn a_registry_deletes_in_passing_what_nobody_holds() {
    let registry = Registry::new();
    let builder = IoThread::builder("io0").registry(&registry);
    let io0 = builder.on_panic(unannounced).spawn().unwrap();
    let context = held(&io0);
    let request = Request::start(&context);
    drop(context);
    let error = registry.try_delete("io0").unwrap_err();
    let id = || "io0".to_owned();
    assert_eq!(
        error,
        DeleteError::InUse {
            id: id(),
            n_holders: 1
        }
    );
    assert_eq!(registry.threads().len(), 1);
    request.go.send(()).unwrap();
    while !io0.holders().is_empty() {
        thread::yield_now();
    }
    registry.try_delete("io0").unwrap();
    let error = registry.try_delete("io0").unwrap_err();
    assert_eq!(error, DeleteError::NotFound { id: id() });
}

#[test]
fn a_loop_is_told_of_the_end_of_a_thread() {
    let mut main_loop = MainLoop::new().unwrap();
    let main = main_loop.context();
    let io0 = thread("io0");
    let context = held(&io0);
    let refused = io0.delete_then(&main, |_| ());
    assert!(matches!(
        refused,
        Err(DeleteThenError::Delete(DeleteError::InUse { .. }))
    ));
    let request = Request::start(&context);
    drop(context);
    let quitting = main.clone();
    let completed = Arc::clone(&request.is_completed);
    let (sent, told) = channel();
    io0.delete_then(&main, move |_| {
        sent.send(completed.load(Ordering::SeqCst)).unwrap();
        quitting.quit();
    })
    .unwrap();
    request.go.send(()).unwrap();
    main_loop.run().unwrap();
    assert!(told.recv().unwrap());
    assert!(io0.holders().is_empty());
    assert!(io0.get_aio_context(holder::monitor("m")).is_err());
}

#[test]
fn a_release_from_within_goes_on_and_the_record_goes_with_the_last_of_the_holder() {
    let io0 = thread("io0");
    let test = observer(&io0);
    // In a callback, a completion, and work of the holder itself.
    for place in 0..3 {
        let context = held(&io0);
        let slot = Arc::new(std::sync::Mutex::new(None));
        let taken = Arc::clone(&slot);
        let (sent, seen) = channel();
        let (go, wait) = channel::<()>();
        let watched = io0.clone();
        let release = move || {
            wait.recv().unwrap();
            let context: HeldAioContext = taken.lock().unwrap().take().unwrap();
            context.release();
            // What releases is itself of the holder.
            sent.send(watched.holder_counts().total()).unwrap();
        };
        match place {
            0 => context.post(move |_| release()),
            1 => context.spawn_blocking(|| (), move |_, _| release()),
            _ => context.spawn_blocking(release, |_, _| ()),
        }
        .unwrap();
        *slot.lock().unwrap() = Some(context);
        go.send(()).unwrap();
        assert_eq!(seen.recv().unwrap(), 2, "place {place}");
        // A worker's completion comes to the loop later than a message of the work.
        while io0.holder_counts().total() > 1 {
            test.synchronize().unwrap();
        }
    }
    assert_eq!(io0.stats().panics, 0);
}

#[test]
fn work_that_panics_is_over_as_well() {
    let _expected = tests::panics::expect("announced");
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .on_panic(|report| assert_eq!(report.message, "announced"))
        .spawn()
        .unwrap();
    let context = held(&io0);
    context
        .spawn_blocking(
            || panic!("announced"),
            |_, _: Result<(), _>| panic!("announced"),
        )
        .unwrap();
    assert!(matches!(
        context.call(|_| panic!("announced")),
        Err(CallError::Panicked { .. })
    ));
    context.release();
    assert!(io0.holders().is_empty());
    assert_eq!(io0.stats().panics, 3);
}
