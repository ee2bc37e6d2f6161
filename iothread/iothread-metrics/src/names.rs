//! What metrics of IOThreads are called. Labels that all have are `iothread`, and `guest` where there are several.

use crate::Metric;

/// By `mode`: `user` or `system`.
pub const CPU: Metric = Metric::seconds(
    "iothread_cpu",
    "Time on a processor, be it for work or for polling",
);

/// Of each thread.
pub const RUN_DELAY: Metric =
    Metric::seconds("iothread_run_delay", "Time of waiting for a processor");

/// By `kind`: `voluntary` or `forced`.
pub const CONTEXT_SWITCHES: Metric = Metric::count(
    "iothread_context_switches",
    "How often it gave up a processor",
);

/// Of each thread.
pub const LAST_CPU: Metric = Metric::count(
    "iothread_last_cpu",
    "The number of the processor that it was on",
);

/// Of each thread.
pub const POLL_MAX: Metric = Metric::seconds(
    "iothread_poll_max",
    "The longest time for which its loop polls",
);

/// By `kind` of holders.
pub const HOLDERS: Metric = Metric::count("iothread_holders", "How many holders of a kind it has");

/// By `kind` and `holder`.
pub const HOLDER: Metric = Metric::count("iothread_holder", "Who holds it");

/// By `phase`: `dispatching`, `polling` or `blocked`.
pub const LOOP: Metric = Metric::seconds(
    "iothread_loop",
    "What the time of its event loop went to: only dispatching is work, polling and blocked are not",
);

/// By `outcome`: `hit` or `miss`.
pub const POLLS: Metric = Metric::count(
    "iothread_polls",
    "How often its loop polled, and whether that found something",
);

/// By `kind`: `fd`, `bottom-half`, `posted` or `timer`.
pub const LOOP_EVENTS: Metric = Metric::count(
    "iothread_loop_events",
    "How many callbacks its loop has run",
);

/// Of each thread.
pub const LOOP_SLEEPS: Metric =
    Metric::count("iothread_loop_sleeps", "How often its loop went to sleep");

/// By `what`: `guests`, `threads`, `holders` or `exports`.
pub const LEFT_OUT: Metric = Metric::count(
    "iothread_exporter_left_out",
    "How many of them are not told, as there are too many",
);

/// Of each thread.
pub const POLL_TIME: Metric = Metric::seconds(
    "iothread_poll_time",
    "For how long its loop polls at present before it goes to sleep",
);
