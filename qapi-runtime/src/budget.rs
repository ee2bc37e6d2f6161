//! Memory that many share: the sessions of a server, the connections of an export.
//!
//! Each of them is a [`Member`], which says how much it holds. One half of a [`Budget`] is divided among the members in equal
//! parts, and a member can always have its part; the other half is for those that need more, first come, first served. So
//! nobody is locked out by others, however much they hold, and all together hold no more than the total.
//!
//! A member that does not get what it needs takes nothing in from its peer meanwhile, and is woken up when there is room.
//!
//! ```
//! use qapi_runtime::budget::Budget;
//!
//! let budget = Budget::new(64 << 20);
//! let (greedy, modest) = (budget.join(), budget.join());
//! assert!(greedy.try_acquire(48 << 20)); // Its part of 16 MiB, and all that is for those who need more.
//! assert!(!greedy.try_acquire(1 << 20));
//! assert!(modest.try_acquire(16 << 20)); // Its part.
//! assert_eq!(budget.used(), budget.total());
//! greedy.release(1 << 20);
//! assert!(modest.try_acquire(1 << 20));
//! ```
//!
//! There is no deadlock as long as a member that waits above its part can do without: what is held for a request goes when the
//! request is answered; a session whose value in the making does not fit refuses it
//! ([`Session::refuse_value`](crate::session::Session::refuse_value)).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::lock::lock;

/// The least part of a member, however many there are and however small the total is: without it no member could even ask for
/// something.
pub const LEAST_PART: usize = 64 << 10;

/// A number of bytes that is shared. Clones are handles on the same.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    /// A copy of what [`State::part`] says, to be read without the lock.
    part: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    total: usize,
    used: usize,
    next: u64,
    members: BTreeMap<u64, Account>,
    /// Those who wait for more than their part, in the order in which they came.
    queue: VecDeque<u64>,
}

#[derive(Default)]
struct Account {
    used: usize,
    /// By how much it wants to grow, if it waits.
    wants: usize,
    is_waiting: bool,
    /// Is told once; then it is up to its owner.
    waker: Option<Waker>,
}

impl State {
    /// What each member can have in any case.
    fn part(&self) -> usize {
        (self.total / 2 / self.members.len().max(1)).max(LEAST_PART)
    }

    fn account(&mut self, number: u64) -> &mut Account {
        self.members.entry(number).or_default()
    }

    fn used_by(&self, number: u64) -> usize {
        self.members.get(&number).map_or(0, |account| account.used)
    }

    /// Whether a member may hold so much more.
    fn fits(&self, number: u64, more: usize) -> bool {
        let part = self.part();
        let used = self.used_by(number);
        let wanted = used.saturating_add(more);
        if wanted <= part {
            return true;
        }
        let others = self.members.iter().filter(|(other, _)| **other != number);
        let others: usize = others
            .map(|(_, account)| account.used.saturating_sub(part))
            .sum();
        let common = self.total - self.total / 2;
        // What would never fit goes alone.
        others.saturating_add(wanted - part) <= common || (used == 0 && others == 0)
    }

    /// The same for one that does not jump the queue.
    fn may_grow(&self, number: u64, more: usize) -> bool {
        let is_next = self.queue.front().is_none_or(|first| *first == number);
        (is_next || self.used_by(number).saturating_add(more) <= self.part())
            && self.fits(number, more)
    }

    fn leave_queue(&mut self, number: u64) {
        if let Some(account) = self.members.get_mut(&number) {
            account.is_waiting = false;
            account.waker = None;
        }
        self.queue.retain(|waiting| *waiting != number);
    }

    /// The waker of the member that can go on now. The next one is asked for when that one has gone on.
    fn next_to_wake(&mut self) -> Option<Waker> {
        let first = *self.queue.front()?;
        let wants = self.members.get(&first)?.wants;
        if self.fits(first, wants) {
            self.account(first).waker.take()
        } else {
            None
        }
    }

    fn set_used(&mut self, number: u64, used: usize) {
        let account = self.account(number);
        let before = std::mem::replace(&mut account.used, used);
        self.used = self.used - before + used;
    }
}

impl Shared {
    /// Changes the state, then wakes the member that can go on.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, waker) = {
            let mut state = lock(&self.state);
            let result = change(&mut state);
            self.part.store(state.part(), Ordering::Relaxed);
            (result, state.next_to_wake())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Budget {
    /// So many bytes.
    pub fn new(total: usize) -> Self {
        let state = State {
            total,
            used: 0,
            next: 0,
            members: BTreeMap::new(),
            queue: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Shared {
                part: AtomicUsize::new(state.part()),
                state: Mutex::new(state),
            }),
        }
    }

    /// How much there is.
    pub fn total(&self) -> usize {
        lock(&self.shared.state).total
    }

    /// Changes how much there is. What is held stays held.
    pub fn set_total(&self, total: usize) {
        self.shared.change(|state| state.total = total);
    }

    /// How much the members hold.
    pub fn used(&self) -> usize {
        lock(&self.shared.state).used
    }

    /// How many share it.
    pub fn n_members(&self) -> usize {
        lock(&self.shared.state).members.len()
    }

    /// One more member, which holds nothing.
    pub fn join(&self) -> Member {
        let number = self.shared.change(|state| {
            let number = state.next;
            state.next += 1;
            state.members.insert(number, Account::default());
            number
        });
        Member {
            shared: Arc::clone(&self.shared),
            number,
        }
    }
}

/// One of those who share a budget. Dropping it gives back what it holds.
pub struct Member {
    shared: Arc<Shared>,
    number: u64,
}

impl Member {
    /// How much it holds.
    pub fn used(&self) -> usize {
        lock(&self.shared.state).used_by(self.number)
    }

    /// Says how much it holds, whether there is room for it or not: for what cannot be told before.
    pub fn set_used(&self, used: usize) {
        self.shared
            .change(|state| state.set_used(self.number, used));
    }

    /// Whether it could hold so much more now.
    pub fn has_room(&self, more: usize) -> bool {
        lock(&self.shared.state).may_grow(self.number, more)
    }

    /// Whether so much is no more than what it can have in any case. Takes no lock.
    pub fn is_its_part(&self, used: usize) -> bool {
        used <= self.shared.part.load(Ordering::Relaxed)
    }

    /// Waits until it could hold so much more, see [`Member::has_room`]. The last waker is told, and its place in the queue is
    /// kept until then, or until [`Member::stop_waiting`].
    pub fn poll_room(&self, more: usize, context: &mut Context<'_>) -> Poll<()> {
        self.poll(more, context, false)
    }

    /// Holds so much more if there is room.
    pub fn try_acquire(&self, more: usize) -> bool {
        self.shared.change(|state| {
            let fits = state.may_grow(self.number, more);
            if fits {
                let used = state.used_by(self.number);
                state.set_used(self.number, used + more);
                state.leave_queue(self.number);
            }
            fits
        })
    }

    /// Holds so much more as soon as there is room. The last waker is told, and the place in the queue is kept until then, or
    /// until [`Member::stop_waiting`]. One request of a member waits at a time. One that is larger than the budget goes when
    /// its member holds nothing, and no other holds more than its part.
    pub fn poll_acquire(&self, more: usize, context: &mut Context<'_>) -> Poll<()> {
        self.poll(more, context, true)
    }

    fn poll(&self, more: usize, context: &mut Context<'_>, acquires: bool) -> Poll<()> {
        self.shared.change(|state| {
            if state.may_grow(self.number, more) {
                if acquires {
                    let used = state.used_by(self.number);
                    state.set_used(self.number, used + more);
                }
                state.leave_queue(self.number);
                return Poll::Ready(());
            }
            let account = state.account(self.number);
            account.wants = more;
            account.waker = Some(context.waker().clone());
            if !std::mem::replace(&mut account.is_waiting, true) {
                state.queue.push_back(self.number);
            }
            Poll::Pending
        })
    }

    /// Gives up its place in the queue.
    pub fn stop_waiting(&self) {
        self.shared.change(|state| state.leave_queue(self.number));
    }

    /// Holds so much more as soon as there is room, see [`Member::poll_acquire`].
    pub fn acquire(&self, more: usize) -> impl Future<Output = ()> + Send + '_ {
        Waiting {
            member: self,
            more,
            acquires: true,
        }
    }

    /// Waits until there is room for so much more, see [`Member::poll_room`].
    pub fn room(&self, more: usize) -> impl Future<Output = ()> + Send + '_ {
        Waiting {
            member: self,
            more,
            acquires: false,
        }
    }

    /// Gives so much back.
    pub fn release(&self, less: usize) {
        self.shared.change(|state| {
            let used = state.used_by(self.number).saturating_sub(less);
            state.set_used(self.number, used);
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.set_used(self.number, 0);
            state.leave_queue(self.number);
            state.members.remove(&self.number);
        });
    }
}

/// A member that waits, and does not any more once this is dropped.
struct Waiting<'a> {
    member: &'a Member,
    more: usize,
    acquires: bool,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.member.poll(self.more, context, self.acquires)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.member.stop_waiting();
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("Budget")
            .field("total", &state.total)
            .field("used", &state.used)
            .field("n_members", &state.members.len())
            .finish()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    const MIB: usize = 1 << 20;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A waker, and how often it was told.
    fn waker() -> (Waker, Arc<Counter>) {
        let counter = Arc::<Counter>::default();
        (Waker::from(Arc::clone(&counter)), counter)
    }

    fn n_woken(counter: &Counter) -> usize {
        counter.0.load(Ordering::Relaxed)
    }

    #[test]
    fn everybody_has_its_part_and_all_together_the_total() {
        let budget = Budget::new(32 * MIB);
        let members: Vec<Member> = (0..4).map(|_| budget.join()).collect();
        let mut greedy = 0;
        while members[0].try_acquire(MIB) {
            greedy += 1;
        }
        assert_eq!(greedy, 16 + 4);
        for member in &members[1..] {
            assert!(member.try_acquire(4 * MIB));
            assert!(!member.try_acquire(1));
        }
        assert_eq!(budget.used(), budget.total());
        drop(members);
        assert_eq!((budget.used(), budget.n_members()), (0, 0));
    }

    #[test]
    fn a_part_shrinks_with_the_number_of_members_but_not_to_nothing() {
        let budget = Budget::new(0);
        let members: Vec<Member> = (0..100).map(|_| budget.join()).collect();
        assert!(members.iter().all(|member| member.try_acquire(LEAST_PART)));
        assert!(members.iter().all(|member| !member.has_room(1)));
    }

    #[test]
    fn those_who_wait_are_woken_in_turn() {
        let budget = Budget::new(32 * MIB);
        let [holder, first, second] = [budget.join(), budget.join(), budget.join()];
        let part = 16 * MIB / 3;
        assert!(holder.try_acquire(part + 16 * MIB));
        assert!(first.try_acquire(part) && second.try_acquire(part));
        let wakers = [waker(), waker()];
        let poll = |member: &Member, index: usize, more| {
            member.poll_acquire(more, &mut Context::from_waker(&wakers[index].0))
        };
        assert!(poll(&first, 0, 8 * MIB).is_pending());
        assert!(poll(&second, 1, MIB).is_pending());
        holder.release(2 * MIB);
        // There would be room for the second one, but the first one came before it.
        assert_eq!(n_woken(&wakers[0].1) + n_woken(&wakers[1].1), 0);
        assert!(poll(&second, 1, MIB).is_pending());
        holder.release(6 * MIB);
        assert_eq!((n_woken(&wakers[0].1), n_woken(&wakers[1].1)), (1, 0));
        assert!(poll(&first, 0, 8 * MIB).is_ready());
        holder.release(MIB);
        assert_eq!(n_woken(&wakers[1].1), 1);
        assert!(poll(&second, 1, MIB).is_ready());
        assert_eq!(second.used(), part + MIB);
    }

    #[test]
    fn whoever_gives_up_does_not_hold_up_the_next() {
        let budget = Budget::new(32 * MIB);
        let [holder, first, second] = [budget.join(), budget.join(), budget.join()];
        holder.set_used(32 * MIB);
        let wakers = [waker(), waker()];
        for (member, (waker, _)) in [&first, &second].into_iter().zip(&wakers) {
            let context = &mut Context::from_waker(waker);
            assert!(member.poll_acquire(8 * MIB, context).is_pending());
        }
        drop(first);
        holder.set_used(0);
        assert_eq!((n_woken(&wakers[0].1), n_woken(&wakers[1].1)), (0, 1));
        let third = budget.join();
        assert!(!third.has_room(16 * MIB));
        second.stop_waiting();
        assert!(third.has_room(16 * MIB));
    }

    #[test]
    fn what_is_larger_than_the_budget_goes_alone() {
        let budget = Budget::new(MIB);
        let [one, other] = [budget.join(), budget.join()];
        assert!(other.try_acquire(MIB / 2));
        let (waker, woken) = waker();
        let context = &mut Context::from_waker(&waker);
        assert!(one.poll_acquire(8 * MIB, context).is_pending());
        other.release(MIB / 2);
        assert_eq!(n_woken(&woken), 1);
        assert!(one.poll_acquire(8 * MIB, context).is_ready());
        assert!(!one.has_room(1));
        budget.set_total(64 * MIB);
        assert!(one.has_room(MIB));
    }
}
