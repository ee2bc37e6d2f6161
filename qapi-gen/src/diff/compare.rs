//! The comparison: which values of one side does the other one not take?

use std::collections::HashSet;

use super::Perspective;
use super::interface::{Common, EnumValue, Interface, Member, Object, Scalar, Shape, ShapeId};
use super::message::{Flow, Path, Subject, message};
use crate::diagnostic::{Code, Diagnostic, Level};
use crate::text::ByName;

/// Values nest without end, and are compared down to this depth.
const MAX_DEPTH: usize = 200;

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
    /// What changed. A warning is no breach, but worth knowing.
    pub diagnostic: Diagnostic,
}

/// What `new` changes for those who know `old` only.
///
/// Changes come in the order of commands and events in the interface of the client. A type that is
/// used in many places is looked at once for each direction in which its values go, at its first use.
#[must_use]
pub fn compare(old: &Interface, new: &Interface, perspective: Perspective) -> Vec<Change> {
    let (client, server) = match perspective {
        Perspective::Clients => (Party::new(old, Side::Old), Party::new(new, Side::New)),
        Perspective::Servers => (Party::new(new, Side::New), Party::new(old, Side::Old)),
    };
    let mut comparison = Comparison {
        client,
        server,
        perspective,
        seen: HashSet::new(),
        path: Path::default(),
        changes: Vec::new(),
    };
    comparison.compare_commands();
    comparison.compare_events();
    comparison.changes
}

/// An interface and which one it is.
#[derive(Clone, Copy)]
struct Party<'a> {
    interface: &'a Interface,
    side: Side,
}

impl<'a> Party<'a> {
    fn new(interface: &'a Interface, side: Side) -> Self {
        Self { interface, side }
    }

    fn shape(self, id: ShapeId) -> &'a Shape {
        &self.interface.types[id]
    }

    /// The ways in which a value of the type may look: the branches of an alternate.
    fn options(self, id: ShapeId) -> Vec<ShapeId> {
        let mut options = Vec::new();
        let mut open = vec![id];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            match self.shape(id) {
                _ if !seen.insert(id) => {}
                Shape::Alternate(branches) => open.extend(branches.iter().rev()),
                Shape::Scalar(_) | Shape::Enum(_) | Shape::Array(_) | Shape::Object(_) => {
                    options.push(id);
                }
            }
        }
        options
    }
}

struct Comparison<'a> {
    client: Party<'a>,
    server: Party<'a>,
    perspective: Perspective,
    /// Pairs of types of sender and receiver that were compared.
    seen: HashSet<(ShapeId, ShapeId, Flow)>,
    path: Path,
    changes: Vec<Change>,
}

impl<'a> Comparison<'a> {
    fn compare_commands(&mut self) {
        for (name, known) in &self.client.interface.commands {
            self.path = Path::of_command(name);
            let Some(command) = self.server.interface.commands.get(name) else {
                self.report(
                    Code::CommandGone,
                    Subject::Whole,
                    self.client.side,
                    &known.common,
                );
                continue;
            };
            self.path.stand_at(command.common.span);
            self.compare_common(&known.common, &command.common, &Subject::Whole);
            if known.allows_oob && !command.allows_oob {
                let common = &command.common;
                self.report(
                    Code::OutOfBandGone,
                    Subject::Whole,
                    self.server.side,
                    common,
                );
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
            self.compare_types(known.arguments, command.arguments, Flow::Send);
            self.path.enter_result();
            self.compare_types(command.returns, known.returns, Flow::Receive);
        }
    }

    fn compare_events(&mut self) {
        for (name, known) in &self.client.interface.events {
            self.path = Path::of_event(name);
            let Some(event) = self.server.interface.events.get(name) else {
                self.report(
                    Code::EventGone,
                    Subject::Whole,
                    self.client.side,
                    &known.common,
                );
                continue;
            };
            self.path.stand_at(event.common.span);
            self.compare_common(&known.common, &event.common, &Subject::Whole);
            self.compare_types(event.data, known.data, Flow::Receive);
        }
    }

    /// Who sends the values that flow this way, and who receives them.
    fn parties(&self, flow: Flow) -> (Party<'a>, Party<'a>) {
        match flow {
            Flow::Send => (self.client, self.server),
            Flow::Receive => (self.server, self.client),
        }
    }

    /// Every value of type `from` of the sender must be one of type `to` of the receiver.
    fn compare_types(&mut self, from: ShapeId, to: ShapeId, flow: Flow) {
        if self.path.depth() > MAX_DEPTH || !self.seen.insert((from, to, flow)) {
            return;
        }
        let (sender, receiver) = self.parties(flow);
        let accepted = receiver.options(to);
        for option in sender.options(from) {
            let shape = sender.shape(option);
            let takes = |id: &ShapeId| takes(receiver.shape(*id), shape);
            match accepted.iter().copied().find(takes) {
                Some(target) => {
                    self.compare_features(option, target, flow);
                    self.compare_shapes(shape, receiver.shape(target), flow);
                }
                None => {
                    let kinds: Vec<_> = accepted
                        .iter()
                        .map(|id| kind(receiver.shape(*id)))
                        .collect();
                    let subject = Subject::Kind(kind(shape), kinds.join(" or "));
                    let code = match flow {
                        Flow::Send => Code::ArgumentKind,
                        Flow::Receive => Code::ResultKind,
                    };
                    self.report(code, subject, self.server.side, &Common::default());
                }
            }
        }
    }

    fn compare_shapes(&mut self, from: &'a Shape, to: &'a Shape, flow: Flow) {
        match (from, to) {
            (Shape::Scalar(from), Shape::Scalar(to)) => self.compare_ranges(*from, *to, flow),
            (Shape::Enum(from), Shape::Enum(to)) => self.compare_values(from, to, flow),
            (Shape::Array(from), Shape::Array(to)) => {
                self.path.enter("[]", None);
                self.compare_types(*from, *to, flow);
                self.path.leave();
            }
            (Shape::Object(from), Shape::Object(to)) => {
                self.compare_members(from, to, None, flow);
                self.compare_branches(from, to, flow);
            }
            // An enumeration is a string that anybody may read, and any value is taken by 'any'.
            _ => {}
        }
    }

    fn compare_ranges(&mut self, from: Scalar, to: Scalar, flow: Flow) {
        let (Scalar::Int(Some(from)), Scalar::Int(Some(to))) = (from, to) else {
            return;
        };
        if to.0 <= from.0 && from.1 <= to.1 {
            return;
        }
        let (code, now) = match flow {
            Flow::Send => (Code::RangeNarrower, to),
            Flow::Receive => (Code::RangeWider, from),
        };
        let subject = Subject::Range(now.0, now.1);
        self.report(code, subject, self.server.side, &Common::default());
    }

    fn compare_values(&mut self, from: &[EnumValue], to: &[EnumValue], flow: Flow) {
        let (sender, _) = self.parties(flow);
        let known: hashbrown::HashMap<&str, &EnumValue> =
            to.iter().map(|value| (&*value.name, value)).collect();
        for value in from {
            let subject = Subject::Value(value.name.clone());
            match known.get(&*value.name) {
                Some(other) => match flow {
                    Flow::Send => self.compare_common(&value.common, &other.common, &subject),
                    Flow::Receive => self.compare_common(&other.common, &value.common, &subject),
                },
                None => {
                    let code = match flow {
                        Flow::Send => Code::ArgumentValueGone,
                        Flow::Receive => Code::ResultValueNew,
                    };
                    self.report(code, subject, sender.side, &value.common);
                }
            }
        }
    }

    /// Compares members; those of `base` are there as well on the other side, if it is one of two
    /// objects whose branches are compared.
    fn compare_members(
        &mut self,
        from: &'a Object,
        to: &'a Object,
        base: Option<Bases<'a>>,
        flow: Flow,
    ) {
        let (sender, receiver) = self.parties(flow);
        let base_from = base.map(|base| base.from);
        let base_to = base.map(|base| base.to);
        for member in &from.members {
            let found = to.member(&member.name);
            let found = found.or_else(|| base_to.and_then(|base| base.member(&member.name)));
            match found {
                Some(other) => self.compare_member(member, other, flow),
                None if flow == Flow::Send => {
                    let subject = Subject::Member(member.name.clone());
                    self.report(Code::ArgumentGone, subject, sender.side, &member.common);
                }
                // Who receives ignores what it does not know.
                None => {}
            }
        }
        for member in &to.members {
            let is_sent = from.member(&member.name).is_some()
                || base_from.is_some_and(|base| base.member(&member.name).is_some());
            if is_sent {
                continue;
            }
            let code = match (flow, member.is_optional) {
                (Flow::Send, false) => Code::ArgumentMandatory,
                (Flow::Send, true) => continue,
                (Flow::Receive, false) => Code::ResultGone,
                (Flow::Receive, true) => Code::OptionalResultGone,
            };
            let subject = Subject::Member(member.name.clone());
            self.report(code, subject, receiver.side, &member.common);
        }
    }

    fn compare_member(&mut self, from: &'a Member, to: &'a Member, flow: Flow) {
        let subject = Subject::Member(from.name.clone());
        let (known, now) = match flow {
            Flow::Send => (from, to),
            Flow::Receive => (to, from),
        };
        self.compare_common(&known.common, &now.common, &subject);
        if from.is_optional && !to.is_optional {
            let code = match flow {
                Flow::Send => Code::ArgumentBecameMandatory,
                Flow::Receive => Code::ResultBecameOptional,
            };
            self.report(code, subject, self.server.side, &now.common);
        }
        let (from_shape, to_shape) = (from.shape, to.shape);
        self.path.enter(&from.name, now.common.span);
        self.compare_types(from_shape, to_shape, flow);
        self.path.leave();
    }

    /// Members that depend on the tag. What no value of the tag leads to was reported with the tag.
    fn compare_branches(&mut self, from: &'a Object, to: &'a Object, flow: Flow) {
        let (sender, receiver) = self.parties(flow);
        let cases = from.branches.iter().chain(&to.branches);
        let mut seen = HashSet::new();
        for (case, _) in cases.filter(|(case, _)| seen.insert(case)) {
            let branch = |party: Party<'a>, object: &'a Object| {
                object.branch(case).map(|id| (id, party.shape(id)))
            };
            let (theirs, ours) = (branch(sender, from), branch(receiver, to));
            if from.tag.is_some() && theirs.is_none() || to.tag.is_some() && ours.is_none() {
                // The value itself is known to one side only.
                continue;
            }
            // No type has the position that stands for no branch.
            let id = |branch: Option<(ShapeId, &Shape)>| branch.map_or(ShapeId::MAX, |(id, _)| id);
            if self.path.depth() > MAX_DEPTH || !self.seen.insert((id(theirs), id(ours), flow)) {
                continue;
            }
            let (Some(theirs), Some(ours)) = (as_object(theirs), as_object(ours)) else {
                continue;
            };
            let bases = Bases { from, to };
            self.path
                .enter_case(from.tag.as_deref().or(to.tag.as_deref()), case);
            self.compare_members(theirs, ours, Some(bases), flow);
            self.compare_branches(theirs, ours, flow);
            self.path.leave_case();
        }
    }

    /// What the types themselves are marked with.
    fn compare_features(&mut self, from: ShapeId, to: ShapeId, flow: Flow) {
        let (sender, receiver) = self.parties(flow);
        let features = |party: Party<'a>, id: ShapeId| Common {
            features: party.interface.features[id].clone(),
            ..Common::default()
        };
        let (from, to) = (features(sender, from), features(receiver, to));
        match flow {
            Flow::Send => self.compare_common(&from, &to, &Subject::Type),
            Flow::Receive => self.compare_common(&to, &from, &Subject::Type),
        }
    }

    /// What client (`known`) and server (`now`) say about one thing.
    fn compare_common(&mut self, known: &Common, now: &Common, subject: &Subject) {
        let (known_names, now_names) = (FeatureNames::of(known), FeatureNames::of(now));
        for name in &now.features {
            let code = match name.as_str() {
                _ if known_names.has(name) => continue,
                "deprecated" => Code::BecameDeprecated,
                "unstable" => Code::BecameUnstable,
                _ => continue,
            };
            self.report(code, subject.clone(), self.server.side, now);
        }
        for name in &known.features {
            let is_special = matches!(name.as_str(), "deprecated" | "unstable");
            if !is_special && !now_names.has(name) {
                let subject = Subject::Feature(Box::new(subject.clone()), name.clone());
                self.report(Code::FeatureGone, subject, self.server.side, now);
            }
        }
        if !now.condition.is_empty() && now.condition != known.condition {
            let subject = Subject::Condition(Box::new(subject.clone()), now.condition.clone());
            self.report(Code::BecameConditional, subject, self.server.side, now);
        }
    }

    fn report(&mut self, code: Code, subject: Subject, side: Side, place: &Common) {
        let is_note = level(code) == Level::Warn;
        if is_note && self.perspective == Perspective::Servers {
            return;
        }
        let text = message(code, &subject, &self.path, self.perspective);
        // Places along the path are the server's.
        let known = self.path.span().filter(|_| side == self.server.side);
        let span = place.span.or(known);
        let diagnostic = match span {
            Some(span) => Diagnostic::new(code, text, span),
            None => Diagnostic::unplaced(code, text),
        };
        let level = level(code);
        self.changes.push(Change {
            side,
            diagnostic: Diagnostic {
                level,
                ..diagnostic
            },
        });
    }
}

/// The features of one thing: a scan while they are few, then a set.
struct FeatureNames<'a> {
    list: &'a [String],
    set: HashSet<&'a str>,
}

impl<'a> FeatureNames<'a> {
    fn of(common: &'a Common) -> Self {
        const FEW: usize = 8;
        let list = &common.features[..];
        let names = list.iter().map(String::as_str);
        let set = if list.len() > FEW {
            names.collect()
        } else {
            HashSet::new()
        };
        Self { list, set }
    }

    fn has(&self, name: &str) -> bool {
        if self.set.is_empty() {
            self.list.iter().any(|known| known == name)
        } else {
            self.set.contains(name)
        }
    }
}

/// The objects whose branches are compared.
#[derive(Clone, Copy)]
struct Bases<'a> {
    from: &'a Object,
    to: &'a Object,
}

/// The members of a branch; a value of the tag without one has none.
fn as_object(branch: Option<(ShapeId, &Shape)>) -> Option<&Object> {
    static NONE: Object = Object {
        members: Vec::new(),
        tag: None,
        branches: Vec::new(),
        members_by_name: ByName::new(),
        branches_by_name: ByName::new(),
    };
    match branch {
        Some((_, Shape::Object(object))) => Some(object),
        Some(_) => None,
        None => Some(&NONE),
    }
}

/// Whether the receiver takes JSON values of the sender's kind.
fn takes(to: &Shape, from: &Shape) -> bool {
    match (to, from) {
        (Shape::Scalar(Scalar::Any), _) => true,
        (Shape::Scalar(Scalar::Number), Shape::Scalar(Scalar::Int(_))) => true,
        (Shape::Scalar(Scalar::Int(_)), Shape::Scalar(Scalar::Int(_))) => true,
        (Shape::Scalar(to), Shape::Scalar(from)) => to == from,
        (Shape::Enum(_), Shape::Enum(_)) => true,
        (Shape::Scalar(Scalar::String), Shape::Enum(_)) => true,
        (Shape::Array(_), Shape::Array(_)) => true,
        (Shape::Object(_), Shape::Object(_)) => true,
        _ => false,
    }
}

fn kind(shape: &Shape) -> &'static str {
    match shape {
        Shape::Scalar(Scalar::String) => "a string",
        Shape::Scalar(Scalar::Number) => "a number",
        Shape::Scalar(Scalar::Int(_)) => "an integer",
        Shape::Scalar(Scalar::Bool) => "a boolean",
        Shape::Scalar(Scalar::Null) => "null",
        Shape::Scalar(Scalar::Any) => "any value",
        Shape::Enum(_) => "one of a few strings",
        Shape::Array(_) => "an array",
        Shape::Object(_) | Shape::Alternate(_) => "an object",
    }
}

/// Whether a change breaks somebody, or is worth knowing only.
fn level(code: Code) -> Level {
    match code {
        Code::ResultValueNew
        | Code::OptionalResultGone
        | Code::RangeWider
        | Code::BecameDeprecated
        | Code::BecameUnstable
        | Code::FeatureGone
        | Code::BecameConditional => Level::Warn,
        _ => Level::Deny,
    }
}
