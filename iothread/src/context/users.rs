//! Who has done something with a context.

use crate::holders::Attachment;
use crate::slab::Slab;
use crate::sync::{Arc, Mutex, Weak};

/// The users of a context, and how many pauses of all are under way.
#[derive(Default)]
pub(super) struct Users(Mutex<State>);

#[derive(Default)]
struct State {
    users: Slab<Weak<Attachment>>,
    n_pauses: usize,
}

impl State {
    fn all(&self) -> Vec<Arc<Attachment>> {
        self.users
            .iter()
            .filter_map(|(_, user)| user.upgrade())
            .collect()
    }
}

impl Users {
    pub(super) fn add(&self, user: &Arc<Attachment>) {
        let mut state = self.0.lock();
        for _ in 0..state.n_pauses {
            user.pause();
        }
        let key = state.users.insert(Arc::downgrade(user));
        // It is new.
        let _ = user.place().set(key);
    }

    pub(super) fn remove(&self, user: &Attachment) {
        if let Some(key) = user.place().get() {
            let removed = self.0.lock().users.remove(*key);
            drop(removed);
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Attachment>> {
        self.0.lock().all()
    }

    pub(super) fn pause(&self) {
        let mut state = self.0.lock();
        state.n_pauses += 1;
        // Paused with the lock held, and dropped without it: the last reference to one may drop what it has.
        let users = state.all();
        users.iter().for_each(|user| user.pause());
        drop(state);
    }

    pub(super) fn resume(&self) {
        let mut state = self.0.lock();
        state.n_pauses -= 1;
        let users = state.all();
        users.iter().for_each(|user| user.resume());
        drop(state);
    }
}
