//! A device that is unplugged while requests come in on one thread and workers carry them out: the main loop goes on meanwhile, and is
//! told when nothing of the device is left.
//!
//! `cargo run --example hot_unplug`

#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use iothread::{ContextError, IoThread, MainLoop, Registry, SharedContext, holder};

#[derive(Default)]
struct Counters {
    taken: AtomicU64,
    completed: AtomicU64,
}

/// Starts requests as fast as it can, until the device is gone.
fn load(device: &SharedContext, counters: &Arc<Counters>) -> u64 {
    let mut n_refused = 0;
    while n_refused < 3 {
        let completing = Arc::clone(counters);
        let taken = device.spawn_blocking(
            || std::hint::black_box((0..1_000_u64).sum::<u64>()),
            move |_, _| {
                completing.completed.fetch_add(1, Ordering::AcqRel);
            },
        );
        match taken {
            Ok(()) => {
                let taken = counters.taken.fetch_add(1, Ordering::AcqRel) + 1;
                // Any number is taken, so it is up to the caller to bound it.
                while taken > counters.completed.load(Ordering::Acquire) + 64 {
                    std::thread::yield_now();
                }
            }
            Err(ContextError::Released { .. }) => n_refused += 1,
            Err(error) => unreachable!("{error}"),
        }
    }
    n_refused
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut main_loop = MainLoop::new()?;
    let main = main_loop.context();
    let registry = Registry::new();
    let io0 = IoThread::builder("io0").registry(&registry).spawn()?;
    let disk = holder::qom_object("/machine/peripheral/disk0");
    for round in 0..20 {
        let device = io0.get_aio_context(disk.clone())?.share();
        let counters = Arc::new(Counters::default());
        let guests: Vec<_> = (0..2)
            .map(|_| {
                let (device, counters) = (device.clone(), Arc::clone(&counters));
                std::thread::spawn(move || load(&device, &counters))
            })
            .collect();
        while counters.completed.load(Ordering::Acquire) < 100 {
            std::thread::yield_now();
        }

        // device_del: answered at once. The guests' clones of the context do not keep it.
        let (quitting, listed) = (main.clone(), io0.clone());
        device.release_then(&main, move |_| {
            assert!(listed.holders().is_empty());
            quitting.quit(); // A server sends DEVICE_DELETED here.
        })?;
        main_loop.run()?;

        for guest in guests {
            guest.join().map_err(|_| "a guest panicked")?;
        }
        let taken = counters.taken.load(Ordering::Acquire);
        assert_eq!(
            counters.completed.load(Ordering::Acquire),
            taken,
            "round {round}"
        );
        println!("round {round}: unplugged with {taken} requests taken, all of them completed");
    }
    io0.delete()?;
    Ok(())
}
