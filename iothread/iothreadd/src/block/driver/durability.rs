//! Whether what was written to a file has reached stable storage, and what became of it if not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use crate::sync::Mutex;

/// The synchronisations of one open file.
///
/// Linux tells of a failed write-back once per open file. The next caller is told that all is well, although the data
/// are gone and will not be written again. So a failure is remembered here, for every user of the file, until the file is
/// opened anew.
///
/// Differs from QEMU: there a file that bypasses the page cache is asked again.
///
/// One synchronisation runs at a time. If two ran at once, the kernel would tell one of them of the failure, and the other
/// could end well before the failure is remembered.
#[derive(Default)]
pub(super) struct Durability {
    /// Held while a synchronisation runs.
    running: Mutex<()>,
    /// How many have begun. It changes only while `running` is held.
    n_begun: AtomicU64,
    has_failed: AtomicBool,
}

impl Durability {
    /// Brings what has been written before the call to stable storage; `sync` does it.
    ///
    /// # Errors
    ///
    /// What `sync` says when it fails first, and `EIO` ever after.
    pub(super) fn ensure(&self, sync: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let n_begun_before = self.n_begun.load(Ordering::SeqCst);
        let _running = self.running.lock();
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(Errno::IO);
        }
        if self.n_begun.load(Ordering::SeqCst) != n_begun_before {
            // One that began after this call, and so has what this call is about, has ended well meanwhile.
            return Ok(());
        }
        self.n_begun.fetch_add(1, Ordering::SeqCst);
        let result = sync();
        if result.is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_failure_is_remembered() {
        let durability = Durability::default();
        assert_eq!(durability.ensure(|| Ok(())), Ok(()));
        assert_eq!(durability.ensure(|| Err(Errno::NOSPC)), Err(Errno::NOSPC));
        for _ in 0..3 {
            let synced = durability.ensure(|| panic!("nothing is left to be written"));
            assert_eq!(synced, Err(Errno::IO));
        }
    }

    /// The kernel tells only one of two who ask at the same time.
    #[test]
    fn a_failure_is_for_all_who_ask_at_the_same_time() {
        let durability = Durability::default();
        let (started, has_started) = mpsc::channel();
        let (answer, answers) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let durability = &durability;
            let failing = scope.spawn(move || {
                durability.ensure(|| {
                    started.send(()).unwrap();
                    answers.recv().unwrap();
                    Err(Errno::IO)
                })
            });
            has_started.recv().unwrap();
            let others = [(); 4].map(|()| scope.spawn(move || durability.ensure(|| Ok(()))));
            answer.send(()).unwrap();
            assert_eq!(failing.join().unwrap(), Err(Errno::IO));
            for other in others {
                assert_eq!(other.join().unwrap(), Err(Errno::IO));
            }
        });
    }

    /// Those who wait while one runs share the next one, which begins after all that they have written.
    #[test]
    fn those_who_wait_share_one() {
        let durability = Durability::default();
        let n_runs = AtomicU64::new(0);
        let (started, has_started) = mpsc::channel();
        let (answer, answers) = mpsc::channel::<()>();
        let (asked, has_asked) = mpsc::channel();
        thread::scope(|scope| {
            let (durability, n_runs) = (&durability, &n_runs);
            let first = scope.spawn(move || {
                durability.ensure(|| {
                    started.send(()).unwrap();
                    answers.recv().unwrap();
                    Ok(())
                })
            });
            has_started.recv().unwrap();
            let others = [(); 4].map(|()| {
                let asked = asked.clone();
                scope.spawn(move || {
                    asked.send(()).unwrap();
                    durability.ensure(|| {
                        n_runs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                })
            });
            for _ in 0..4 {
                has_asked.recv().unwrap();
            }
            answer.send(()).unwrap();
            assert_eq!(first.join().unwrap(), Ok(()));
            for other in others {
                assert_eq!(other.join().unwrap(), Ok(()));
            }
        });
        // Never none of them: what they wrote came after the first had begun.
        assert!((1..=4).contains(&n_runs.load(Ordering::SeqCst)));
    }
}
