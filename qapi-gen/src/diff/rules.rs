//! What two types, members or values may differ in, and what that means.

use std::collections::HashSet;

use super::Perspective;
use super::compare::{Comparison, Found, Pair, Party, Side};
use super::interface::{Common, Enum, Member, Object, Scalar, Shape, ShapeId};
use super::message::{Flow, Subject, message};
use super::way::Step;
use crate::diagnostic::{Code, Diagnostic, Level};
use crate::text::ByName;

/// The branch that a value of a tag without one has: no type has this position.
const NO_BRANCH: ShapeId = ShapeId::MAX;

impl<'a> Comparison<'a> {
    /// Compares what a pair itself has; the pairs that it uses are compared later.
    pub(super) fn compare_pair(&mut self, pair: Pair) {
        match pair {
            Pair::Types { from, to, flow } => {
                let (sender, receiver) = self.parties(flow);
                self.line = self.line_of(flow.of_client(from, to));
                self.compare_features(from, to, flow);
                match (sender.shape(from), receiver.shape(to)) {
                    (Shape::Enum(from), Shape::Enum(to)) => self.compare_values(from, to, flow),
                    (Shape::Object(theirs), Shape::Object(ours)) => {
                        self.compare_members(theirs, ours, None, flow);
                        self.compare_branches([from, to], theirs, ours, flow);
                    }
                    _ => self.compare_options(from, to, flow),
                }
            }
            Pair::Branches {
                from,
                to,
                bases,
                flow,
            } => {
                let (sender, receiver) = self.parties(flow);
                let line = self.line_of(flow.of_client(from, to));
                self.line = line.or_else(|| self.line_of(flow.of_client(bases[0], bases[1])));
                let object = |id, types: &'a [Shape]| match types.get(id) {
                    Some(Shape::Object(object)) => object,
                    _ => no_members(),
                };
                let (theirs, ours) = (&sender.interface.types, &receiver.interface.types);
                let bases = Bases {
                    from: object(bases[0], theirs),
                    to: object(bases[1], ours),
                };
                let (theirs, ours) = (object(from, theirs), object(to, ours));
                self.compare_members(theirs, ours, Some(bases), flow);
                self.compare_branches([from, to], theirs, ours, flow);
            }
        }
    }

    /// Every value of type `from` of the sender must be one of type `to` of the receiver.
    ///
    /// What differs between names of types, as alternates, enumerations and objects have them, is compared once for
    /// each pair; what differs between others belongs to who uses them.
    pub(super) fn compare_types(&mut self, from: ShapeId, to: ShapeId, flow: Flow) {
        let (sender, receiver) = self.parties(flow);
        match (sender.shape(from), receiver.shape(to)) {
            (Shape::Alternate(_), Shape::Alternate(_)) => {
                self.use_pair(Pair::Types { from, to, flow });
            }
            _ => self.compare_options(from, to, flow),
        }
    }

    /// For each way in which a value of type `from` may look there has to be one in type `to`.
    fn compare_options(&mut self, from: ShapeId, to: ShapeId, flow: Flow) {
        // Arrays may hold arrays, and those that a server tells of may hold themselves.
        let mut seen = HashSet::new();
        let before = self.way;
        let mut open = vec![(from, to, before)];
        while let Some((from, to, way)) = open.pop() {
            if !seen.insert((from, to)) {
                continue;
            }
            self.way = way;
            for (from, to) in self.match_options(from, to, flow) {
                self.way = self.way.map(|way| self.ways.go_on(way, Step::Element));
                let (sender, receiver) = self.parties(flow);
                match (sender.shape(from), receiver.shape(to)) {
                    (Shape::Alternate(_), Shape::Alternate(_)) => {
                        self.use_pair(Pair::Types { from, to, flow });
                    }
                    _ => open.push((from, to, self.way)),
                }
                self.way = way;
            }
        }
        self.way = before;
    }

    /// Compares the options of two types; returns the elements of those that are arrays.
    fn match_options(&mut self, from: ShapeId, to: ShapeId, flow: Flow) -> Vec<(ShapeId, ShapeId)> {
        let (sender, receiver) = self.parties(flow);
        let accepted = receiver.options(to);
        let mut elements = Vec::new();
        for option in sender.options(from) {
            let shape = sender.shape(option);
            let takes = |id: &ShapeId| takes(receiver.shape(*id), shape);
            let Some(target) = accepted.iter().copied().find(takes) else {
                let kinds: Vec<_> = accepted
                    .iter()
                    .map(|id| kind(receiver.shape(*id)))
                    .collect();
                let subject = Subject::Kind(kind(shape), kinds.join(" or "));
                let code = match flow {
                    Flow::Send => Code::ArgumentKind,
                    Flow::Receive => Code::ResultKind,
                };
                let place = Common {
                    line: self.line_of(flow.of_client(option, to)),
                    ..Common::default()
                };
                self.report(code, subject, self.server.side, &place);
                continue;
            };
            match (shape, receiver.shape(target)) {
                (Shape::Scalar(from), Shape::Scalar(to)) => {
                    let line = self.line_of(flow.of_client(option, target));
                    self.compare_ranges(*from, *to, flow, line);
                }
                (Shape::Array(from), Shape::Array(to)) => elements.push((*from, *to)),
                (Shape::Enum(_), Shape::Enum(_)) | (Shape::Object(_), Shape::Object(_)) => {
                    self.use_pair(Pair::Types {
                        from: option,
                        to: target,
                        flow,
                    });
                }
                // An enumeration is a string that anybody may read, and any value is taken by 'any'.
                _ => self.compare_features(option, target, flow),
            }
        }
        elements
    }

    fn compare_ranges(&mut self, from: Scalar, to: Scalar, flow: Flow, line: Option<u32>) {
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
        let place = Common {
            line,
            ..Common::default()
        };
        self.report(code, subject, self.server.side, &place);
    }

    fn compare_values(&mut self, from: &Enum, to: &Enum, flow: Flow) {
        if flow == Flow::Receive && self.perspective == Perspective::Program {
            return self.compare_seen_values(to, from);
        }
        let (sender, _) = self.parties(flow);
        for value in &from.values {
            let subject = Subject::Value(value.name.clone());
            match to.value(&value.name) {
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

    /// Compares the values that a program got with those that there are. Which others it knows nobody has seen.
    fn compare_seen_values(&mut self, seen: &Enum, now: &Enum) {
        for value in &seen.values {
            let subject = Subject::Value(value.name.clone());
            match now.value(&value.name) {
                Some(now) => self.compare_common(&value.common, &now.common, &subject),
                None => self.report(
                    Code::ResultValueGone,
                    subject,
                    self.client.side,
                    &value.common,
                ),
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
                (Flow::Send, false) if from.is_partial => continue,
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
            let place = Common {
                line: known.absent.or(known.common.line),
                ..now.common.clone()
            };
            self.report(code, subject, self.server.side, &place);
        }
        let (from_shape, to_shape) = (from.shape, to.shape);
        let step = Step::Member(&from.name, now.common.span);
        self.go(step, |this| this.compare_types(from_shape, to_shape, flow));
    }

    /// Members that depend on the tag. What no value of the tag leads to was reported with the tag. `ids` are the
    /// positions of `from` and `to`.
    fn compare_branches(
        &mut self,
        ids: [ShapeId; 2],
        from: &'a Object,
        to: &'a Object,
        flow: Flow,
    ) {
        let (sender, receiver) = self.parties(flow);
        let Some(tag) = from.tag.as_deref().or(to.tag.as_deref()) else {
            return;
        };
        let cases = from.branches.iter().chain(&to.branches);
        let mut seen = HashSet::new();
        for (case, _) in cases.filter(|(case, _)| seen.insert(case)) {
            let (theirs, ours) = (from.branch(case), to.branch(case));
            if from.tag.is_some() && theirs.is_none() || to.tag.is_some() && ours.is_none() {
                // The value itself is known to one side only.
                continue;
            }
            let is_object = |shape: &Shape| matches!(shape, Shape::Object(_));
            let are_objects = theirs.is_none_or(|id| is_object(sender.shape(id)))
                && ours.is_none_or(|id| is_object(receiver.shape(id)));
            if !are_objects {
                continue;
            }
            let pair = Pair::Branches {
                from: theirs.unwrap_or(NO_BRANCH),
                to: ours.unwrap_or(NO_BRANCH),
                bases: ids,
                flow,
            };
            self.go(Step::Case { tag, case }, |this| this.use_pair(pair));
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
    pub(super) fn compare_common(&mut self, known: &Common, now: &Common, subject: &Subject) {
        let before = self.line;
        self.line = known.line.or(before);
        self.compare_marks(known, now, subject);
        self.line = before;
    }

    fn compare_marks(&mut self, known: &Common, now: &Common, subject: &Subject) {
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

    pub(super) fn report(&mut self, code: Code, subject: Subject, side: Side, place: &Common) {
        let is_note = level(code) == Level::Warn;
        let tells_notes = match self.perspective {
            Perspective::Clients | Perspective::Program => true,
            Perspective::Servers => false,
        };
        let Some(way) = self.way.filter(|_| !is_note || tells_notes) else {
            return;
        };
        // Of a program there are lines and no source.
        let side = match self.perspective {
            Perspective::Clients | Perspective::Servers => side,
            Perspective::Program => self.server.side,
        };
        let text = message(code, &subject, &self.ways.path(way), self.perspective);
        // Places along the way are the server's.
        let known = self.ways.span(way).filter(|_| side == self.server.side);
        let diagnostic = Diagnostic::new(code, text, place.span.or(known));
        let level = level(code);
        self.found.push(Found {
            side,
            diagnostic: Diagnostic {
                level,
                ..diagnostic
            },
            owner: self.ways.owner(way),
            pair: self.current,
            line: place.line.or(self.line),
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

/// What a value of the tag without a branch has.
pub(crate) fn no_members() -> &'static Object {
    static NONE: Object = Object {
        members: Vec::new(),
        tag: None,
        branches: Vec::new(),
        members_by_name: ByName::new(),
        branches_by_name: ByName::new(),
        is_partial: false,
    };
    &NONE
}

/// Whether the receiver takes JSON values of the sender's kind.
pub(crate) fn takes(to: &Shape, from: &Shape) -> bool {
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
        | Code::ResultValueGone
        | Code::OptionalResultGone
        | Code::RangeWider
        | Code::BecameDeprecated
        | Code::BecameUnstable
        | Code::FeatureGone
        | Code::BecameConditional => Level::Warn,
        _ => Level::Deny,
    }
}
