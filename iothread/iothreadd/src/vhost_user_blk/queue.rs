//! A virtqueue on its event loop.
//!
//! Requests are taken when the guest notifies, or when the loop polls and sees some; they are started in their order and
//! end in any. Those that the node does at once are given back at once.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Waker;

use iothread::{
    ContextError, Dispatch, FdDispatch, FdWatch, Interest, Polling, SharedContext, SharedFdHandler,
};

use super::counters::Counters;
use super::job::{Finished, Job, Next, PIECE_SIZE, Ticket};
use super::memory::Memory;
use super::request::Status;
use super::ring::{Addresses, BrokenRing, Ring, without_waiting};
use super::shared::Shared;
use super::under_way::UnderWay;
use crate::block::{IoBuffer, Outcome, Pending, Started};
use crate::budgets::{Allowance, Room};
use crate::sync::{Level, Mutex, MutexGuard};

/// With so many bytes in buffers a queue takes no more requests.
const MAX_RESERVED: usize = 4 * PIECE_SIZE;

/// The most requests that one worker is given together.
const MAX_TOGETHER: usize = 16;

/// One queue.
pub(super) struct Queue {
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    room: Arc<Room>,
    state: Mutex<State>,
}

struct State {
    /// `None` once the client is gone.
    context: Option<SharedContext>,
    ring: Ring,
    kick: Option<Arc<OwnedFd>>,
    watch: Option<FdWatch>,
    /// Whether the client lets it run, and whether it has said that it does not run yet.
    is_enabled: bool,
    is_started: bool,
    /// Nothing of the ring is believed any more.
    is_broken: bool,
    /// Whether the loop looks for requests by itself.
    is_polled: bool,
    /// Requests that were taken and not given back yet, and what buffers take, also those of requests that were given up.
    n_jobs: usize,
    reserved: usize,
    /// Those of them that the node has.
    under_way: UnderWay,
    /// Whether requests were left where they are for want of room.
    is_full: bool,
    /// Requests of this round that are handed to a worker together.
    quick: Vec<(Job, Pending)>,
    /// The memory for buffers, from the start of the queue until nothing of it is in use.
    allowance: Option<Allowance>,
}

/// Something that cannot be done to a queue in its state.
#[derive(Debug)]
pub(super) struct Refused;

impl From<BrokenRing> for Refused {
    fn from(_: BrokenRing) -> Self {
        Self
    }
}

impl From<ContextError> for Refused {
    fn from(_: ContextError) -> Self {
        Self
    }
}

impl Queue {
    pub(super) fn new(
        shared: &Arc<Shared>,
        counters: &Arc<Counters>,
        context: SharedContext,
    ) -> Result<Arc<Self>, BrokenRing> {
        let ring = Ring::new()?;
        let room = |this: &Weak<Self>| {
            let waiting = Weak::clone(this);
            Room::new(move || {
                if let Some(queue) = waiting.upgrade() {
                    queue.serve();
                }
            })
        };
        Ok(Arc::new_cyclic(|this| Self {
            shared: Arc::clone(shared),
            counters: Arc::clone(counters),
            room: room(this),
            state: Mutex::at(
                Level::Queue,
                State {
                    context: Some(context),
                    ring,
                    kick: None,
                    watch: None,
                    is_enabled: false,
                    is_started: false,
                    is_broken: false,
                    is_polled: false,
                    n_jobs: 0,
                    reserved: 0,
                    under_way: UnderWay::default(),
                    is_full: false,
                    quick: Vec::new(),
                    allowance: None,
                },
            ),
        }))
    }

    /// Changes the ring, which must not be in use.
    fn set_up(
        &self,
        change: impl FnOnce(&mut Ring) -> Result<(), BrokenRing>,
    ) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.is_started || state.n_jobs > 0 {
            return Err(Refused);
        }
        Ok(change(&mut state.ring)?)
    }

    pub(super) fn set_size(&self, size: u32) -> Result<(), Refused> {
        self.set_up(|ring| ring.set_size(size))
    }

    pub(super) fn set_addresses(&self, addresses: &Addresses) -> Result<(), Refused> {
        self.set_up(|ring| ring.set_addresses(addresses))
    }

    pub(super) fn set_base(&self, base: u32) -> Result<(), Refused> {
        self.set_up(|ring| ring.set_base(base))
    }

    /// Where the ring is after its end.
    pub(super) fn base(&self) -> u16 {
        self.state.lock().ring.base()
    }

    /// Takes the descriptor by which the guest is woken, also while the queue runs.
    pub(super) fn set_call(&self, call: Option<OwnedFd>) -> Result<(), Refused> {
        let call = call.map(without_waiting).transpose()?;
        let mut state = self.state.lock();
        state.ring.set_call(call);
        if state.is_started {
            // What was done meanwhile may have gone to the former one.
            state.ring.call();
        }
        Ok(())
    }

    pub(super) fn set_err(&self, err: Option<OwnedFd>) -> Result<(), Refused> {
        let err = err.map(without_waiting).transpose()?;
        self.state.lock().ring.set_err(err);
        Ok(())
    }

    /// Starts the queue with the descriptor by which the guest notifies.
    pub(super) fn start(self: &Arc<Self>, kick: OwnedFd) -> Result<(), Refused> {
        let kick = Arc::new(without_waiting(kick)?);
        let memory = self.shared.memory();
        let mut state = self.state.lock();
        if !state.is_started {
            state.ring.start(&memory, self.shared.features())?;
            state.is_broken = false;
        }
        state.is_started = true;
        let budget = self.shared.budget();
        let new = || Allowance::new(budget.join());
        state.allowance.get_or_insert_with(new);
        state.kick = Some(kick);
        self.watch(&mut state)
    }

    pub(super) fn set_enabled(self: &Arc<Self>, enabled: bool) -> Result<(), Refused> {
        let mut state = self.state.lock();
        state.is_enabled = enabled;
        self.watch(&mut state)
    }

    /// Watches for notifications if the queue is to run, and looks at what is there already.
    fn watch(self: &Arc<Self>, state: &mut State) -> Result<(), Refused> {
        state.watch = None;
        state.is_polled = false;
        if !state.is_started || !state.is_enabled || state.is_broken {
            state.settle();
            return Ok(());
        }
        let (Some(context), Some(kick)) = (&state.context, &state.kick) else {
            return Ok(());
        };
        let watch = context.add_fd(Arc::clone(kick), Interest::READ, Arc::clone(self))?;
        let queue = Arc::clone(self);
        context.post(move |_| queue.serve())?;
        state.watch = Some(watch);
        Ok(())
    }

    /// Ends the queue: no request is taken any more, those under way are carried out. Returns whether no request is under way.
    pub(super) fn stop(&self) -> bool {
        let mut state = self.state.lock();
        state.is_started = false;
        state.is_polled = false;
        state.watch = None;
        state.kick = None;
        state.ring.stop();
        self.room.leave();
        state.settle();
        state.n_jobs == 0
    }

    /// As new, except for its place; it must have ended.
    pub(super) fn reset(&self) {
        let mut state = self.state.lock();
        state.ring.reset();
        state.is_enabled = false;
        state.is_broken = false;
    }

    /// Whether it has ended, and no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        !state.is_started && state.n_jobs == 0
    }

    /// Answers what is under way as failed, although the node has it still. The queue has ended.
    pub(super) fn give_up(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let tickets = state.under_way.take_all().into_iter();
        let tickets: Vec<_> = tickets.map(Ticket::without_buffers).collect();
        if !tickets.is_empty() && self.fail_all(state, &tickets).is_err() {
            self.fail(state);
        }
        self.after_round(guard);
    }

    /// Its context is not used any more. The queue is idle.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.context = None;
        self.room.leave();
        state.settle();
    }

    /// Leaves its event loop for another one; it goes on with [`enter`](Self::enter).
    pub(super) fn leave(&self, context: SharedContext) {
        let mut state = self.state.lock();
        state.watch = None;
        state.is_polled = false;
        self.room.leave();
        if state.context.is_some() {
            state.context = Some(context);
        }
    }

    /// Goes on where it is now.
    pub(super) fn enter(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if self.watch(&mut state).is_err() {
            self.fail(&mut state);
        }
    }

    /// The guest, or the client, has done what it must not: the queue stands still until the client sets it up again.
    fn fail(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_broken, true) {
            state.watch = None;
            state.is_polled = false;
            state.settle();
            state.ring.report_broken();
        }
    }

    /// Takes requests, as many as there is room for.
    fn serve(self: &Arc<Self>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.may_serve() {
            self.take_all(state);
        }
        self.after_round(guard);
    }

    fn take_all(self: &Arc<Self>, state: &mut State) {
        let taken = self.take_requests(state);
        // Those before one that is not good are carried out.
        let submitted = self.submit_together(state);
        if taken.and(submitted).is_err() {
            self.fail(state);
        }
    }

    fn take_requests(self: &Arc<Self>, state: &mut State) -> Result<(), BrokenRing> {
        let memory = self.shared.memory();
        state.ring.check(&memory)?;
        self.counters.served_here();
        state.is_full = false;
        let geometry = self.shared.geometry();
        // A guest that adds requests as fast as they end must not keep the loop to itself.
        let mut left = state.ring.size();
        let mut is_starved = false;
        loop {
            state.ring.set_notification(&memory, false)?;
            while left > 0 && !state.has_no_room() {
                let Some(request) = state.ring.pop(&memory, &geometry)? else {
                    break;
                };
                let job = Job::new(request, Arc::clone(&memory));
                if !self.take_memory(state, job.reserved()) {
                    state.ring.put_back();
                    is_starved = true;
                    break;
                }
                left -= 1;
                self.begin(state, &job);
                self.advance(state, &memory, job)?;
            }
            self.submit_together(state)?;
            if is_starved || state.has_no_room() {
                state.is_full = true;
                break;
            }
            if left == 0 {
                if let Some(context) = &state.context {
                    let queue = Arc::clone(self);
                    // A context that is gone has ended the queue.
                    let _ = context.post(move |_| queue.serve());
                }
                break;
            }
            if state.is_polled || !state.ring.set_notification(&memory, true)? {
                break;
            }
        }
        state.ring.notify_guest(&memory)
    }

    /// Takes so much of the memory that all queues share. Without it the queue goes on as soon as there is some.
    fn take_memory(&self, state: &mut State, bytes: usize) -> bool {
        let (Some(context), Some(allowance)) = (&state.context, &mut state.allowance) else {
            return bytes == 0;
        };
        let waker = || {
            self.room.enter(context);
            Waker::from(Arc::clone(&self.room))
        };
        bytes == 0 || allowance.try_take(bytes, waker)
    }

    /// Carries a job out as far as that is possible without waiting.
    fn advance(
        self: &Arc<Self>,
        state: &mut State,
        memory: &Memory,
        mut job: Job,
    ) -> Result<(), BrokenRing> {
        let common = self.shared.common();
        loop {
            let fua = self.shared.writes_through();
            let request;
            let buffer = |length| state.buffer(length);
            (job, request) = match job.next(common.id(), fua, buffer) {
                Next::Submit(job, request) => (job, request),
                Next::Finished(finished) => return self.give_back(state, memory, &finished),
            };
            match common.backend().start(request) {
                Started::Done(outcome) => {
                    let (result, buffer) = job.take(outcome);
                    state.keep(buffer);
                    match result {
                        Ok(rest) => job = rest,
                        Err(finished) => return self.give_back(state, memory, &finished),
                    }
                }
                Started::Waiting(pending) if pending.is_quick() => {
                    state.quick.push((job, pending));
                    if state.quick.len() == MAX_TOGETHER {
                        return self.submit_together(state);
                    }
                    return Ok(());
                }
                Started::Waiting(pending) => return self.submit(state, job, pending),
            }
        }
    }

    /// Gives a request back to the guest.
    fn give_back(
        &self,
        state: &mut State,
        memory: &Memory,
        finished: &Finished,
    ) -> Result<(), BrokenRing> {
        let counter = match finished.status {
            Status::Done => &self.counters.n_done,
            Status::Failed | Status::Unsupported => &self.counters.n_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.release(state);
        state.give(finished.reserved);
        if state.is_broken {
            return Ok(());
        }
        state.ring.push(memory, finished.head, finished.written)
    }

    fn begin(&self, state: &mut State, job: &Job) {
        self.counters.n_jobs.fetch_add(1, Ordering::Relaxed);
        state.n_jobs += 1;
        state.reserved += job.reserved();
    }

    /// A job is over.
    fn release(&self, state: &mut State) {
        self.counters.n_jobs.fetch_sub(1, Ordering::Relaxed);
        state.n_jobs -= 1;
    }

    fn submit(
        self: &Arc<Self>,
        state: &mut State,
        mut job: Job,
        pending: Pending,
    ) -> Result<(), BrokenRing> {
        let number = state.under_way.add(&mut job);
        let queue = Arc::clone(self);
        let done = move |_: &mut Dispatch<'_>, outcome| queue.complete([(job, outcome)]);
        let submitted = state
            .context
            .as_ref()
            .is_some_and(|context| pending.finish(context, done).is_ok());
        self.after_submit(state, submitted, [number])
    }

    /// Hands the quick requests over.
    fn submit_together(self: &Arc<Self>, state: &mut State) -> Result<(), BrokenRing> {
        let (mut jobs, pending): (Vec<_>, Vec<_>) = state.quick.drain(..).unzip();
        if jobs.is_empty() {
            return Ok(());
        }
        let add = |job| state.under_way.add(job);
        let numbers: Vec<u64> = jobs.iter_mut().map(add).collect();
        let queue = Arc::clone(self);
        let done = move |_: &mut Dispatch<'_>, outcomes: Vec<Outcome>| {
            queue.complete(jobs.into_iter().zip(outcomes));
        };
        let submitted = state
            .context
            .as_ref()
            .is_some_and(|context| Pending::finish_together(pending, context, done).is_ok());
        self.after_submit(state, submitted, numbers)
    }

    /// Answers jobs that could not be taken.
    fn after_submit(
        &self,
        state: &mut State,
        submitted: bool,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<(), BrokenRing> {
        if submitted {
            return Ok(());
        }
        let remove = |number| state.under_way.remove(number);
        let tickets: Vec<_> = numbers.into_iter().filter_map(remove).collect();
        self.fail_all(state, &tickets)
    }

    fn fail_all(&self, state: &mut State, tickets: &[Ticket]) -> Result<(), BrokenRing> {
        let memory = self.shared.memory();
        let mut result = Ok(());
        for ticket in tickets {
            // The others are to be accounted for.
            result = result.and(self.give_back(state, &memory, &ticket.fail()));
        }
        result?;
        self.tell_guest(state, &memory)
    }

    /// Notifies of requests that were given back.
    fn tell_guest(&self, state: &mut State, memory: &Memory) -> Result<(), BrokenRing> {
        if state.is_broken {
            return Ok(());
        }
        state.ring.notify_guest(memory)
    }

    /// Requests that had to wait are done.
    fn complete(self: &Arc<Self>, done: impl IntoIterator<Item = (Job, Outcome)>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if self.complete_all(state, done).is_err() {
            self.fail(state);
        }
        if state.is_full && !state.has_no_room() && state.may_serve() {
            self.take_all(state);
        }
        self.after_round(guard);
    }

    fn complete_all(
        self: &Arc<Self>,
        state: &mut State,
        done: impl IntoIterator<Item = (Job, Outcome)>,
    ) -> Result<(), BrokenRing> {
        let memory = self.shared.memory();
        let mut result = Ok(());
        for (job, outcome) in done {
            if !state.under_way.take(&job) {
                // It was given up, and answered.
                state.give(job.reserved());
                continue;
            }
            let (next, buffer) = job.take(outcome);
            state.keep(buffer);
            let advanced = match next {
                Ok(rest) => self.advance(state, &memory, rest),
                Err(finished) => self.give_back(state, &memory, &finished),
            };
            // The others are to be accounted for.
            result = result.and(advanced);
        }
        result = result.and(self.submit_together(state));
        result?;
        self.tell_guest(state, &memory)
    }

    /// Wakes what waits until the queue is idle.
    fn after_round(&self, mut state: MutexGuard<'_, State>) {
        state.settle();
        let is_over = !state.is_started && state.n_jobs == 0;
        drop(state);
        if is_over {
            self.shared.queue_is_idle();
        }
    }

    /// Looks for requests without being notified.
    fn has_work(&self) -> bool {
        let state = self.state.lock();
        // Where there is no room the end of a request is waited for.
        state.may_serve() && !state.is_full && state.ring.has_requests(&self.shared.memory())
    }

    fn set_polled(self: &Arc<Self>, polled: bool) {
        let mut state = self.state.lock();
        if !state.may_serve() {
            return;
        }
        state.is_polled = polled;
        let memory = self.shared.memory();
        // Requests that are there already are seen by the poll that follows.
        if !state.is_full && state.ring.set_notification(&memory, !polled).is_err() {
            self.fail(&mut state);
        }
    }
}

impl State {
    fn may_serve(&self) -> bool {
        self.context.is_some() && self.is_started && self.is_enabled && !self.is_broken
    }

    fn has_no_room(&self) -> bool {
        self.n_jobs >= self.ring.size() || self.reserved >= MAX_RESERVED
    }

    /// A buffer in memory that has been taken.
    fn buffer(&mut self, length: usize) -> IoBuffer {
        match &mut self.allowance {
            Some(allowance) => allowance.buffer(length),
            None => IoBuffer::new(length),
        }
    }

    fn keep(&mut self, buffer: IoBuffer) {
        if let Some(allowance) = &mut self.allowance {
            allowance.keep(buffer);
        }
    }

    /// Gives memory back that has been taken.
    fn give(&mut self, bytes: usize) {
        self.reserved -= bytes;
        if let Some(allowance) = &mut self.allowance {
            allowance.give(bytes);
        }
    }

    /// A queue that takes no requests waits for no memory, and keeps none when none is in use.
    fn settle(&mut self) {
        let waits = self.is_full && self.may_serve();
        let is_used = self.is_started || self.n_jobs > 0 || self.reserved > 0;
        if let Some(allowance) = self.allowance.as_mut().filter(|_| is_used) {
            match self.is_started {
                false => allowance.retire(self.reserved),
                true if !waits => allowance.stop_waiting(),
                true => {}
            }
        } else {
            self.allowance = None;
        }
    }
}

impl SharedFdHandler for Queue {
    fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        let mut count = [0; 8];
        match rustix::io::read(dispatch.fd(), &mut count) {
            Ok(8) => {
                let count = u64::from_ne_bytes(count);
                self.counters.n_notified.fetch_add(count, Ordering::Relaxed);
                self.serve();
            }
            // It was taken back.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // That is not an eventfd.
            Ok(_) | Err(_) => {
                let mut state = self.state.lock();
                self.fail(&mut state);
            }
        }
    }

    fn polling(&self) -> Polling {
        Polling::Memory
    }

    fn poll(self: &Arc<Self>, _: &mut FdDispatch<'_>) -> bool {
        self.has_work()
    }

    fn poll_ready(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.serve();
    }

    fn poll_begin(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.set_polled(true);
    }

    fn poll_end(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.set_polled(false);
    }
}
