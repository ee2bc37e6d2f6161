//! What is done when the last of several things is over.

use iothread::{MainContext, OnMain};

use crate::cause::{Cause, Within};
use crate::sync::{Arc, Mutex};

type Task = Box<dyn FnOnce(OnMain<'_>) + Send>;

/// Something that the main loop does when the last clone is gone. So the main loop
/// itself never waits, and nothing that ends in whatever way, by a panic too, can leave it undone.
#[derive(Clone)]
pub(crate) struct Finally(Arc<Last>);

struct Last {
    main: MainContext,
    task: Mutex<Option<Task>>,
}

impl Finally {
    pub(crate) fn new(main: &MainContext, task: impl FnOnce(OnMain<'_>) + Send + 'static) -> Self {
        // It is done for the same reason as what it follows from, whenever that is.
        let cause = Cause::current();
        let task = move |main: OnMain<'_>| {
            let _within = Within::enter(cause);
            task(main);
        };
        Self(Arc::new(Last {
            main: main.clone(),
            task: Mutex::new(Some(Box::new(task))),
        }))
    }

    /// Another one, which has to be done before this one can be.
    pub(crate) fn preceded_by(
        &self,
        task: impl FnOnce(OnMain<'_>, &Self) + Send + 'static,
    ) -> Self {
        let kept = self.clone();
        Self::new(&self.0.main, move |main| task(main, &kept))
    }

    /// Does it now if there is no other clone; otherwise it is done later.
    pub(crate) fn or_now(self, main: OnMain<'_>) {
        // If others drop theirs at this moment, it is posted.
        if let Some(last) = Arc::into_inner(self.0) {
            let task = last.task.lock().take();
            if let Some(task) = task {
                task(main);
            }
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A main loop that has ended cannot be told.
            let _ = self.main.run(task);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use iothread::MainLoop;

    use super::*;

    #[test]
    fn it_is_done_once_after_the_last_clone() {
        let mut main_loop = MainLoop::new().unwrap();
        let main = main_loop.context();
        let n_done = Arc::new(AtomicUsize::new(0));
        let counting = || {
            let n_done = Arc::clone(&n_done);
            move |_: OnMain<'_>| {
                n_done.fetch_add(1, Ordering::SeqCst);
            }
        };
        let done = || n_done.load(Ordering::SeqCst);
        // There is no other clone.
        Finally::new(&main, counting()).or_now(main_loop.on_main());
        assert_eq!(done(), 1);
        // Somebody on another thread.
        let finally = Finally::new(&main, counting());
        let (first, second) = (finally.clone(), finally.clone());
        finally.or_now(main_loop.on_main());
        drop(first);
        assert_eq!(done(), 1);
        std::thread::spawn(move || drop(second)).join().unwrap();
        assert_eq!(done(), 1);
        main_loop.run_once(false).unwrap();
        assert_eq!(done(), 2);
        // Somebody who panics.
        let finally = Finally::new(&main, counting());
        let other = finally.clone();
        finally.or_now(main_loop.on_main());
        let panics = std::thread::spawn(move || {
            let _other = other;
            std::panic::resume_unwind(Box::new(()));
        });
        panics.join().unwrap_err();
        main_loop.run_once(false).unwrap();
        assert_eq!(done(), 3);
        // What precedes it, and what precedes that.
        let finally = Finally::new(&main, counting());
        let order = Arc::new(Mutex::new(Vec::new()));
        let noting = |name: &'static str| {
            let order = Arc::clone(&order);
            move |_: OnMain<'_>, _: &Finally| order.lock().push(name)
        };
        let second = finally.preceded_by(noting("second"));
        let first = second.preceded_by(noting("first"));
        finally.or_now(main_loop.on_main());
        second.or_now(main_loop.on_main());
        assert_eq!((done(), order.lock().len()), (3, 0));
        first.or_now(main_loop.on_main());
        while main_loop.run_once(false).unwrap() {}
        assert_eq!(done(), 4);
        assert_eq!(*order.lock(), ["first", "second"]);
    }
}
