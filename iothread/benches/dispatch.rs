//! What a loop costs that sleeps, and one with many handlers.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use iothread::{FdWatch, HeldAioContext, IoThread, Registry, holder};
use rustix::event::{EventfdFlags, eventfd};

use crate::measure::{at_most, cpus, note, pin_self, time};

/// Round trips of a run; short, so that some runs are undisturbed.
const N_ROUNDS: u32 = 200;
const N_RUNS: usize = 400;

fn context() -> (IoThread, HeldAioContext) {
    let io = IoThread::builder("io0")
        .registry(&Registry::new())
        .spawn()
        .expect("a thread");
    let context = io
        .get_aio_context(holder::monitor("bench"))
        .expect("an IOThread that exists");
    (io, context)
}

/// CPU time of a thread of this process, in clock ticks of 10 milliseconds.
fn cpu_ticks(thread_id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread_id}/stat"))
        .expect("a thread that runs");
    let fields = stat.rsplit(')').next().unwrap_or_default();
    // User and system time, the 14th and 15th of all fields; two are before the parenthesis.
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

pub(crate) fn idle_cpu(name: &str) -> bool {
    let (io, context) = context();
    let (near, _far) = UnixStream::pair().expect("a socket pair");
    let _watch = context
        .watch(near)
        .on_readable(|_, _| {})
        .register()
        .expect("a fresh fd");
    let before = (cpu_ticks(io.thread_id()), io.stats().iterations);
    // This measures what happens while time passes.
    thread::sleep(Duration::from_secs(2));
    let after = (cpu_ticks(io.thread_id()), io.stats().iterations);
    note(name, &format!("{} iterations in 2 s", after.1 - before.1));
    at_most(
        name,
        "CPU time of an idle thread in 2 s, ticks",
        (after.0 - before.0) as f64,
        0.0,
        "",
    )
}

/// A loop with handlers that have nothing to do, and one whose file descriptor is made ready.
struct Crowd {
    event: Arc<OwnedFd>,
    done: Receiver<()>,
    _watches: Vec<FdWatch>,
    _context: HeldAioContext,
    _io: IoThread,
}

impl Crowd {
    fn new(n_handlers: usize, cpu: usize) -> Self {
        let (io, context) = context();
        io.set_cpu_affinity(&[cpu]).expect("a CPU that is allowed");
        let mut watches: Vec<FdWatch> = (1..n_handlers)
            .map(|_| {
                let idle = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
                context
                    .watch(idle)
                    .on_readable(|_, _| {})
                    .register()
                    .expect("a fresh fd")
            })
            .collect();
        let event = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd"));
        let (sender, done) = channel();
        let ready = context
            .watch(Arc::clone(&event))
            .on_readable(move |event, _| {
                rustix::io::read(event, &mut [0; 8]).expect("a signal");
                sender.send(()).expect("a receiver");
            })
            .register()
            .expect("a fresh fd");
        watches.push(ready);
        Self {
            event,
            done,
            _watches: watches,
            _context: context,
            _io: io,
        }
    }

    /// Time from making the file descriptor ready to the end of its callback, for all rounds.
    fn run(&self) -> Duration {
        time(|| {
            for _ in 0..N_ROUNDS {
                rustix::io::write(&self.event, &1_u64.to_ne_bytes()).expect("room in the counter");
                self.done.recv().expect("a sender");
            }
        })
    }
}

/// The best run of a loop with ten handlers, and of one with 10,000.
fn few_and_many(cpu: usize) -> [Duration; 2] {
    // All on one CPU: where the scheduler puts two threads would count for more than the loop.
    pin_self(cpu);
    let crowds = [10, 10_000].map(|n_handlers| Crowd::new(n_handlers, cpu));
    let mut best = [Duration::MAX; 2];
    for _ in 0..N_RUNS {
        for (best, crowd) in best.iter_mut().zip(&crowds) {
            *best = (*best).min(crowd.run());
        }
    }
    best
}

pub(crate) fn ready_fd(name: &str) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_some_and(|limit| limit < 10_100) {
        let wanted = rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted).is_err() {
            note(name, "skipped: the host allows too few file descriptors");
            return true;
        }
    }
    let Some(cpu) = cpus().next() else {
        note(name, "skipped: the CPUs of this thread cannot be had");
        return true;
    };
    let [few, many] =
        thread::scope(|scope| scope.spawn(|| few_and_many(cpu)).join()).expect("no panic");
    let us = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(N_ROUNDS);
    note(
        name,
        &format!(
            "10 handlers {:.2} us, 10,000 handlers {:.2} us",
            us(few),
            us(many)
        ),
    );
    at_most(
        name,
        "one ready fd, of 10,000 handlers / of 10",
        us(many) / us(few),
        1.1,
        " x",
    )
}
