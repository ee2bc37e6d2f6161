//! A thread for each client.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fd::{AsFd as _, OwnedFd};

use super::Policy;
use super::listen::Listener;
use super::relay::{Ends, run};
use super::side::Side;
use crate::system::Bell;
use crate::thread::not_started;

/// Clients at a time; further ones wait until one has gone.
pub(crate) const MAX_CLIENTS: usize = 64;

/// After an attempt to accept somebody that the system has refused, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What is made for a client: who answers it, and what is done with what both say.
pub(crate) struct Engaged {
    pub(crate) server: Option<OwnedFd>,
    pub(crate) policy: Box<dyn Policy>,
}

/// Serves the clients of a listener until it is told to stop, or has had enough of them.
pub(crate) struct Serving {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// How many clients are there.
#[derive(Default)]
struct Count {
    n_clients: Mutex<usize>,
    changed: Condvar,
}

impl Count {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.n_clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_below(&self, most: usize) {
        let waited = self
            .changed
            .wait_while(self.lock(), |n_clients| *n_clients >= most);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn leave(&self) {
        *self.lock() -= 1;
        self.changed.notify_all();
    }
}

impl Serving {
    /// Serves at most `most` clients in all. For each, `engage` is asked; where it has nobody, the client is sent away. What
    /// cannot be done is told to `complain`.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub(crate) fn start(
        listener: Listener,
        most: Option<usize>,
        mut engage: impl FnMut(usize) -> io::Result<Engaged> + Send + 'static,
        complain: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let bell = Arc::new(Bell::new()?);
        let stop = Arc::clone(&bell);
        let complain = Arc::new(complain);
        let accept = move || {
            let count = Arc::new(Count::default());
            let mut threads: Vec<JoinHandle<()>> = Vec::new();
            let mut n = 0;
            while most.is_none_or(|most| n < most) {
                threads.retain(|thread| !thread.is_finished());
                let client = match listener.accept(stop.as_fd()) {
                    Ok(Some(client)) => client,
                    Ok(None) => break,
                    Err(error) => {
                        complain(&format!("clients cannot be accepted: {error}"));
                        thread::sleep(PAUSE);
                        continue;
                    }
                };
                count.wait_below(MAX_CLIENTS);
                let engaged = engage(n);
                n += 1;
                let (stop, tell) = (Arc::clone(&stop), Arc::clone(&complain));
                let left = Arc::clone(&count);
                let spawned =
                    thread::Builder::new()
                        .name("qmp-relay".to_owned())
                        .spawn(move || {
                            if let Err(error) = serve(client, engaged, &stop) {
                                tell(&error.to_string());
                            }
                            left.leave();
                        });
                match spawned {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        let error = not_started(error);
                        complain(&format!("a client cannot be served: {error}"));
                        count.leave();
                    }
                }
            }
            for thread in threads {
                // A panic of it has been reported by itself.
                let _ = thread.join();
            }
        };
        let thread = thread::Builder::new()
            .name("qmp-accept".to_owned())
            .spawn(accept)
            .map_err(not_started)?;
        Ok(Self {
            bell,
            thread: Some(thread),
        })
    }

    /// Waits until it has had enough clients and they are gone.
    pub(crate) fn wait(mut self) {
        self.join();
    }

    /// Ends all connections.
    pub(crate) fn stop(mut self) {
        self.bell.ring();
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // As above.
            let _ = thread.join();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.bell.ring();
        self.join();
    }
}

fn serve(client: OwnedFd, engaged: io::Result<Engaged>, stop: &Bell) -> io::Result<()> {
    let Engaged { server, mut policy } = engaged?;
    let mut ends = Ends {
        client: Side::new(client)?,
        server: server.map(Side::new).transpose()?,
    };
    run(&mut ends, &mut *policy, stop.as_fd())
}
