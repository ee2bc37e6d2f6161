//! A queue as virtio has them: the guest puts requests into memory and notifies, unless it is told that the device looks by itself.
//! Requests are found by polling or by the notification, carried out by workers, and completed on the queue's thread.
//!
//! `cargo run --example virtio_queue`

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::error::Error;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iothread::{
    FdDispatch, Interest, IoThread, Polling, Registry, SharedContext, SharedFdHandler, holder,
};
use rustix::event::{EventfdFlags, eventfd};

/// What guest and device share; a real one is in the guest's memory.
#[derive(Default)]
struct Ring {
    requests: Mutex<VecDeque<u64>>,
    /// The device looks by itself, and wants no notification.
    is_watched: AtomicBool,
}

impl Ring {
    fn take(&self) -> Option<u64> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.pop_front()
    }

    fn is_empty(&self) -> bool {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.is_empty()
    }
}

/// The device's side.
struct Queue {
    ring: Arc<Ring>,
    context: SharedContext,
    completed: Mutex<Sender<u64>>,
    n_found: AtomicU64,
}

impl Queue {
    /// Takes what is there. The work blocks, so it is a worker's; the completion runs here again.
    fn serve(self: &Arc<Self>) {
        while let Some(request) = self.ring.take() {
            self.n_found.fetch_add(1, Ordering::Relaxed);
            let queue = Arc::clone(self);
            let taken = self.context.spawn_blocking(
                move || request * 2,
                move |_, result| {
                    let completed = queue
                        .completed
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    // Nobody waits at the end of the program.
                    let _ = completed.send(result.unwrap_or(0));
                },
            );
            if taken.is_err() {
                // The device is being unplugged: the guest has its request back.
                return;
            }
        }
    }
}

impl SharedFdHandler for Queue {
    fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        // Somebody else may have taken the count; the requests are what matters.
        let _ = rustix::io::read(dispatch.fd(), &mut [0; 8]);
        self.serve();
    }

    fn polling(&self) -> Polling {
        Polling::Memory
    }

    fn poll(self: &Arc<Self>, _: &mut FdDispatch<'_>) -> bool {
        !self.ring.is_empty()
    }

    fn poll_ready(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.serve();
    }

    fn poll_begin(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.ring.is_watched.store(true, Ordering::SeqCst);
    }

    fn poll_end(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        // The loop polls once more after this, so that nothing put in meanwhile is missed.
        self.ring.is_watched.store(false, Ordering::SeqCst);
    }
}

/// The guest's side.
struct Guest {
    ring: Arc<Ring>,
    notifier: Arc<OwnedFd>,
    n_notified: u64,
}

impl Guest {
    fn request(&mut self, request: u64) -> rustix::io::Result<()> {
        let mut requests = self
            .ring
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        requests.push_back(request);
        drop(requests);
        if !self.ring.is_watched.load(Ordering::SeqCst) {
            rustix::io::write(&self.notifier, &1_u64.to_ne_bytes())?;
            self.n_notified += 1;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let io0 = IoThread::builder("io0")
        .registry(&Registry::new())
        .poll_max(Duration::from_micros(200))
        .thread_pool_max(4)
        .spawn()?;
    let context = io0
        .get_aio_context(holder::qom_object("/machine/disk0/virtio-backend"))?
        .share();
    let (completed, completions) = channel();
    let ring = Arc::new(Ring::default());
    let queue = Arc::new(Queue {
        ring: Arc::clone(&ring),
        context: context.clone(),
        completed: Mutex::new(completed),
        n_found: AtomicU64::new(0),
    });
    let notifier = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
    let watch = context.add_fd(Arc::clone(&notifier), Interest::READ, Arc::clone(&queue))?;
    let mut guest = Guest {
        ring,
        notifier,
        n_notified: 0,
    };

    const N_REQUESTS: u64 = 2_000;
    for request in 1..=N_REQUESTS {
        guest.request(request)?;
        if request % 8 == 0 {
            for _ in 0..8 {
                completions.recv()?;
            }
        }
    }
    let stats = context.stats();
    println!(
        "{} requests with {} notifications; {} polls, {} of them found something; {} sleeps",
        queue.n_found.load(Ordering::Relaxed),
        guest.n_notified,
        stats.polls,
        stats.successful_polls,
        stats.sleeps,
    );
    drop(watch);
    context.release();
    io0.delete()?;
    Ok(())
}
