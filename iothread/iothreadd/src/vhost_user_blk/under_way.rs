//! The requests of a queue that the node has: what it takes to answer them, with or without their outcome.

use std::collections::HashMap;

use super::job::{Job, Ticket};

/// The tickets of jobs, by their numbers.
#[derive(Default)]
pub(super) struct UnderWay {
    tickets: HashMap<u64, Ticket>,
    next_number: u64,
}

impl UnderWay {
    /// Notes a job that is about to be given away. Returns its number.
    pub(super) fn add(&mut self, job: &mut Job) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        job.set_number(number);
        self.tickets.insert(number, job.ticket());
        number
    }

    /// Takes a job that has come back. Returns whether it is still to be answered.
    pub(super) fn take(&mut self, job: &Job) -> bool {
        self.tickets.remove(&job.number()).is_some()
    }

    /// Takes out a job that does not come back.
    pub(super) fn remove(&mut self, number: u64) -> Option<Ticket> {
        self.tickets.remove(&number)
    }

    /// Takes out all of them, in the order in which they were given away.
    pub(super) fn take_all(&mut self) -> Vec<Ticket> {
        let mut tickets: Vec<_> = self.tickets.drain().collect();
        tickets.sort_unstable_by_key(|(number, _)| *number);
        tickets.into_iter().map(|(_, ticket)| ticket).collect()
    }
}
