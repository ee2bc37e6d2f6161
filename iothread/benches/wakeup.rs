//! How long one thread takes to wake another.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use iothread::{BhScheduler, BottomHalf, HeldAioContext, IoThread, Registry, holder};
use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::measure::{at_most, cpus, note, pin_self};

/// Round trips of a run; short, so that some runs are undisturbed.
const N_ROUNDS: u32 = 200;
const N_RUNS: usize = 200;

/// An eventfd in an epoll of its own, as any loop would use them.
struct Bare {
    event: OwnedFd,
    epoll: OwnedFd,
}

impl Bare {
    fn new() -> Self {
        let event = eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd");
        let epoll = epoll::create(epoll::CreateFlags::empty()).expect("an epoll");
        epoll::add(
            &epoll,
            &event,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN,
        )
        .expect("a fresh fd");
        Self { event, epoll }
    }

    fn signal(&self) {
        rustix::io::write(&self.event, &1_u64.to_ne_bytes()).expect("room in the counter");
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) {
        events.clear();
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), None).expect("an event");
        rustix::io::read(&self.event, &mut [0; 8]).expect("a signal");
    }
}

fn bare_ping_pong(cpus: [usize; 2]) -> Duration {
    let ends = [Bare::new(), Bare::new()];
    thread::scope(|scope| {
        let [near, far] = &ends;
        scope.spawn(move || {
            pin_self(cpus[1]);
            let mut events = Vec::with_capacity(16);
            for _ in 0..N_ROUNDS {
                far.wait(&mut events);
                near.signal();
            }
        });
        let timing = scope.spawn(move || {
            pin_self(cpus[0]);
            let mut events = Vec::with_capacity(16);
            let start = Instant::now();
            for _ in 0..N_ROUNDS {
                far.signal();
                near.wait(&mut events);
            }
            start.elapsed()
        });
        timing.join().expect("no panic")
    })
}

/// Two IOThreads whose bottom halves schedule each other.
struct PingPong {
    rounds: Arc<AtomicU32>,
    done: std::sync::mpsc::Receiver<Duration>,
    bhs: [BottomHalf; 2],
    contexts: [HeldAioContext; 2],
}

impl PingPong {
    fn new(cpus: [usize; 2], poll_max: Duration) -> Self {
        let contexts = [0, 1].map(|number| {
            let io = IoThread::builder(format!("io{number}"))
                .registry(&Registry::new())
                .poll_max(poll_max)
                .spawn()
                .expect("a thread");
            io.set_cpu_affinity(&[cpus[number]])
                .expect("a CPU that is allowed");
            io.get_aio_context(holder::monitor("bench"))
                .expect("an IOThread that exists")
        });
        let rounds = Arc::new(AtomicU32::new(0));
        let (sender, done) = channel();
        let near_of_far: Arc<OnceLock<BhScheduler>> = Arc::default();
        let reply_to = Arc::clone(&near_of_far);
        let far = contexts[1]
            .bottom_half(move |_| {
                if let Some(near) = reply_to.get() {
                    near.schedule();
                }
            })
            .expect("a context that is held");
        let near = contexts[0]
            .bottom_half(near_callback(far.scheduler(), Arc::clone(&rounds), sender))
            .expect("a context that is held");
        near_of_far
            .set(near.scheduler())
            .expect("a cell that is fresh");
        Self {
            rounds,
            done,
            bhs: [near, far],
            contexts,
        }
    }

    fn run(&self) -> Duration {
        self.rounds.store(N_ROUNDS, Ordering::SeqCst);
        self.bhs[0].schedule();
        self.done.recv().expect("the end of the rounds")
    }

    fn polls_succeed(&self) -> f64 {
        let stats = self.contexts.each_ref().map(|context| context.stats());
        let successes: u64 = stats.iter().map(|stats| stats.successful_polls).sum();
        let iterations: u64 = stats.iter().map(|stats| stats.iterations).sum();
        successes as f64 / iterations as f64
    }
}

fn near_callback(
    far: BhScheduler,
    rounds: Arc<AtomicU32>,
    done: Sender<Duration>,
) -> impl FnMut(&mut iothread::BhDispatch<'_>) + Send + 'static {
    let mut start = None;
    move |_| {
        let started = *start.get_or_insert_with(Instant::now);
        let left = rounds.load(Ordering::Relaxed);
        if left == 0 {
            start = None;
            // Sent before the receiver can go.
            done.send(started.elapsed()).expect("a receiver");
            return;
        }
        rounds.store(left - 1, Ordering::Relaxed);
        far.schedule();
    }
}

pub(crate) fn wakeup(name: &str) -> bool {
    let mut allowed = cpus();
    let (Some(one), Some(other)) = (allowed.next(), allowed.next()) else {
        note(name, "skipped: needs two CPUs");
        return true;
    };
    let cpus = [one, other];
    let asleep = PingPong::new(cpus, Duration::ZERO);
    let polling = PingPong::new(cpus, Duration::from_millis(1));
    let (mut bare_best, mut asleep_best, mut polling_best) =
        (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..N_RUNS {
        // In turns, so that a disturbance meets all of them.
        bare_best = bare_best.min(bare_ping_pong(cpus));
        asleep_best = asleep_best.min(asleep.run());
        polling_best = polling_best.min(polling.run());
    }
    let us = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(N_ROUNDS);
    note(
        name,
        &format!(
            "round trip: bare {:.2} us, asleep {:.2} us, polling {:.2} us ({:.0} % of polls succeed)",
            us(bare_best),
            us(asleep_best),
            us(polling_best),
            100.0 * polling.polls_succeed()
        ),
    );
    let asleep_ok = at_most(
        name,
        "asleep / bare eventfd and epoll",
        us(asleep_best) / us(bare_best),
        1.2,
        " x",
    );
    let polling_ok = at_most(
        name,
        "polling / bare eventfd and epoll",
        us(polling_best) / us(bare_best),
        0.33,
        " x",
    );
    asleep_ok && polling_ok
}
