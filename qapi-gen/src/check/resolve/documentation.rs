//! Documentation against definition.

use hashbrown::HashSet;

use super::Resolver;
use crate::check::draft::DraftFeature;
use crate::check::error::SchemaError;
use crate::check::graph::{DocSlot, Node, NodeId, NodeKind};
use crate::check::nearest;
use crate::ir::{ExceptionKind, ObjectKind};
use crate::source::Span;
use crate::syntax::ast::{Doc, SectionKind};

/// Name, place, role and features of what a documentation comment describes.
type Documented<'a> = (&'a str, Span, &'static str, &'a [DraftFeature]);

/// The name that a section describes, and the section's line.
type Described = (Span, Span);

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
        for feature in &node.features {
            self.connect_feature(id, node, doc, feature);
        }
        for (name, span, role, features) in self.documented(id) {
            let is_excepted = self
                .pragmas
                .excepts(ExceptionKind::Documentation, &node.name);
            if !is_excepted && !self.has_section(doc, name, false) {
                let error = SchemaError::DocMemberMissing(format!("{role} '{name}'"));
                self.report_missing(id, node, doc, &error, name, span);
            }
            for feature in features {
                self.connect_feature(id, node, doc, feature);
            }
        }
    }

    fn connect_feature(&mut self, id: NodeId, node: &Node, doc: &Doc, feature: &DraftFeature) {
        if !self.has_section(doc, &feature.name, true) {
            let error = SchemaError::DocFeatureMissing(feature.name.clone());
            self.report_missing(id, node, doc, &error, &feature.name, feature.span);
        }
    }

    /// Reports that `name` has no description. A description under a similar name, or under this
    /// name among those of the other kind, is the same mistake, and is not reported again.
    fn report_missing(
        &mut self,
        id: NodeId,
        node: &Node,
        doc: &Doc,
        error: &SchemaError,
        name: &str,
        span: Span,
    ) {
        let (members, features) = self.unknown(id, node, doc);
        let unknown = members.iter().chain(&features).map(|(span, _)| *span);
        let mut unknown = unknown.filter(|span| !self.explained.contains(span));
        let near = nearest(name, unknown.clone().map(|span| self.sources.text(span)));
        let at = near.and_then(|near| unknown.find(|span| self.sources.text(*span) == near));
        drop(unknown);
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

    fn has_section(&self, doc: &Doc, name: &str, of_feature: bool) -> bool {
        doc.sections.iter().any(|section| match section.kind {
            SectionKind::Member(span) => !of_feature && self.sources.text(span) == name,
            SectionKind::Feature(span) => of_feature && self.sources.text(span) == name,
            SectionKind::Plain
            | SectionKind::Returns
            | SectionKind::Errors
            | SectionKind::Since
            | SectionKind::Todo => false,
        })
    }

    /// What the documentation of the definition `id` describes.
    fn documented(&self, id: NodeId) -> Vec<Documented<'a>> {
        match &self.node(id).kind {
            NodeKind::Enum { values, .. } => values
                .iter()
                .map(|value| {
                    (
                        value.name.as_str(),
                        value.span,
                        "value",
                        &value.features[..],
                    )
                })
                .collect(),
            NodeKind::Object { base, members, .. } => {
                let base = base
                    .as_ref()
                    .and_then(|base| self.graph.names.get(&base.name));
                let base_members = base.map_or(&[][..], |base| match &self.node(*base).kind {
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
                        &member.features[..],
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
                    .and_then(|named| self.graph.names.get(&named.name));
                arguments.map_or_else(Vec::new, |arguments| match &self.node(*arguments).kind {
                    NodeKind::Object {
                        kind: ObjectKind::Arguments,
                        ..
                    } => self.documented(*arguments),
                    _ => Vec::new(),
                })
            }
            NodeKind::Include(_) | NodeKind::Builtin(_) | NodeKind::Array(_) => Vec::new(),
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
    fn unknown(&self, id: NodeId, node: &Node, doc: &Doc) -> (Vec<Described>, Vec<Described>) {
        let documented = self.documented(id);
        let members: HashSet<&str> = documented.iter().map(|(name, ..)| *name).collect();
        let features: HashSet<&str> = node
            .features
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
        unknown: &[Described],
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
