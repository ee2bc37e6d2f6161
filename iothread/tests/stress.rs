//! Storms of hot-plug: many threads attach and detach devices, and create and delete IOThreads, all at once.
//! At the end the holders are exactly those that are alive.
//!
//! Short by default; `IOTHREAD_STRESS_SECONDS=300 cargo test -p iothread --release --test stress` runs for minutes.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use iothread::{
    BottomHalf, Clock, DeleteError, FdWatch, HeldAioContext, Holder, IoThread, Registry, Timer,
    holder,
};
use rustix::event::{EventfdFlags, eventfd};

const N_PLUGGERS: usize = 4;
const N_THREADS: usize = 3;
const N_DEVICES: usize = 40;
/// Rounds of the short form, each of which ends with a comparison.
const N_ROUNDS: usize = 15;
const N_STEPS: usize = 400;

/// Numbers that look random; the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("a number below a usize")
    }
}

/// A device with everything that can be registered. Its parts end with the context, whatever order they go in.
struct Device {
    _timer: Timer,
    bh: BottomHalf,
    _watch: FdWatch,
    event: Arc<OwnedFd>,
    context: HeldAioContext,
    /// Set when no callback may run any more.
    gone: Arc<AtomicBool>,
}

impl Device {
    fn plug(io: &IoThread, holder: Holder, callbacks: &Arc<AtomicU64>) -> Option<Self> {
        // The thread may have been deleted meanwhile.
        let context = io.get_aio_context(holder).ok()?;
        let gone = Arc::new(AtomicBool::new(false));
        let seen = || {
            let (gone, callbacks) = (Arc::clone(&gone), Arc::clone(callbacks));
            move || {
                assert!(!gone.load(Ordering::SeqCst), "a device that is gone runs");
                callbacks.fetch_add(1, Ordering::Relaxed);
            }
        };
        let event = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).expect("an eventfd"));
        let on_event = seen();
        let watch = context
            .watch(Arc::clone(&event))
            .on_readable(move |event, _| {
                rustix::io::read(event, &mut [0; 8]).expect("a signal");
                on_event();
            })
            .register()
            .expect("a context that is held");
        let on_bh = seen();
        let bh = context
            .bottom_half(move |_| on_bh())
            .expect("a context that is held");
        let on_timer = seen();
        let timer = context
            .timer(Clock::Monotonic, move |dispatch| {
                on_timer();
                dispatch.arm_after(Duration::from_micros(200));
            })
            .expect("a context that is held");
        timer.arm_after(Duration::from_micros(50));
        Some(Self {
            _timer: timer,
            bh,
            _watch: watch,
            event,
            context,
            gone,
        })
    }

    fn kick(&self) {
        rustix::io::write(&self.event, &1_u64.to_ne_bytes()).expect("room in the counter");
        self.bh.schedule();
        let gone = Arc::clone(&self.gone);
        self.context
            .post(move |_| assert!(!gone.load(Ordering::SeqCst)))
            .expect("a context that is held");
        let (gone, completing) = (Arc::clone(&self.gone), Arc::clone(&self.gone));
        self.context
            .spawn_blocking(
                move || assert!(!gone.load(Ordering::SeqCst)),
                move |_, result| {
                    result.expect("work of a device that is there");
                    assert!(!completing.load(Ordering::SeqCst));
                },
            )
            .expect("a context that is held");
    }

    /// Detaches, and waits for what still runs.
    fn unplug(self) {
        let Self { context, gone, .. } = self;
        context.release();
        gone.store(true, Ordering::SeqCst);
    }
}

/// What one plugger has attached.
#[derive(Default)]
struct Plugged {
    devices: Vec<Device>,
    named: Vec<(IoThread, Holder)>,
}

impl Plugged {
    fn step(
        &mut self,
        plugger: usize,
        registry: &Registry,
        callbacks: &Arc<AtomicU64>,
        random: &mut Random,
    ) {
        let threads = registry.threads();
        if threads.is_empty() {
            return;
        }
        let io = &threads[random.below(threads.len())];
        match random.below(8) {
            0 | 1 if self.devices.len() < N_DEVICES => {
                // Some holders are equal.
                let path = format!("/machine/peripheral/p{plugger}d{}", random.below(10));
                self.devices
                    .extend(Device::plug(io, holder::qom_object(path), callbacks));
            }
            2 if !self.devices.is_empty() => {
                let device = self.devices.swap_remove(random.below(self.devices.len()));
                device.unplug();
            }
            3 if !self.devices.is_empty() => {
                drop(self.devices.swap_remove(random.below(self.devices.len())));
            }
            4 => {
                let node = holder::block_node(format!("n{}", random.below(5)));
                if io.ref_holder(node.clone()).is_ok() {
                    self.named.push((io.clone(), node));
                }
            }
            5 if !self.named.is_empty() => {
                let (io, node) = self.named.swap_remove(random.below(self.named.len()));
                io.unref_holder(&node).expect("a holder that is recorded");
            }
            6 => {
                for info in registry.query_iothreads() {
                    assert!(info.thread_id > 0);
                }
            }
            _ => {
                if !self.devices.is_empty() {
                    self.devices[random.below(self.devices.len())].kick();
                }
            }
        }
    }

    /// The holders that must be listed for the thread of that id.
    fn alive(&self, id: &str) -> impl Iterator<Item = Holder> {
        let devices = self
            .devices
            .iter()
            .filter(move |device| device.context.name() == id)
            .filter_map(|device| device.context.holder().cloned());
        let named = self
            .named
            .iter()
            .filter(move |(io, _)| io.id() == id)
            .map(|(_, node)| node.clone());
        devices.chain(named)
    }
}

/// Creates and deletes IOThreads while `running`.
fn churn(registry: &Registry, running: &AtomicBool, panics: &Arc<AtomicUsize>) -> (usize, usize) {
    let (mut n_deleted, mut n_refused) = (0, 0);
    let mut random = Random(99);
    while running.load(Ordering::SeqCst) {
        let id = format!("extra{}", random.below(3));
        match registry.delete(&id) {
            Ok(()) => n_deleted += 1,
            Err(DeleteError::InUse { .. }) => n_refused += 1,
            Err(DeleteError::NotFound { .. }) => {
                spawn(&id, registry, panics);
            }
        }
        std::thread::yield_now();
    }
    (n_deleted, n_refused)
}

fn spawn(id: &str, registry: &Registry, panics: &Arc<AtomicUsize>) {
    let panics = Arc::clone(panics);
    IoThread::builder(id)
        .registry(registry)
        .on_panic(move |report| {
            eprintln!("{report}");
            panics.fetch_add(1, Ordering::SeqCst);
        })
        .spawn()
        .expect("the host has room for a thread");
}

fn sorted(holders: impl IntoIterator<Item = Holder>) -> Vec<String> {
    let mut names: Vec<_> = holders
        .into_iter()
        .map(|holder| holder.to_string())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn after_a_storm_the_holders_are_those_that_are_alive() {
    let seconds: u64 = std::env::var("IOTHREAD_STRESS_SECONDS")
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let registry = Registry::new();
    let panics = Arc::new(AtomicUsize::new(0));
    for number in 0..N_THREADS {
        spawn(&format!("io{number}"), &registry, &panics);
    }
    let callbacks = Arc::new(AtomicU64::new(0));
    let mut pluggers: Vec<_> = (0..N_PLUGGERS)
        .map(|number| (Plugged::default(), Random(number as u64 + 1)))
        .collect();
    let mut round = 0;
    while round < N_ROUNDS || Instant::now() < end {
        round += 1;
        storm(&registry, &panics, &callbacks, &mut pluggers);
        registry.threads().iter().for_each(settle);
        for info in registry.query_iothreads() {
            let alive = pluggers
                .iter()
                .flat_map(|(plugged, _)| plugged.alive(&info.id));
            assert_eq!(sorted(info.holders), sorted(alive), "round {round}");
        }
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    }
    for (plugged, _) in pluggers {
        for device in plugged.devices {
            device.unplug();
        }
        for (io, node) in plugged.named {
            io.unref_holder(&node).expect("a holder that is recorded");
        }
    }
    assert!(callbacks.load(Ordering::SeqCst) > 0);
    for io in registry.threads() {
        assert!(io.holders().is_empty());
        assert_eq!(io.stats().fds, 0);
        io.delete().expect("nobody holds it");
    }
    assert!(registry.threads().is_empty());
    assert_eq!(panics.load(Ordering::SeqCst), 0);
}

/// Waits until nothing is left of the devices that were dropped.
fn settle(io: &IoThread) {
    while io.stats().work > 0 {
        std::thread::yield_now();
    }
    let observer = io
        .get_aio_context(holder::monitor("observer"))
        .expect("a thread that nobody deletes now");
    // Completions that had been delivered, what they have left, and closures.
    observer.synchronize().expect("another thread");
    observer.synchronize().expect("another thread");
    observer.release();
}

/// One round: all pluggers at once, and somebody who creates and deletes threads beside them.
fn storm(
    registry: &Registry,
    panics: &Arc<AtomicUsize>,
    callbacks: &Arc<AtomicU64>,
    pluggers: &mut [(Plugged, Random)],
) {
    let running = AtomicBool::new(true);
    let start = Barrier::new(pluggers.len());
    std::thread::scope(|scope| {
        let churning = scope.spawn(|| churn(registry, &running, panics));
        let plugging: Vec<_> = pluggers
            .iter_mut()
            .enumerate()
            .map(|(number, (plugged, random))| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..N_STEPS {
                        plugged.step(number, registry, callbacks, random);
                    }
                })
            })
            .collect();
        let ends: Vec<_> = plugging.into_iter().map(|thread| thread.join()).collect();
        running.store(false, Ordering::SeqCst);
        churning.join().expect("no panic");
        for end in ends {
            end.expect("no panic");
        }
    });
}
