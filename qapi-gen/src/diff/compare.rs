//! The comparison: which values of one side does the other one not take?
//!
//! Types are a graph. It is searched from all commands and events at once, the nearest types first, so
//! that each pair of types is looked at once, and what is found is told on a shortest way to it.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Perspective;
use super::interface::{Common, Interface, Shape, ShapeId};
use super::message::{Flow, Subject};
use super::reach::{Reach, Reached};
use super::way::{Owner, OwnerId, Start, Step, WayId, Ways};
use crate::diagnostic::{Code, Diagnostic};
use crate::steps::step;

/// One of the two interfaces that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The interface as it was.
    Old,
    /// The interface as it is now.
    New,
}

/// A difference that somebody should know of.
#[derive(Debug)]
pub struct Change {
    /// The interface in which the place of the diagnostic is.
    pub side: Side,
    /// What changed, with the shortest way to it. A warning is not a breach, but worth knowing.
    pub diagnostic: Diagnostic,
    /// The command or event that the way begins with, and all that have the change.
    pub reached: Reached,
    /// The line of the log or manifest in which a program was seen to use it.
    pub line: Option<u32>,
}

/// What `new` changes for those who know `old` only.
///
/// Changes come in the order of commands and events in the interface of the client. A type that is
/// used in many places is looked at once for each direction in which its values go, at a use that is
/// nearest to a command or event; [`Reached`] has the others.
#[must_use]
pub fn compare(old: &Interface, new: &Interface, perspective: Perspective) -> Vec<Change> {
    let (client, server) = match perspective {
        Perspective::Clients | Perspective::Program => {
            (Party::new(old, Side::Old), Party::new(new, Side::New))
        }
        Perspective::Servers => (Party::new(new, Side::New), Party::new(old, Side::Old)),
    };
    let mut comparison = Comparison {
        client,
        server,
        perspective,
        ways: Ways::default(),
        way: None,
        pairs: Vec::new(),
        known: HashMap::new(),
        is_done: Vec::new(),
        queue: VecDeque::new(),
        near: Vec::new(),
        current: None,
        line: None,
        entries: Vec::new(),
        uses: Vec::new(),
        found: Vec::new(),
    };
    comparison.compare_commands();
    comparison.compare_events();
    comparison.search();
    comparison.finish()
}

/// An interface and which one it is.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) interface: &'a Interface,
    pub(super) side: Side,
}

impl<'a> Party<'a> {
    fn new(interface: &'a Interface, side: Side) -> Self {
        Self { interface, side }
    }

    pub(super) fn shape(self, id: ShapeId) -> &'a Shape {
        &self.interface.types[id]
    }

    pub(super) fn options(self, id: ShapeId) -> Vec<ShapeId> {
        self.interface.options(id)
    }
}

/// What is compared once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pair {
    /// Every value of type `from` of the sender must be one of type `to` of the receiver.
    Types {
        from: ShapeId,
        to: ShapeId,
        flow: Flow,
    },
    /// The same for the members that a value of a tag brings; [`ShapeId::MAX`] where it brings none. Members of the
    /// bases are there as well.
    Branches {
        from: ShapeId,
        to: ShapeId,
        bases: [ShapeId; 2],
        flow: Flow,
    },
}

/// The position of a [`Pair`] in the order in which they were met.
pub(super) type PairId = usize;

/// What was found, and with which pair.
pub(super) struct Found {
    pub(super) side: Side,
    pub(super) diagnostic: Diagnostic,
    pub(super) owner: OwnerId,
    /// `None` for what a command or an event has itself.
    pub(super) pair: Option<PairId>,
    pub(super) line: Option<u32>,
}

pub(super) struct Comparison<'a> {
    pub(super) client: Party<'a>,
    pub(super) server: Party<'a>,
    pub(super) perspective: Perspective,
    pub(super) ways: Ways<'a>,
    /// Where the search stands.
    pub(super) way: Option<WayId>,
    pub(super) pairs: Vec<Pair>,
    known: HashMap<Pair, PairId>,
    is_done: Vec<bool>,
    /// Pairs with a way to them; the first way of a pair counts.
    queue: VecDeque<(PairId, WayId)>,
    /// Those that are as near as the pair at hand.
    near: Vec<(PairId, WayId)>,
    pub(super) current: Option<PairId>,
    /// The line of what is compared.
    pub(super) line: Option<u32>,
    /// Which commands and events use which pairs themselves.
    entries: Vec<(PairId, OwnerId)>,
    /// Which pair is used by which.
    uses: Vec<(PairId, PairId)>,
    pub(super) found: Vec<Found>,
}

impl<'a> Comparison<'a> {
    fn compare_commands(&mut self) {
        for (name, known) in &self.client.interface.commands {
            let owner = self.ways.add_owner(Owner {
                name,
                is_event: false,
            });
            let Some(command) = self.server.interface.commands.get(name) else {
                self.way = Some(self.ways.start(owner, Start::Arguments, None));
                self.report(
                    Code::CommandGone,
                    Subject::Whole,
                    self.client.side,
                    &known.common,
                );
                continue;
            };
            let span = command.common.span;
            self.way = Some(self.ways.start(owner, Start::Arguments, span));
            self.line = known.common.line;
            self.compare_common(&known.common, &command.common, &Subject::Whole);
            if known.allows_oob && !command.allows_oob {
                let place = Common {
                    line: known.oob_line,
                    ..command.common.clone()
                };
                let side = self.server.side;
                self.report(Code::OutOfBandGone, Subject::Whole, side, &place);
            }
            let responses = (known.has_success_response, command.has_success_response);
            if matches!(responses, (Some(known), Some(now)) if known != now) {
                let common = &command.common;
                self.report(
                    Code::ResponseChanged,
                    Subject::Whole,
                    self.server.side,
                    common,
                );
            }
            // What a program sends beyond what the server tells of, the server takes.
            let is_checked = self.perspective != Perspective::Program || !command.takes_anything;
            if is_checked {
                self.compare_types(known.arguments, command.arguments, Flow::Send);
            }
            self.way = Some(self.ways.start(owner, Start::Result, span));
            self.compare_types(command.returns, known.returns, Flow::Receive);
        }
    }

    fn compare_events(&mut self) {
        for (name, known) in &self.client.interface.events {
            let owner = self.ways.add_owner(Owner {
                name,
                is_event: true,
            });
            let Some(event) = self.server.interface.events.get(name) else {
                self.way = Some(self.ways.start(owner, Start::Data, None));
                self.report(
                    Code::EventGone,
                    Subject::Whole,
                    self.client.side,
                    &known.common,
                );
                continue;
            };
            self.way = Some(self.ways.start(owner, Start::Data, event.common.span));
            self.line = known.common.line;
            self.compare_common(&known.common, &event.common, &Subject::Whole);
            self.compare_types(event.data, known.data, Flow::Receive);
        }
    }

    /// Who sends the values that flow this way, and who receives them.
    pub(super) fn parties(&self, flow: Flow) -> (Party<'a>, Party<'a>) {
        match flow {
            Flow::Send => (self.client, self.server),
            Flow::Receive => (self.server, self.client),
        }
    }

    /// The line of a type of the client.
    pub(super) fn line_of(&self, id: ShapeId) -> Option<u32> {
        self.client.interface.lines.get(id).copied().flatten()
    }

    /// Compares the pair where the search stands, now or later.
    pub(super) fn use_pair(&mut self, pair: Pair) {
        step();
        let Some(way) = self.way else { return };
        let next = self.pairs.len();
        let id = *self.known.entry(pair).or_insert(next);
        if id == next {
            self.pairs.push(pair);
            self.is_done.push(false);
        }
        match self.current {
            Some(current) => self.uses.push((id, current)),
            None => self.entries.push((id, self.ways.owner(way))),
        }
        if self.is_done[id] {
            return;
        }
        if self.current.is_some() && self.ways.is_at_pair(way) {
            self.near.push((id, way));
        } else {
            self.queue.push_back((id, way));
        }
    }

    /// Goes one step on, does `work` there, and comes back.
    pub(super) fn go(&mut self, next: Step<'a>, work: impl FnOnce(&mut Self)) {
        let before = self.way;
        self.way = before.map(|way| self.ways.go_on(way, next));
        work(self);
        self.way = before;
    }

    /// Compares what can be reached, the nearest pairs first.
    fn search(&mut self) {
        while let Some((id, way)) = self.queue.pop_front() {
            if std::mem::replace(&mut self.is_done[id], true) {
                continue;
            }
            self.current = Some(id);
            self.way = Some(way);
            self.ways.set_pair(way);
            self.compare_pair(self.pairs[id]);
            while let Some(near) = self.near.pop() {
                self.queue.push_front(near);
            }
        }
    }

    fn finish(mut self) -> Vec<Change> {
        self.found.sort_by_key(|found| found.owner);
        let owners = self.ways.owners();
        let mut reach = Reach::new(self.pairs.len(), &self.uses, &self.entries);
        let found = self.found.into_iter();
        let change = |found: Found| {
            let all = match found.pair {
                Some(pair) => reach.owners_of(pair),
                None => Arc::default(),
            };
            Change {
                side: found.side,
                diagnostic: found.diagnostic,
                line: found.line,
                reached: Reached::new(Arc::clone(&owners), found.owner, all),
            }
        };
        found.map(change).collect()
    }
}
