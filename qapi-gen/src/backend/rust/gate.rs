//! Conditions as far as the configuration leaves them open, and their `#[cfg(...)]`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::layout::{self, MAX_WIDTH};
use crate::ir::{Condition, Configuration};
use crate::steps::step;

/// What is left of a condition that neither holds nor fails under the configuration.
///
/// Most things are always there, and a schema has many of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Gate(Option<Arc<Condition>>);

static ALWAYS: Condition = Condition::Always;

impl Gate {
    pub(super) const ALWAYS: Self = Self(None);

    fn of(condition: Condition) -> Self {
        Self((!condition.is_always()).then(|| Arc::new(condition)))
    }

    fn condition(&self) -> &Condition {
        self.0.as_deref().unwrap_or(&ALWAYS)
    }

    pub(super) fn is_always(&self) -> bool {
        self.0.is_none()
    }

    /// Both hold.
    pub(super) fn and(&self, other: &Self) -> Self {
        if self.is_always() || self == other {
            return other.clone();
        }
        if other.is_always() {
            return self.clone();
        }
        let mut operands = Vec::new();
        for gate in [self, other] {
            match gate.condition() {
                Condition::All(all) => operands.extend(all.iter().cloned()),
                open => operands.push(open.clone()),
            }
        }
        dedup(&mut operands);
        Self::of(Condition::All(operands))
    }

    /// One of them holds.
    pub(super) fn any(gates: &[Self]) -> Self {
        if gates.iter().any(Self::is_always) {
            return Self::ALWAYS;
        }
        let mut operands = Vec::new();
        for gate in gates {
            match gate.condition() {
                Condition::Any(any) => operands.extend(any.iter().cloned()),
                open => operands.push(open.clone()),
            }
        }
        dedup(&mut operands);
        match operands.len() {
            1 => Self::of(operands.swap_remove(0)),
            _ => Self::of(Condition::Any(operands)),
        }
    }

    /// It does not hold; `None` when that cannot be.
    pub(super) fn negated(&self) -> Option<Self> {
        match self.condition() {
            Condition::Always => None,
            Condition::Not(operand) => Some(Self::of((**operand).clone())),
            open => Some(Self::of(Condition::Not(Box::new(open.clone())))),
        }
    }

    pub(super) fn names<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        names.extend(self.condition().names());
    }
}

fn dedup(operands: &mut Vec<Condition>) {
    let mut kept = Distinct::default();
    for operand in operands.drain(..) {
        kept.insert(operand);
    }
    *operands = kept.list;
}

/// Each of some values once, in the order in which they came: a scan while they are few, then a set.
#[derive(Debug)]
struct Distinct<T> {
    list: Vec<T>,
    set: HashSet<T>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            set: HashSet::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Distinct<T> {
    fn insert(&mut self, value: T) {
        const FEW: usize = 8;
        let is_known = |known: &T| {
            step();
            *known == value
        };
        if self.list.len() < FEW {
            if !self.list.iter().any(is_known) {
                self.list.push(value);
            }
            return;
        }
        if self.set.is_empty() {
            self.set.extend(self.list.iter().cloned());
        }
        if self.set.insert(value.clone()) {
            self.list.push(value);
        }
    }
}

/// Gates of which one at least opens.
#[derive(Debug, Default)]
pub(super) struct Gates {
    distinct: Distinct<Gate>,
    has_always: bool,
}

impl Gates {
    pub(super) fn insert(&mut self, gate: Gate) {
        self.has_always |= gate.is_always();
        self.distinct.insert(gate);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.distinct.list.is_empty()
    }

    /// Whether one is always open.
    pub(super) fn has_always(&self) -> bool {
        self.has_always
    }

    /// One of them holds.
    pub(super) fn any(&self) -> Gate {
        Gate::any(&self.distinct.list)
    }
}

/// Reduces `condition`; `None` when it fails.
pub(super) fn reduce(condition: &Condition, configuration: &Configuration) -> Option<Gate> {
    match condition.resolve(configuration) {
        Some(true) => Some(Gate::ALWAYS),
        Some(false) => None,
        None => Some(Gate::of(open_part(condition, configuration))),
    }
}

/// The part of an open condition that is open.
fn open_part(condition: &Condition, configuration: &Configuration) -> Condition {
    let open_operands = |operands: &[Condition]| {
        let open = operands
            .iter()
            .filter(|operand| operand.resolve(configuration).is_none());
        open.map(|operand| open_part(operand, configuration))
            .collect::<Vec<_>>()
    };
    let (mut operands, join): (_, fn(Vec<Condition>) -> Condition) = match condition {
        Condition::Always | Condition::Name(_) => return condition.clone(),
        Condition::Not(operand) => {
            return match open_part(operand, configuration) {
                Condition::Not(operand) => *operand,
                open => Condition::Not(Box::new(open)),
            };
        }
        Condition::All(operands) => (open_operands(operands), Condition::All),
        Condition::Any(operands) => (open_operands(operands), Condition::Any),
    };
    dedup(&mut operands);
    if operands.len() == 1 {
        operands.swap_remove(0)
    } else {
        join(operands)
    }
}

/// The Cargo feature that stands for a name: `CONFIG_FOO` is `config-foo`.
pub(super) fn default_feature(name: &str) -> String {
    name.trim_matches('_')
        .to_ascii_lowercase()
        .replace('_', "-")
}

/// Prints `#[cfg(...)]` attributes.
#[derive(Debug, Default, Clone)]
pub(super) struct CfgMapping {
    /// The predicate for a name; for others it is their feature.
    pub(super) predicates: BTreeMap<String, String>,
}

/// A predicate as a tree of attribute items.
enum Meta {
    Leaf(String),
    List(&'static str, Vec<Meta>),
}

/// rustfmt's `attr_fn_like_width`.
const ATTR_WIDTH: usize = 70;

impl CfgMapping {
    fn meta(&self, condition: &Condition) -> Meta {
        let metas =
            |operands: &[Condition]| operands.iter().map(|operand| self.meta(operand)).collect();
        match condition {
            Condition::Always => Meta::List("all", Vec::new()),
            Condition::Name(name) => Meta::Leaf(match self.predicates.get(name) {
                Some(predicate) => predicate.clone(),
                None => format!("feature = \"{}\"", default_feature(name)),
            }),
            Condition::Not(operand) => Meta::List("not", vec![self.meta(operand)]),
            Condition::All(operands) => Meta::List("all", metas(operands)),
            Condition::Any(operands) => Meta::List("any", metas(operands)),
        }
    }

    /// The attribute with its line end, indented; nothing when the gate is always open.
    pub(super) fn attribute(&self, out: &mut String, indent: usize, gate: &Gate) {
        if gate.is_always() {
            return;
        }
        Meta::List("cfg", vec![self.meta(gate.condition())]).print_attribute(out, indent);
    }
}

/// Why our own code may name what it marks as deprecated.
const REASON: &str = "reason = \"handled like everything else\"";

impl CfgMapping {
    /// `#[deprecated]` under `gate`.
    pub(super) fn deprecated(
        &self,
        out: &mut String,
        indent: usize,
        gate: &Gate,
        note: Option<&str>,
    ) {
        let attribute = match note {
            Some(note) => format!("deprecated = {note:?}"),
            None => "deprecated".to_owned(),
        };
        self.conditional(out, indent, gate, Meta::Leaf(attribute));
    }

    /// `#[expect(deprecated)]` under `gate`: the item names something deprecated.
    pub(super) fn expect_deprecated(&self, out: &mut String, indent: usize, gate: &Gate) {
        self.expect(out, indent, gate, ["deprecated", REASON]);
    }

    /// `#[expect(...)]` under `gate`.
    pub(super) fn expect(&self, out: &mut String, indent: usize, gate: &Gate, items: [&str; 2]) {
        let items = items.map(|item| Meta::Leaf(item.to_owned()));
        self.conditional(out, indent, gate, Meta::List("expect", Vec::from(items)));
    }

    fn conditional(&self, out: &mut String, indent: usize, gate: &Gate, meta: Meta) {
        let meta = if gate.is_always() {
            meta
        } else {
            Meta::List("cfg_attr", vec![self.meta(gate.condition()), meta])
        };
        meta.print_attribute(out, indent);
    }
}

impl Meta {
    fn print_attribute(&self, out: &mut String, indent: usize) {
        layout::indent(out, indent);
        out.push_str("#[");
        self.print(
            out,
            indent,
            (MAX_WIDTH - "#[]".len()).saturating_sub(indent),
        );
        out.push_str("]\n");
    }

    fn width(&self) -> usize {
        match self {
            Self::Leaf(text) => text.chars().count(),
            Self::List(name, items) => name.len() + 2 + items_width(items),
        }
    }

    fn print_inline(&self, out: &mut String) {
        match self {
            Self::Leaf(text) => out.push_str(text),
            Self::List(name, items) => {
                out.push_str(name);
                out.push('(');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push_str(", ");
                    }
                    item.print_inline(out);
                }
                out.push(')');
            }
        }
    }

    /// Prints it in the way rustfmt lays out attributes, with so much room on the line.
    fn print(&self, out: &mut String, indent: usize, room: usize) {
        let Self::List(name, items) = self else {
            return self.print_inline(out);
        };
        // One column for each list is never used.
        let room = room.saturating_sub(name.len() + "()".len() + 1);
        if items_width(items) <= ATTR_WIDTH.min(room) {
            return self.print_inline(out);
        }
        out.push_str(name);
        out.push('(');
        if let [only @ Self::List(..)] = items.as_slice() {
            only.print(out, indent, room);
        } else {
            out.push('\n');
            let indent = indent + 4;
            for (n, item) in items.iter().enumerate() {
                layout::indent(out, indent);
                item.print(out, indent, (MAX_WIDTH - ",".len()).saturating_sub(indent));
                out.push_str(if n + 1 < items.len() { ",\n" } else { "\n" });
            }
            layout::indent(out, indent - 4);
        }
        out.push(')');
    }
}

fn items_width(items: &[Meta]) -> usize {
    let commas = items.len().saturating_sub(1) * 2;
    items.iter().map(Meta::width).sum::<usize>() + commas
}
