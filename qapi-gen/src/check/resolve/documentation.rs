//! Documentation against definition.

use hashbrown::HashSet;

use super::Resolver;
use crate::check::error::SchemaError;
use crate::check::graph::{DocSlot, Node, NodeId, NodeKind};
use crate::ir::{ExceptionKind, Feature, ObjectKind};
use crate::source::{SourceMap, Span};
use crate::steps::step;
use crate::syntax::ast::{Doc, SectionKind};

/// Name, place, role and features of what a documentation comment describes.
type Documented<'a> = (&'a str, Span, &'static str, &'a [Feature]);

/// The name that a section describes, and the section's line.
type NameAndLine = (Span, Span);

/// What a section with a name describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Member,
    Feature,
}

/// The names that a documentation comment describes.
struct Described<'s> {
    names: Vec<(&'s str, Kind)>,
    /// The same, where there are many.
    set: HashSet<(&'s str, Kind)>,
}

impl<'s> Described<'s> {
    fn of(doc: &Doc, sources: &'s SourceMap) -> Self {
        /// Up to this many names a scan is faster than a set.
        const FEW: usize = 16;
        let names = doc
            .sections
            .iter()
            .filter_map(|section| match section.kind {
                SectionKind::Member(span) => Some((sources.text(span), Kind::Member)),
                SectionKind::Feature(span) => Some((sources.text(span), Kind::Feature)),
                SectionKind::Plain
                | SectionKind::Returns
                | SectionKind::Errors
                | SectionKind::Since
                | SectionKind::Todo => None,
            });
        let names: Vec<_> = names.collect();
        let set = if names.len() > FEW {
            names.iter().copied().collect()
        } else {
            HashSet::new()
        };
        Self { names, set }
    }

    fn has(&self, name: &str, kind: Kind) -> bool {
        if self.set.is_empty() {
            return self.names.iter().any(|known| {
                step();
                *known == (name, kind)
            });
        }
        self.set.contains(&(name, kind))
    }
}

impl<'a> Resolver<'a> {
    /// Every feature and member of the definition `id` must be documented, if anything of it is.
    pub(super) fn connect_doc(&mut self, id: NodeId) {
        let node = self.node(id);
        let Some(doc) = node.doc.as_ref().filter(|doc| !doc.is_broken) else {
            return;
        };
        // A comment for another definition has that mistake.
        let symbol = doc.symbol.map(|symbol| self.sources.text(symbol));
        if symbol.is_some_and(|symbol| symbol != node.name) {
            return;
        }
        let described = Described::of(doc, self.sources);
        let documented = self.documented(id);
        let is_excepted = self
            .pragmas
            .excepts(ExceptionKind::Documentation, &node.name);
        let mut missing = Vec::new();
        let note_feature = |feature: &'a Feature, missing: &mut Vec<_>| {
            if !described.has(&feature.name, Kind::Feature) {
                let error = SchemaError::DocFeatureMissing(feature.name.to_string());
                missing.push((error, &*feature.name, feature.span));
            }
        };
        for feature in node.features() {
            note_feature(feature, &mut missing);
        }
        for (name, span, role, features) in documented {
            if !is_excepted && !described.has(name, Kind::Member) {
                let error = SchemaError::DocMemberMissing(format!("{role} '{name}'"));
                missing.push((error, name, span));
            }
            for feature in features {
                note_feature(feature, &mut missing);
            }
        }
        if missing.is_empty() {
            return;
        }
        let (members, features) = self.unknown(id, node, doc);
        let unknown: Vec<Span> = members.into_iter().chain(features).map(|it| it.0).collect();
        for (error, name, span) in missing {
            self.report_missing(node, &unknown, &error, name, span);
        }
    }

    /// Reports that `name` has no description. A description under a similar name, or under this
    /// name among those of the other kind, is the same mistake, and is not reported again.
    fn report_missing(
        &mut self,
        node: &Node,
        unknown: &[Span],
        error: &SchemaError,
        name: &str,
        span: Span,
    ) {
        let unknown = unknown
            .iter()
            .filter(|span| !self.explained.contains(*span));
        let names = unknown.clone().map(|span| self.sources.text(*span));
        let near = self.nearest.find(name, names);
        let at = near.and_then(|near| {
            let mut unknown = unknown.clone();
            unknown.find(|span| self.sources.text(**span) == near)
        });
        let at = at.copied();
        let help = near.map(|near| {
            if near == name {
                format!("the description of '@{near}:' stands in the wrong section")
            } else {
                format!("a similar name is described: '@{near}:'")
            }
        });
        self.explained.extend(at);
        let diagnostic = self.diagnostic(node, error, span).with_help(help);
        self.report.push(diagnostic);
    }

    /// What the documentation of the definition `id` describes.
    fn documented(&self, id: NodeId) -> Vec<Documented<'a>> {
        match &self.node(id).kind {
            NodeKind::Enum { values, .. } => values
                .iter()
                .filter_map(|value| {
                    let features = value.attributes.features();
                    Some((value.name.as_str(), value.span?, "value", features))
                })
                .collect(),
            NodeKind::Object { base, members, .. } => {
                let base = base.as_ref().and_then(|base| self.graph.find(&base.name));
                let base_members = base.map_or(&[][..], |base| match &self.node(base).kind {
                    NodeKind::Object {
                        kind: ObjectKind::Base,
                        members,
                        ..
                    } => members,
                    _ => &[][..],
                });
                let all = base_members.iter().chain(members);
                all.map(|member| {
                    (
                        member.name.as_str(),
                        member.span,
                        "member",
                        member.attributes.features(),
                    )
                })
                .collect()
            }
            NodeKind::Alternate { branches } => branches
                .iter()
                .map(|branch| (branch.name.as_str(), branch.span, "branch", &[][..]))
                .collect(),
            NodeKind::Command { arguments, .. } | NodeKind::Event { arguments, .. } => {
                let arguments = arguments
                    .as_ref()
                    .and_then(|named| self.graph.find(&named.name));
                arguments.map_or_else(Vec::new, |arguments| match &self.node(arguments).kind {
                    NodeKind::Object {
                        kind: ObjectKind::Arguments,
                        ..
                    } => self.documented(arguments),
                    _ => Vec::new(),
                })
            }
            NodeKind::Include(_) | NodeKind::Builtin(_) | NodeKind::Array { .. } => Vec::new(),
        }
    }

    /// What is documented must exist.
    pub(super) fn check_docs(&mut self) {
        for slot in &self.graph.free_docs {
            let DocSlot::Of(id) = slot else { continue };
            let node = self.node(*id);
            let Some(doc) = node.doc.as_ref().filter(|doc| !doc.is_broken) else {
                continue;
            };
            // Members may be missing that the author wrote.
            if node.is_broken {
                continue;
            }
            let (mut members, mut features) = self.unknown(*id, node, doc);
            members.retain(|(span, _)| !self.explained.contains(span));
            features.retain(|(span, _)| !self.explained.contains(span));
            self.report_unknown(&members, SchemaError::DocMembersUnknown);
            self.report_unknown(&features, SchemaError::DocFeaturesUnknown);
        }
    }

    /// The names of members and of features that `doc` describes and the definition `id` lacks,
    /// each with its line.
    fn unknown(&self, id: NodeId, node: &Node, doc: &Doc) -> (Vec<NameAndLine>, Vec<NameAndLine>) {
        let documented = self.documented(id);
        let members: HashSet<&str> = documented.iter().map(|(name, ..)| *name).collect();
        let features: HashSet<&str> = node
            .features()
            .iter()
            .chain(documented.iter().flat_map(|(_, _, _, features)| *features))
            .map(|feature| feature.name.as_str())
            .collect();
        let (mut unknown_members, mut unknown_features) = (Vec::new(), Vec::new());
        for section in &doc.sections {
            match section.kind {
                SectionKind::Member(span) if !members.contains(self.sources.text(span)) => {
                    unknown_members.push((span, section.span));
                }
                SectionKind::Feature(span) if !features.contains(self.sources.text(span)) => {
                    unknown_features.push((span, section.span));
                }
                SectionKind::Member(_)
                | SectionKind::Feature(_)
                | SectionKind::Plain
                | SectionKind::Returns
                | SectionKind::Errors
                | SectionKind::Since
                | SectionKind::Todo => {}
            }
        }
        (unknown_members, unknown_features)
    }

    /// The reference names all of them at once, at the first.
    fn report_unknown(
        &mut self,
        unknown: &[NameAndLine],
        error: impl FnOnce(Vec<String>) -> SchemaError,
    ) {
        let Some((first, line)) = unknown.first() else {
            return;
        };
        let names = unknown
            .iter()
            .map(|(span, _)| self.sources.text(*span).to_owned());
        let error = error(names.collect());
        let diagnostic =
            crate::diagnostic::Diagnostic::new(error.code(), error.to_string(), *first);
        self.report.push(diagnostic.at_line(*line));
    }
}
