//! How other threads reach a loop: a queue, and a wake-up that costs one write at most.

use std::io;

use super::event::Event;
use crate::sync::{AtomicU8, Mutex, Ordering};

/// The loop is awake and will look at its inbox before it sleeps.
const AWAKE: u8 = 0;
/// The loop sleeps, or is about to; it needs a signal.
const ASLEEP: u8 = 1;
/// The loop is to look around, and need not be told so again.
const NOTIFIED: u8 = 2;

/// Wakes a loop.
///
/// A thread that changes something that the loop must look at calls [`notify`](Self::notify) after that; the loop looks
/// after [`clear`](Self::clear).
#[derive(Debug)]
pub(crate) struct Notifier {
    state: AtomicU8,
    event: Event,
}

impl Notifier {
    fn new() -> io::Result<Self> {
        Ok(Self {
            state: AtomicU8::new(AWAKE),
            event: Event::new()?,
        })
    }

    /// Makes the loop look around. Returns whether that took a signal.
    pub(crate) fn notify(&self) -> bool {
        // Among all notifiers only one sees the loop asleep. It must be an exchange, not a look first: the loop
        // synchronises with it when it clears the state, and so sees what the caller has changed before.
        let signal = self.state.swap(NOTIFIED, Ordering::AcqRel) == ASLEEP;
        if signal {
            self.event.signal();
        }
        signal
    }

    /// Whether there is reason to look around.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// Announces that the loop is going to sleep on the event. False if it must not.
    pub(crate) fn prepare_sleep(&self) -> bool {
        self.state
            .compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Says that the loop is awake and looks around now. Returns whether it had been asked to.
    pub(crate) fn clear(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }
}

/// Work for a loop from any thread. What has been accepted is never lost.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    notifier: Notifier,
}

#[derive(Debug)]
struct Queue<T> {
    items: Vec<T>,
    /// Deliveries that have been announced and are still to come.
    expected: usize,
    life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    /// Takes nothing new.
    Closing,
    /// The loop will not look any more.
    Closed,
}

/// The loop has ended and takes no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

impl<T> Inbox<T> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Queue {
                items: Vec::new(),
                expected: 0,
                life: Life::Open,
            }),
            notifier: Notifier::new()?,
        })
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Queues an item and wakes the loop. `Ok` says whether that took a signal.
    pub(crate) fn push(&self, item: T) -> Result<bool, Closed> {
        self.push_if(item, |life| life == Life::Open)
    }

    /// As [`push`](Self::push), also while nothing new is taken: refused only if the loop will not look any more.
    pub(crate) fn push_last(&self, item: T) -> Result<bool, Closed> {
        self.push_if(item, |life| life != Life::Closed)
    }

    fn push_if(&self, item: T, is_open: impl FnOnce(Life) -> bool) -> Result<bool, Closed> {
        let mut queue = self.queue.lock();
        if !is_open(queue.life) {
            drop(queue);
            drop(item);
            return Err(Closed);
        }
        queue.items.push(item);
        drop(queue);
        Ok(self.notifier.notify())
    }

    /// Announces one [`deliver`](Self::deliver); until it comes the inbox stays open.
    pub(crate) fn expect_delivery(&self) -> Result<(), Closed> {
        let mut queue = self.queue.lock();
        if queue.life != Life::Open {
            return Err(Closed);
        }
        queue.expected += 1;
        Ok(())
    }

    /// Queues an announced item and wakes the loop. Returns whether that took a signal.
    pub(crate) fn deliver(&self, item: T) -> bool {
        let mut queue = self.queue.lock();
        queue.expected -= 1;
        queue.items.push(item);
        drop(queue);
        self.notifier.notify()
    }

    /// Moves all items to the end of `items`, oldest first.
    pub(crate) fn take_into(&self, items: &mut Vec<T>) {
        let mut queue = self.queue.lock();
        if items.is_empty() {
            // The two buffers take turns, so that a busy loop does not allocate.
            std::mem::swap(&mut queue.items, items);
        } else {
            items.append(&mut queue.items);
        }
    }

    /// Refuses further items; what is queued or announced is still to be taken.
    pub(crate) fn close_to_new(&self) {
        let mut queue = self.queue.lock();
        if queue.life == Life::Open {
            queue.life = Life::Closing;
        }
    }

    /// Refuses further items, provided that none is queued or announced.
    pub(crate) fn close_if_drained(&self) -> bool {
        let mut queue = self.queue.lock();
        if queue.items.is_empty() && queue.expected == 0 {
            queue.life = Life::Closed;
        }
        queue.life == Life::Closed
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const N_ITEMS: usize = if cfg!(miri) { 20 } else { 10_000 };

    /// Waits as a loop that polls for ever does.
    fn wait<T>(inbox: &Inbox<T>) {
        while !inbox.notifier().is_notified() {
            std::thread::yield_now();
        }
        inbox.notifier().clear();
    }

    #[test]
    fn every_item_arrives_once_and_in_the_order_of_its_thread() {
        let inbox = Inbox::new().unwrap();
        let mut items = Vec::new();
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let inbox = &inbox;
                scope.spawn(move || {
                    for number in 0..N_ITEMS {
                        inbox.push((thread, number)).unwrap();
                    }
                });
            }
            while items.len() < 2 * N_ITEMS {
                wait(&inbox);
                inbox.take_into(&mut items);
            }
        });
        for thread in 0..2 {
            let own = items.iter().filter(|item| item.0 == thread);
            assert!(own.map(|item| item.1).eq(0..N_ITEMS));
        }
    }

    #[test]
    fn only_a_sleeping_loop_needs_a_signal_and_only_one() {
        let inbox = Inbox::new().unwrap();
        assert_eq!(inbox.push(1), Ok(false));
        assert!(!inbox.notifier().prepare_sleep());
        inbox.notifier().clear();
        assert!(inbox.notifier().prepare_sleep());
        assert_eq!(inbox.push(2), Ok(true));
        assert_eq!(inbox.push(3), Ok(false));
        assert!(inbox.notifier().clear());
        assert!(!inbox.notifier().clear());
    }

    #[test]
    fn an_inbox_closes_when_nothing_is_queued_or_announced() {
        let inbox = Inbox::new().unwrap();
        inbox.push(1).unwrap();
        inbox.expect_delivery().unwrap();
        assert!(!inbox.close_if_drained());
        let mut items = Vec::new();
        inbox.take_into(&mut items);
        assert!(!inbox.close_if_drained());
        inbox.deliver(2);
        inbox.take_into(&mut items);
        assert_eq!(items, [1, 2]);
        assert!(inbox.close_if_drained());
        assert_eq!(inbox.push(3), Err(Closed));
        assert_eq!(inbox.push_last(3), Err(Closed));
        assert_eq!(inbox.expect_delivery(), Err(Closed));
    }

    #[test]
    fn an_inbox_that_takes_nothing_new_gets_what_was_announced() {
        let inbox = Inbox::new().unwrap();
        inbox.expect_delivery().unwrap();
        inbox.close_to_new();
        assert_eq!(inbox.push(1), Err(Closed));
        assert_eq!(inbox.expect_delivery(), Err(Closed));
        assert!(!inbox.close_if_drained());
        inbox.deliver(2);
        inbox.push_last(3).unwrap();
        let mut items = Vec::new();
        inbox.take_into(&mut items);
        assert_eq!(items, [2, 3]);
        assert!(inbox.close_if_drained());
    }
}
