//! What definitions say about each other: references, collisions, documentation.

mod alternate;
mod clash;
mod documentation;
mod features;
mod members;
mod object;

use std::hash::BuildHasher as _;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::draft::{DraftBranch, Named};
use super::error::SchemaError;
use super::graph::{Graph, Node, NodeId, NodeKind};
use crate::diagnostic::{Diagnostic, Related, Report};
use crate::ir::{EnumValue, ExceptionKind, ObjectKind, Pragmas};
use crate::limits::{MAX_REPEATED, REPEATED_PER_LISTED};
use crate::naming::{collide, collision_key};
use crate::source::{SourceMap, Span};
use crate::text::{ByName, Nearest};

/// Names whose absence is the fault of another mistake.
pub(super) struct Excused {
    /// Definitions that were lost to a mistake.
    pub(super) names: HashSet<String>,
    /// A whole file was lost, so any name may be missing.
    pub(super) all: bool,
}

/// What the names in a graph stand for.
pub(super) struct Resolved {
    /// Where in `types` those of a node begin.
    starts: Vec<u32>,
    /// The types of members, branches and elements, in order.
    types: Ids,
    /// For each node its base, its arguments and its result.
    pub(super) bases: Ids,
    pub(super) returns: Ids,
    /// For each union the type of its discriminator.
    pub(super) tags: Ids,
}

/// A node for each of many things, or `None`.
pub(super) struct Ids(Vec<u32>);

impl Ids {
    fn none(n: usize) -> Self {
        Self(vec![0; n])
    }

    pub(super) fn get(&self, index: usize) -> Option<NodeId> {
        self.0[index].checked_sub(1).map(|id| id as usize)
    }

    fn set(&mut self, index: usize, id: Option<NodeId>) {
        // There are fewer nodes than bytes of a schema, which fit 32 bits.
        self.0[index] = id.map_or(0, |id| id as u32 + 1);
    }
}

impl Resolved {
    fn new(graph: &Graph) -> Self {
        let n = graph.nodes.len();
        let mut n_types = 0;
        let mut starts = Vec::with_capacity(n);
        for node in &graph.nodes {
            // There are fewer of them than bytes of a schema, which fit 32 bits.
            starts.push(n_types as u32);
            n_types += n_parts(node);
        }
        Self {
            starts,
            types: Ids::none(n_types),
            bases: Ids::none(n),
            returns: Ids::none(n),
            tags: Ids::none(n),
        }
    }

    /// The type of a member, branch or element; `None` stands for one whose mistake was reported.
    pub(super) fn part(&self, id: NodeId, index: usize) -> Option<NodeId> {
        self.types.get(self.starts[id] as usize + index)
    }

    /// The types of all members, branches or elements of `node`, whose id this is.
    pub(super) fn parts(
        &self,
        id: NodeId,
        node: &Node,
    ) -> impl DoubleEndedIterator<Item = Option<NodeId>> + use<'_> {
        (0..n_parts(node)).map(move |index| self.part(id, index))
    }

    fn set_part(&mut self, id: NodeId, index: usize, ty: Option<NodeId>) {
        self.types.set(self.starts[id] as usize + index, ty);
    }
}

/// How many types a node has: those of its members, of its branches, or of its elements.
fn n_parts(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Array { .. } => 1,
        NodeKind::Object {
            members, variants, ..
        } => members.len() + variants.as_ref().map_or(0, |it| it.branches.len()),
        NodeKind::Alternate { branches } => branches.len(),
        NodeKind::Include(_)
        | NodeKind::Builtin(_)
        | NodeKind::Enum { .. }
        | NodeKind::Command { .. }
        | NodeKind::Event { .. } => 0,
    }
}

/// A member of an object, by the node that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MemberRef {
    owner: NodeId,
    index: usize,
}

/// What an object has of its bases and itself.
#[derive(Clone, Copy, Default)]
struct Inherited {
    /// How many bases it has, each the base of the next.
    n_bases: u32,
    n_members: u32,
    /// Whether a member has a condition.
    is_conditional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unchecked,
    Checking,
    Checked,
}

/// Resolves every name in `graph`, in the order of its nodes.
pub(super) fn resolve(
    graph: &Graph,
    sources: &SourceMap,
    pragmas: &Pragmas,
    excused: &Excused,
    report: &mut Report,
) -> Resolved {
    let n = graph.nodes.len();
    let mut resolver = Resolver {
        graph,
        sources,
        pragmas,
        excused,
        report,
        states: vec![State::Unchecked; n],
        inherited: vec![Inherited::default(); n],
        tables: members::Tables::default(),
        clashes: clash::Clashes::default(),
        values: HashMap::new(),
        n_repeated: 0,
        max_repeated: max_repeated(graph),
        nearest: Nearest::default(),
        explained: HashSet::new(),
        resolved: Resolved::new(graph),
    };
    for id in 0..n {
        resolver.check_node(id);
        resolver.connect_doc(id);
    }
    resolver.check_docs();
    resolver.count_features();
    resolver.resolved
}

struct Resolver<'a> {
    graph: &'a Graph,
    sources: &'a SourceMap,
    pragmas: &'a Pragmas,
    excused: &'a Excused,
    report: &'a mut Report,
    states: Vec<State>,
    /// For each object what it takes over from its bases.
    inherited: Vec<Inherited>,
    tables: members::Tables,
    clashes: clash::Clashes,
    /// The values of large enumerations.
    values: HashMap<NodeId, ByName>,
    /// How many members and branches types have that they do not list.
    n_repeated: usize,
    /// How many they may have; without limit after the diagnostic.
    max_repeated: usize,
    nearest: Nearest,
    /// Descriptions of nothing whose mistake was reported together with a missing one.
    explained: HashSet<Span>,
    resolved: Resolved,
}

impl<'a> Resolver<'a> {
    fn node(&self, id: NodeId) -> &'a Node {
        &self.graph.nodes[id]
    }

    fn diagnostic(
        &self,
        node: &Node,
        error: &SchemaError,
        span: impl Into<Option<Span>>,
    ) -> Diagnostic {
        let span = span.into();
        let diagnostic =
            Diagnostic::new(error.code(), error.to_string(), span).in_definition(node.definition());
        match node.span.or(span) {
            Some(line) => diagnostic.at_line(line),
            None => diagnostic,
        }
    }

    fn error(&mut self, node: &Node, error: &SchemaError, span: impl Into<Option<Span>>) {
        let diagnostic = self.diagnostic(node, error, span);
        self.report.push(diagnostic);
    }

    fn check_node(&mut self, id: NodeId) {
        let node = self.node(id);
        match &node.kind {
            NodeKind::Include(_) | NodeKind::Builtin(_) => {}
            NodeKind::Enum { values, .. } => {
                self.check_type_features(node);
                let placed = |value: &'a EnumValue| Some((value.name.as_str(), value.span?));
                self.check_names(node, "value", "", values.iter().filter_map(placed));
            }
            NodeKind::Array { element, mention } => {
                let element = match *mention {
                    Some(span) => {
                        let meta = node.context().map_or("array", |(kind, _)| kind.as_str());
                        let name = element.clone();
                        self.lookup(node, &Named { name, span }, |_| meta.to_owned())
                    }
                    None => self.graph.find(element),
                };
                self.resolved.set_part(id, 0, element);
            }
            NodeKind::Object { .. } => {
                self.check_object(id);
            }
            NodeKind::Alternate { branches } => self.check_alternate(id, node, branches),
            NodeKind::Command {
                arguments,
                returns,
                flags,
            } => {
                self.check_features(node);
                self.check_arguments(id, "command", arguments.as_ref(), flags.boxed);
                self.check_returns(id, returns.as_ref());
            }
            NodeKind::Event { arguments, boxed } => {
                self.check_features(node);
                self.check_arguments(id, "event", arguments.as_ref(), *boxed);
            }
        }
    }

    /// The type called `named`; `None` after a mistake was reported.
    fn lookup(
        &mut self,
        node: &Node,
        named: &Named,
        what: impl FnOnce(&Self) -> String,
    ) -> Option<NodeId> {
        let found = self.graph.find(&named.name);
        if let Some(id) = found.filter(|id| self.node(*id).is_type()) {
            return Some(id);
        }
        let is_excused = self.excused.all
            || (found.is_none()
                && std::iter::once(&*named.name)
                    .chain(named.name.strip_suffix("List"))
                    .any(|name| self.excused.names.contains(name)));
        if !is_excused {
            let error = SchemaError::UnknownType {
                what: what(self),
                name: named.name.to_string(),
            };
            let help = self
                .near_type(&named.name)
                .map(|near| format!("a type with a similar name exists: '{near}'"));
            let diagnostic = self.diagnostic(node, &error, named.span).with_help(help);
            self.report.push(diagnostic);
        }
        None
    }

    fn near_type(&self, name: &str) -> Option<&'a str> {
        let types = self.graph.nodes.iter();
        let types = types.filter(|node| node.is_type() && node.has_own_name());
        self.nearest
            .find(name, types.map(|node| node.name.as_str()))
    }

    /// No two of `names` may collide; `of` says in messages whose names they are.
    fn check_names<'n>(
        &mut self,
        node: &Node,
        role: &str,
        of: &str,
        names: impl Iterator<Item = (&'n str, Span)>,
    ) {
        let names: Vec<(&str, Span)> = names.collect();
        let mut seen = Seen::new(&names);
        for (index, &(name, span)) in names.iter().enumerate() {
            if let Some((first, first_span)) = seen.replace(index) {
                let ours = format!("{role} '{name}'{of}");
                let theirs = format!("{role} '{first}'{of}");
                self.report_collision(node, ours, span, theirs, first_span);
            }
        }
    }

    fn report_collision(
        &mut self,
        node: &Node,
        ours: String,
        span: Span,
        theirs: String,
        first: Span,
    ) {
        let error = SchemaError::Collision(ours, theirs.clone());
        let related = Related {
            span: first,
            message: theirs,
            line: None,
            definition: None,
        };
        let diagnostic = self.diagnostic(node, &error, span).with_related(related);
        self.report.push(diagnostic);
    }

    fn check_arguments(
        &mut self,
        id: NodeId,
        meta: &'static str,
        arguments: Option<&Named>,
        boxed: bool,
    ) {
        let Some(arguments) = arguments else { return };
        let node = self.node(id);
        let Some(type_id) = self.lookup(node, arguments, |_| format!("{meta}'s 'data'")) else {
            return;
        };
        let ty = self.node(type_id);
        let NodeKind::Object { variants, .. } = &ty.kind else {
            let error = SchemaError::ArgumentType(meta, ty.describe());
            return self.error(node, &error, arguments.span);
        };
        self.resolved.bases.set(id, Some(type_id));
        if variants.is_some() && !boxed {
            let error = SchemaError::UnionNotBoxed(meta, ty.describe());
            return self.error(node, &error, arguments.span);
        }
        self.check_object(type_id);
        if !boxed && self.inherited[type_id].is_conditional {
            self.error(
                node,
                &SchemaError::ConditionalNotBoxed(meta),
                arguments.span,
            );
        }
    }

    fn check_returns(&mut self, id: NodeId, returns: Option<&Named>) {
        let Some(returns) = returns else { return };
        let node = self.node(id);
        let what = |_: &Self| "command's 'returns'".to_owned();
        let Some(type_id) = self.lookup(node, returns, what) else {
            return;
        };
        self.resolved.returns.set(id, Some(type_id));
        if self
            .pragmas
            .excepts(ExceptionKind::CommandReturns, &node.name)
        {
            return;
        }
        let ty = self.node(type_id);
        let element = match &ty.kind {
            NodeKind::Array { element, .. } => match self.graph.find(element) {
                Some(element) => self.node(element),
                // The array itself has that mistake.
                None => return,
            },
            _ => ty,
        };
        if !matches!(element.kind, NodeKind::Object { .. }) {
            let error = SchemaError::ReturnType(ty.describe());
            let (exceptions, command) = (ExceptionKind::CommandReturns.as_str(), &node.name);
            let help = format!("the pragma '{exceptions}' with '{command}' in its list allows it");
            let diagnostic = self.diagnostic(node, &error, returns.span);
            self.report.push(diagnostic.with_help(Some(help)));
        }
    }

    /// The member in the reference's words, seen from `node`.
    fn describe(&self, member: MemberRef, node: &Node) -> String {
        let owner = self.node(member.owner);
        let owner_name = owner.owner_name();
        let name = &self.member(member).name;
        let (role, kind) = match owner.object_kind() {
            Some(ObjectKind::Arguments) => ("parameter", "command"),
            Some(ObjectKind::Base) => ("base member", "type"),
            Some(ObjectKind::Struct | ObjectKind::Union | ObjectKind::Empty) | None => {
                ("member", "type")
            }
        };
        let is_own = node.context().is_some_and(|(_, name)| name == owner_name);
        if is_own {
            format!("{role} '{name}'")
        } else {
            format!("{role} '{name}' of {kind} '{owner_name}'")
        }
    }

    /// Resolves the type of a branch, of a union or of an alternate.
    fn branch_type(&mut self, node: &Node, branch: &DraftBranch) -> Option<NodeId> {
        let named = Named {
            name: branch.type_ref.full_name(),
            span: branch.type_ref.span,
        };
        self.lookup(node, &named, |_| format!("branch '{}'", branch.name))
    }
}

/// How many members and branches the types of `graph` may have that they do not list.
fn max_repeated(graph: &Graph) -> usize {
    let n_listed = graph.nodes.iter().map(|node| match &node.kind {
        NodeKind::Object {
            members, variants, ..
        } => {
            let branches = variants.as_ref().map_or(0, |it| it.branches.len());
            members.len() + branches + 1
        }
        NodeKind::Include(_)
        | NodeKind::Builtin(_)
        | NodeKind::Enum { .. }
        | NodeKind::Array { .. }
        | NodeKind::Alternate { .. }
        | NodeKind::Command { .. }
        | NodeKind::Event { .. } => 0,
    });
    MAX_REPEATED + REPEATED_PER_LISTED * n_listed.sum::<usize>()
}

/// Names of a list that were met, of each the last one: a scan while they are few, then a table.
struct Seen<'n> {
    names: &'n [(&'n str, Span)],
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<'n> Seen<'n> {
    fn new(names: &'n [(&'n str, Span)]) -> Self {
        let n_tabled = if names.len() > FEW_NAMES {
            names.len()
        } else {
            0
        };
        Self {
            names,
            table: HashTable::with_capacity(n_tabled),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// Adds the name at `index`, and gives the last one that it collides with.
    fn replace(&mut self, index: usize) -> Option<(&'n str, Span)> {
        let Self {
            names,
            table,
            hasher,
        } = self;
        let name = names[index].0;
        if names.len() <= FEW_NAMES {
            let mut before = names[..index].iter().rev();
            return before.find(|(other, _)| collide(other, name)).copied();
        }
        let hash = |index: &u32| hasher.hash_one(&*collision_key(names[*index as usize].0));
        // A schema has fewer names than bytes, which fit 32 bits.
        let own = index as u32;
        let is_same = |other: &u32| collide(names[*other as usize].0, name);
        match table.entry(hash(&own), is_same, hash) {
            Entry::Occupied(mut last) => {
                let before = std::mem::replace(last.get_mut(), own);
                Some(names[before as usize])
            }
            Entry::Vacant(free) => {
                free.insert(own);
                None
            }
        }
    }
}

/// Up to this many names a scan is faster than a table.
const FEW_NAMES: usize = 16;
