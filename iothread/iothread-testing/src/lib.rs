#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::ops::{Deref, DerefMut};
use std::thread;

use iothread::{Holder, IoThread, IoThreadBuilder, MainLoop, PanicReport, Registry};

/// An IOThread in a registry of its own. At the end no holder may be left, and no callback may have panicked.
#[derive(Debug)]
pub struct TestThread {
    thread: IoThread,
    registry: Registry,
}

impl TestThread {
    /// A thread that does not poll, so that a test is as quick on a host with one CPU.
    ///
    /// # Panics
    ///
    /// The host has no room for a thread, or the id is not an identifier.
    pub fn new(id: &str) -> Self {
        Self::with(id, |builder| builder.poll_max(std::time::Duration::ZERO))
    }

    /// A thread that is described further.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new), or for a bad parameter.
    pub fn with(id: &str, describe: impl FnOnce(IoThreadBuilder) -> IoThreadBuilder) -> Self {
        let registry = Registry::new();
        let builder = describe(IoThread::builder(id)).registry(&registry);
        match builder.spawn() {
            Ok(thread) => Self { thread, registry },
            Err(error) => panic!("{error}"),
        }
    }

    /// The registry that the thread is in.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Deref for TestThread {
    type Target = IoThread;

    fn deref(&self) -> &IoThread {
        &self.thread
    }
}

impl Drop for TestThread {
    fn drop(&mut self) {
        if thread::panicking() {
            // The test has failed for something else.
            return;
        }
        let holders = self.holders();
        let left: Vec<_> = holders.iter().map(Holder::to_string).collect();
        assert!(
            left.is_empty(),
            "{} is held by {}",
            self.id(),
            left.join(", ")
        );
        check_panics(self.id(), self.thread.stats().panics, self.last_panic());
        // One that a test has deleted is gone.
        let _ = self.thread.delete();
    }
}

/// A main loop that a test runs until something has happened. At the end no callback may have panicked.
#[derive(Debug)]
pub struct TestLoop {
    main_loop: MainLoop,
}

impl Default for TestLoop {
    fn default() -> Self {
        Self::new()
    }
}

impl TestLoop {
    /// A loop on the test's thread.
    ///
    /// # Panics
    ///
    /// The host has no room for it.
    pub fn new() -> Self {
        match MainLoop::new() {
            Ok(main_loop) => Self { main_loop },
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs until `is_over` says so, which is asked first and then after each iteration. Whatever it depends on has to wake the loop.
    ///
    /// # Panics
    ///
    /// The loop cannot wait.
    pub fn run_until(&mut self, mut is_over: impl FnMut() -> bool) {
        while !is_over() {
            self.iterate(true);
        }
    }

    /// Runs what there is to do at this moment, and what that leads to at once.
    ///
    /// # Panics
    ///
    /// The loop cannot wait.
    pub fn settle(&mut self) {
        while self.iterate(false) {}
    }

    fn iterate(&mut self, may_block: bool) -> bool {
        match self.main_loop.run_once(may_block) {
            Ok(progress) => progress,
            Err(failure) => panic!("{failure}"),
        }
    }
}

impl Deref for TestLoop {
    type Target = MainLoop;

    fn deref(&self) -> &MainLoop {
        &self.main_loop
    }
}

impl DerefMut for TestLoop {
    fn deref_mut(&mut self) -> &mut MainLoop {
        &mut self.main_loop
    }
}

impl Drop for TestLoop {
    fn drop(&mut self) {
        if !thread::panicking() {
            let context = self.main_loop.context();
            check_panics(context.name(), context.stats().panics, context.last_panic());
        }
    }
}

fn check_panics(context: &str, n_panics: u64, last: Option<PanicReport>) {
    let last = last.map(|report| report.to_string()).unwrap_or_default();
    assert!(
        n_panics == 0,
        "{n_panics} panics on {context}, the last of them: {last}"
    );
}
