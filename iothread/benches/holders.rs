//! Recording, releasing and querying holders.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use iothread::{HeldAioContext, IoThread, Registry, holder};

use crate::measure::{at_least, at_most, best_of, cpu_time, note, time};

const MILLION: usize = 1_000_000;
/// Pairs of a run; it fits into a time slice.
const N_PAIRS: u32 = 20_000;
/// Some of so many runs are undisturbed.
const N_RUNS: usize = 100;
const PATH: &str = "/machine/peripheral/disk0/virtio-backend";

fn spawn(id: &str) -> IoThread {
    IoThread::builder(id)
        .registry(&Registry::new())
        .spawn()
        .expect("a thread")
}

fn hold(io: &IoThread, number: usize) -> HeldAioContext {
    io.get_aio_context(holder::qom_object(format!(
        "/machine/peripheral/d{number}/virtio-backend"
    )))
    .expect("an IOThread that exists")
}

fn pairs(io: &IoThread) {
    for _ in 0..N_PAIRS {
        drop(black_box(
            io.get_aio_context(holder::qom_object(PATH))
                .expect("an IOThread that exists"),
        ));
    }
}

/// Time of one of the pairs that `run` makes.
fn nanoseconds_a_pair(mut run: impl FnMut()) -> f64 {
    let best = best_of(N_RUNS, || cpu_time(&mut run));
    best.as_nanos() as f64 / f64::from(N_PAIRS)
}

pub(crate) fn record_release(name: &str) -> bool {
    let io = spawn("io0");
    let alone = nanoseconds_a_pair(|| pairs(&io));
    let others: Vec<_> = (0..MILLION).map(|number| hold(&io, number)).collect();
    let beside = nanoseconds_a_pair(|| pairs(&io));
    let disk = holder::qom_object(PATH);
    let named = nanoseconds_a_pair(|| {
        for _ in 0..N_PAIRS {
            io.ref_holder(disk.clone())
                .expect("an IOThread that exists");
            io.unref_holder(&disk).expect("a holder just recorded");
        }
    });
    note(
        name,
        &format!("alone {alone:.0} ns, beside a million {beside:.0} ns"),
    );
    drop(others);
    let guard_ok = at_most(
        name,
        "get_aio_context + drop beside a million holders",
        beside,
        150.0,
        " ns",
    );
    let named_ok = at_most(
        name,
        "ref_holder + unref_holder beside a million holders",
        named,
        150.0,
        " ns",
    );
    guard_ok && named_ok
}

/// How much faster two threads are together than one, on the given IOThreads.
fn speed_up(first: &IoThread, second: &IoThread) -> f64 {
    let (mut one, mut two) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 * N_RUNS {
        one = one.min(time(|| pairs(first)));
        two = two.min(time_of_two(first, second));
    }
    2.0 * one.as_secs_f64() / two.as_secs_f64()
}

/// Time from the first start to the last end of two threads that work at once.
fn time_of_two(first: &IoThread, second: &IoThread) -> Duration {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let threads = [first, second].map(|io| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let start = Instant::now();
                pairs(io);
                (start, Instant::now())
            })
        });
        let [a, b] = threads.map(|thread| thread.join().expect("no panic"));
        a.1.max(b.1) - a.0.min(b.0)
    })
}

pub(crate) fn two_threads_different(name: &str) -> bool {
    let ratio = speed_up(&spawn("io0"), &spawn("io1"));
    at_least(
        name,
        "rate of two threads / one, two IOThreads",
        ratio,
        1.3,
        " x",
    )
}

pub(crate) fn two_threads_same(name: &str) -> bool {
    let io = spawn("io0");
    let ratio = speed_up(&io, &io);
    at_least(
        name,
        "rate of two threads / one, one IOThread",
        ratio,
        0.5,
        " x",
    )
}

pub(crate) fn query_linear(name: &str) -> bool {
    let io = spawn("io0");
    let mut holders = Vec::new();
    let mut per_holder = Vec::new();
    for n_holders in [MILLION / 10, MILLION / 2, MILLION, 2 * MILLION] {
        holders.extend((holders.len()..n_holders).map(|number| hold(&io, number)));
        let query = best_of(7, || cpu_time(|| drop(black_box(io.info()))));
        let ns = query.as_nanos() as f64 / n_holders as f64;
        note(
            name,
            &format!("{n_holders} holders: {query:.1?}, {ns:.0} ns a holder"),
        );
        per_holder.push(ns);
    }
    // Between 100,000 and half a million the copies outgrow the caches, a step that says more about the machine than
    // about the query. Beyond it each holder costs the same; a quadratic query would take twice as long for each.
    let [.., of_million, of_two_million] = per_holder[..] else {
        unreachable!("four sizes were measured");
    };
    at_most(
        name,
        "time a holder, of two million / of a million",
        of_two_million / of_million,
        1.25,
        " x",
    )
}
