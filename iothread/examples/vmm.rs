//! What a VMM does with this crate: notifications by rust-vmm's `EventFd`, holders of its own kinds, a device that is an async
//! function on an IOThread, and a disk that is unplugged while requests run.
//!
//! `cargo run --example vmm --features async`

#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use iothread::{
    Clock, Holder, HolderKind, Interest, IoThread, MainLoop, Registry, WeakContext, duplicate,
};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const NET: HolderKind = HolderKind::new("net");
const DISK: HolderKind = HolderKind::new("disk");
const CONSOLE: HolderKind = HolderKind::new("console");

/// A console as one function: waits for the guest, takes its time over each character, ends with its device.
async fn console(context: WeakContext, kick: EventFd) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let mut n_written = 0;
    let kicked = Arc::new(duplicate(&kick)?);
    loop {
        context.ready(Arc::clone(&kicked), Interest::READ)?.await?;
        let n_characters = kick.read()?;
        for _ in 0..n_characters {
            context
                .sleep(Clock::Monotonic, Duration::from_micros(100))?
                .await?;
            n_written += 1;
        }
        if n_characters >= 100 {
            return Ok(n_written);
        }
    }
}

/// A disk whose guest notifies it by `kick`, and which interrupts by `irq` when a request is over.
struct Disk {
    kick: EventFd,
    irq: EventFd,
    n_completed: Arc<AtomicU64>,
}

impl Disk {
    fn new() -> io::Result<Self> {
        Ok(Self {
            kick: EventFd::new(EFD_NONBLOCK)?,
            irq: EventFd::new(EFD_NONBLOCK)?,
            n_completed: Arc::default(),
        })
    }

    /// What the loop does for each notification: as many requests as were counted.
    fn handler(&self) -> io::Result<impl FnMut(u64, &mut iothread::FdDispatch<'_>) + Send + use<>> {
        let irq = Arc::new(self.irq.try_clone()?);
        let n_completed = Arc::clone(&self.n_completed);
        Ok(move |count, dispatch: &mut iothread::FdDispatch<'_>| {
            for _ in 0..count {
                let (irq, n_completed) = (Arc::clone(&irq), Arc::clone(&n_completed));
                let taken = dispatch.context().spawn_blocking(
                    || std::hint::black_box((0..10_000_u64).sum::<u64>()),
                    move |_, _| {
                        n_completed.fetch_add(1, Ordering::AcqRel);
                        // A guest that does not look has enough interrupts.
                        let _ = irq.write(1);
                    },
                );
                if taken.is_err() {
                    // Unplugged: the guest has its requests back.
                    return;
                }
            }
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut main_loop = MainLoop::new()?;
    let main = main_loop.context();
    let registry = Registry::new();
    let io0 = IoThread::builder("io0")
        .registry(&registry)
        .poll_max(Duration::ZERO)
        .on_panic(|report| eprintln!("{report}"))
        .spawn()?;

    // A network device that only counts what it is told.
    let net = io0.get_aio_context(Holder::new(NET, "tap0"))?;
    let tap = EventFd::new(EFD_NONBLOCK)?;
    let (sent, frames) = channel();
    let tap_watch = net.watch_eventfd(duplicate(&tap)?, move |count, _| {
        // The program may have ended.
        let _ = sent.send(count);
    })?;
    tap.write(3)?;
    println!("net: {} frames", frames.recv()?);

    // A console that is an async function. Its context is a view that does not keep the holder.
    let terminal = io0.get_aio_context(Holder::new(CONSOLE, "hvc0"))?;
    let keyboard = EventFd::new(EFD_NONBLOCK)?;
    let running = terminal.spawn_future(console(terminal.downgrade(), keyboard.try_clone()?))?;
    let quitting = main.clone();
    let told = main.spawn_future(async move {
        match running.await {
            Ok(Ok(n_written)) => println!("console: {n_written} characters"),
            Ok(Err(error)) => println!("console: {error}"),
            Err(error) => println!("console: {error}"),
        }
        quitting.quit();
    })?;
    keyboard.write(5)?;
    keyboard.write(100)?;
    main_loop.run()?;
    drop(told);
    terminal.release();

    // A disk, unplugged while its requests run.
    let device = io0.get_aio_context(Holder::new(DISK, "vda"))?.share();
    let disk = Disk::new()?;
    let queue = device.watch_eventfd(duplicate(&disk.kick)?, disk.handler()?)?;
    disk.kick.write(500)?;
    while disk.irq.read().is_err() {
        std::thread::yield_now();
    }
    for holder in io0.holders() {
        println!("held by {holder}");
    }
    let (quitting, listed) = (main.clone(), io0.clone());
    device.release_then(&main, move |_| {
        assert!(listed.holder_counts().of(DISK) == 0);
        quitting.quit();
    })?;
    drop(queue);
    main_loop.run()?;
    println!(
        "disk: unplugged after {} requests, none of them cut short",
        disk.n_completed.load(Ordering::Acquire)
    );
    drop(tap_watch);
    net.release();
    io0.delete()?;
    Ok(())
}
