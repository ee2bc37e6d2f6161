//! Ways from commands and events to values.

use std::sync::Arc;

use super::message::Path;
use crate::source::Span;

/// A command or an event of the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) name: &'a str,
    pub(super) is_event: bool,
}

/// The position of a command or event: commands first.
pub(super) type OwnerId = usize;

/// Which values of its owner a way begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Arguments,
    Result,
    Data,
}

/// One step on a way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// To a member, and where that stands.
    Member(&'a str, Option<Span>),
    /// To the elements of an array.
    Element,
    /// To the members that a value of a tag brings.
    Case { tag: &'a str, case: &'a str },
}

/// The position of a way among all.
pub(super) type WayId = usize;

#[derive(Debug)]
struct Way<'a> {
    /// What it goes on from, and how.
    last: Option<(WayId, Step<'a>)>,
    n_steps: usize,
    /// The same without those to elements, which are not counted.
    length: usize,
    owner: OwnerId,
    start: Start,
    /// The nearest place on it.
    span: Option<Span>,
}

/// All ways of a search. They share their beginnings.
#[derive(Debug, Default)]
pub(super) struct Ways<'a> {
    owners: Vec<Owner<'a>>,
    ways: Vec<Way<'a>>,
    /// How long the way to the pair at hand is.
    length_to_pair: usize,
}

/// A message names so many steps, the last ones: types may be in each other without end.
const MAX_STEPS: usize = 32;

impl<'a> Ways<'a> {
    pub(super) fn add_owner(&mut self, owner: Owner<'a>) -> OwnerId {
        self.owners.push(owner);
        self.owners.len() - 1
    }

    pub(super) fn start(&mut self, owner: OwnerId, start: Start, span: Option<Span>) -> WayId {
        self.add(Way {
            last: None,
            n_steps: 0,
            length: 0,
            owner,
            start,
            span,
        })
    }

    pub(super) fn go_on(&mut self, from: WayId, step: Step<'a>) -> WayId {
        let before = &self.ways[from];
        let (length, place) = match step {
            Step::Member(_, span) => (1, span),
            Step::Case { .. } => (1, None),
            Step::Element => (0, None),
        };
        let way = Way {
            last: Some((from, step)),
            n_steps: before.n_steps + 1,
            length: before.length + length,
            owner: before.owner,
            start: before.start,
            span: place.or(before.span),
        };
        self.add(way)
    }

    fn add(&mut self, way: Way<'a>) -> WayId {
        self.ways.push(way);
        self.ways.len() - 1
    }

    pub(super) fn owner(&self, way: WayId) -> OwnerId {
        self.ways[way].owner
    }

    pub(super) fn span(&self, way: WayId) -> Option<Span> {
        self.ways[way].span
    }

    /// The pair at hand is at the end of `way`.
    pub(super) fn set_pair(&mut self, way: WayId) {
        self.length_to_pair = self.ways[way].length;
    }

    /// Whether the end of `way` is as near as the pair at hand.
    pub(super) fn is_at_pair(&self, way: WayId) -> bool {
        self.ways[way].length == self.length_to_pair
    }

    /// The way in words.
    pub(super) fn path(&self, way: WayId) -> Path {
        let end = &self.ways[way];
        let mut steps = Vec::new();
        let mut next = end.last;
        while let Some((before, step)) = next
            && steps.len() < MAX_STEPS
        {
            steps.push(step);
            next = self.ways[before].last;
        }
        let owner = self.owners[end.owner];
        let mut path = Path::new(owner.text(), end.start, end.n_steps - steps.len());
        for step in steps.into_iter().rev() {
            match step {
                Step::Member(name, _) => path.enter(name),
                Step::Element => path.enter("[]"),
                Step::Case { tag, case } => path.enter_case(tag, case),
            }
        }
        path
    }

    /// The commands and events in words.
    pub(super) fn owners(&self) -> Arc<[(bool, Box<str>)]> {
        let owner = |owner: &Owner<'_>| (owner.is_event, owner.name.into());
        self.owners.iter().map(owner).collect()
    }
}

impl Owner<'_> {
    fn text(&self) -> String {
        let kind = if self.is_event { "event" } else { "command" };
        format!("{kind} '{}'", self.name)
    }
}
