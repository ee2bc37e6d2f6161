//! All clients of the server: how they come in, and how many there may be.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{ContextError, MainContext, OnMain};
use qapi_runtime::budget::Budget;

use super::export::NbdExport;
use super::negotiation::Negotiation;
use super::offer::Offers;
use super::places::{Doorkeeper, Places, Ticket};
use crate::net::listener::Listener;
use crate::net::stream::Stream;
use crate::sync::Mutex;

/// The clients of a server that is running.
pub(super) struct Clients {
    main: MainContext,
    listeners: Vec<Listener>,
    offers: Arc<Offers<NbdExport>>,
    /// What all clients share, those of a server that was stopped too.
    budget: Budget,
    /// Those of all clients, past the haggling too.
    places: Places,
    /// How long the haggling may take.
    limit: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    negotiations: HashMap<u64, Arc<Negotiation>>,
    n_numbers: u64,
    stopped: bool,
}

impl Clients {
    pub(super) fn new(
        main: &MainContext,
        listeners: Vec<Listener>,
        offers: &Arc<Offers<NbdExport>>,
        budget: &Budget,
        max: u32,
        limit: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            main: main.clone(),
            listeners,
            offers: Arc::clone(offers),
            budget: budget.clone(),
            places: Places::new(max),
            limit,
            state: Mutex::default(),
        })
    }

    /// Accepts clients from now on.
    pub(super) fn listen(self: &Arc<Self>, _: OnMain<'_>) -> Result<(), ContextError> {
        for listener in &self.listeners {
            let accepting = Arc::downgrade(self);
            listener.watch_on_main(&self.main, move |main, stream| {
                if let Some(clients) = accepting.upgrade() {
                    clients.accept(main, stream);
                }
            })?;
        }
        Ok(())
    }

    fn accept(self: &Arc<Self>, main: OnMain<'_>, stream: Stream) {
        if !self.places.take(|opens| self.set_accepting(opens)) {
            // It came in while the door was being closed.
            return;
        }
        let doorkeeper: Weak<dyn Doorkeeper> = Arc::<Self>::downgrade(self);
        let ticket = Ticket::new(doorkeeper);
        let number = {
            let mut state = self.state.lock();
            state.n_numbers += 1;
            state.n_numbers
        };
        let ended = Arc::downgrade(self);
        let over = move || {
            if let Some(clients) = ended.upgrade() {
                clients.remove(number);
            }
        };
        let negotiation = Negotiation::new(&self.offers, &self.budget, ticket, Box::new(over));
        {
            let mut state = self.state.lock();
            if state.stopped {
                // As above, for good. The place is given back without the lock.
                drop(state);
                return;
            }
            state.negotiations.insert(number, Arc::clone(&negotiation));
        }
        negotiation.start(main, stream, self.limit);
    }

    fn set_accepting(&self, accepts: bool) {
        for listener in &self.listeners {
            listener.set_accepting(accepts);
        }
    }

    /// The haggling with a client is over.
    fn remove(&self, number: u64) {
        let removed = self.state.lock().negotiations.remove(&number);
        drop(removed);
    }

    /// Accepts no more clients, and disconnects those that have chosen no export yet.
    pub(super) fn stop(&self, _: OnMain<'_>) {
        let negotiations = {
            let mut state = self.state.lock();
            state.stopped = true;
            std::mem::take(&mut state.negotiations)
        };
        self.listeners.iter().for_each(Listener::stop);
        for negotiation in negotiations.into_values() {
            negotiation.close();
        }
    }
}

impl Doorkeeper for Clients {
    fn give_back(&self) {
        self.places.give_back(|opens| self.set_accepting(opens));
    }
}
