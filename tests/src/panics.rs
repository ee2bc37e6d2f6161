//! Panics that are caught before a test notices: those of callbacks, handlers and workers.
//!
//! A test that has a [`Watch`] fails if there is one that nobody announced. [`expect`] announces.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

/// What the tests of this process have to do with panics.
struct State {
    /// Threads that have a [`Watch`]. What happens there is theirs.
    watching: Vec<ThreadId>,
    expected: Vec<Announcement>,
    /// Panics that nobody announced, and their threads.
    seen: Vec<(ThreadId, String)>,
    n_announcements: u64,
}

struct Announcement {
    number: u64,
    text: &'static str,
    has_happened: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    watching: Vec::new(),
    expected: Vec::new(),
    seen: Vec::new(),
    n_announcements: 0,
});

fn state() -> MutexGuard<'static, State> {
    // It is whole at any time.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on panics are looked at before they are printed.
fn look() {
    static LOOKING: Once = Once::new();
    LOOKING.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !is_expected(info) {
                print(info);
            }
        }));
    });
}

/// Whether a panic was announced; takes note of it.
fn is_expected(info: &PanicHookInfo<'_>) -> bool {
    let payload = info.payload();
    let text = match payload.downcast_ref::<String>() {
        Some(text) => Some(text.as_str()),
        None => payload.downcast_ref::<&str>().copied(),
    };
    let text = text.unwrap_or("a value that is not text");
    let mut state = state();
    let mut is_expected = false;
    for announcement in &mut state.expected {
        if text.contains(announcement.text) {
            announcement.has_happened = true;
            is_expected = true;
        }
    }
    if is_expected {
        return true;
    }
    state.seen.push((thread::current().id(), info.to_string()));
    false
}

/// Fails when it is dropped if something panicked meanwhile that was not announced: on this thread, where it was caught,
/// or on one that has no watch of its own. Where tests run side by side, it may have been another's.
#[derive(Debug)]
#[must_use]
pub struct Watch {
    thread: ThreadId,
}

/// Watches until the result is dropped, at the end of a test.
pub fn watch() -> Watch {
    look();
    let thread = thread::current().id();
    state().watching.push(thread);
    Watch { thread }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut texts = Vec::new();
        let mut state = state();
        if let Some(index) = state.watching.iter().position(|it| *it == self.thread) {
            state.watching.swap_remove(index);
        }
        let State { watching, seen, .. } = &mut *state;
        seen.retain(|(thread, text)| {
            let is_others = *thread != self.thread && watching.contains(thread);
            if !is_others {
                texts.push(text.clone());
            }
            is_others
        });
        drop(state);
        assert!(
            texts.is_empty() || thread::panicking(),
            "something panicked, and the test did not announce it: {}",
            texts.join("; ")
        );
    }
}

/// Panics whose message contains a text are wanted, and print nothing, until it is dropped. It fails then if there was
/// none.
#[derive(Debug)]
#[must_use]
pub struct Expectation {
    number: u64,
}

/// Announces panics whose message contains `text`.
pub fn expect(text: &'static str) -> Expectation {
    look();
    let mut state = state();
    state.n_announcements += 1;
    let number = state.n_announcements;
    state.expected.push(Announcement {
        number,
        text,
        has_happened: false,
    });
    Expectation { number }
}

impl Drop for Expectation {
    fn drop(&mut self) {
        let mut state = state();
        let place = state
            .expected
            .iter()
            .position(|it| it.number == self.number);
        let announcement = place.map(|index| state.expected.swap_remove(index));
        drop(state);
        if let Some(Announcement {
            text, has_happened, ..
        }) = announcement
        {
            assert!(
                has_happened || thread::panicking(),
                "nothing panicked with '{text}'"
            );
        }
    }
}

/// Whether a line that a process has printed tells of a panic.
#[must_use]
pub fn is_told_by(line: &str) -> bool {
    line.contains("' panicked at ")
        || line.contains(") panicked at ")
        || line.contains("has overflowed its stack")
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::{expect, is_told_by, watch};

    /// The text of the panic in `body`.
    fn failure(body: fn()) -> String {
        // The kit's own panic is one, too.
        let _told = expect(", and the test did not announce it");
        let text = catch_unwind(body).unwrap_err();
        *text.downcast::<String>().unwrap()
    }

    /// One test, since those that run side by side see each other's panics.
    #[test]
    fn what_is_not_announced_fails_the_test() {
        // A reader of the output knows about the panics here.
        std::panic::set_hook(Box::new(|_| ()));
        let text = failure(|| {
            let _watch = watch();
            // It is what the other thread ends with.
            let _ = std::thread::spawn(|| panic!("unseen elsewhere")).join();
        });
        assert!(text.contains("unseen elsewhere"), "{text}");
        let text = failure(|| {
            let _watch = watch();
            drop(catch_unwind(|| panic!("unseen here")));
        });
        assert!(text.contains("unseen here"), "{text}");

        let watch = watch();
        let expected = expect("wanted");
        drop(catch_unwind(|| panic!("this is wanted")));
        drop(expected);
        let unfulfilled = expect("never");
        let _told = expect("nothing panicked with 'never'");
        assert!(catch_unwind(|| drop(unfulfilled)).is_err());
        drop(watch);
    }

    #[test]
    fn panics_of_processes_are_known_by_a_line() {
        assert!(is_told_by("thread 'main' panicked at src/main.rs:1:2:"));
        assert!(is_told_by(
            "thread '<unnamed>' (123) panicked at src/main.rs:1:2:"
        ));
        assert!(!is_told_by("iothreadd: a client panicked"));
    }
}
