//! Alternates: no two branches may take the same kind of JSON value.

use super::Resolver;
use crate::check::draft::DraftBranch;
use crate::check::error::SchemaError;
use crate::check::graph::{Node, NodeId, NodeKind};
use crate::diagnostic::Related;
use crate::ir::Builtin;

/// The kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonKind {
    Null,
    Number,
    String,
    Object,
    Array,
    Bool,
}

impl Resolver<'_> {
    pub(super) fn check_alternate(&mut self, id: NodeId, node: &Node, branches: &[DraftBranch]) {
        self.check_type_features(node);
        for (index, branch) in branches.iter().enumerate() {
            let type_id = self.branch_type(node, branch);
            self.resolved.set_part(id, index, type_id);
        }
        let names = branches
            .iter()
            .map(|branch| (branch.name.as_str(), branch.span));
        self.check_names(node, "branch", "", names);
        let mut taken: Vec<(JsonKind, &DraftBranch)> = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let Some(type_id) = self.resolved.part(id, index) else {
                continue;
            };
            let ty = self.node(type_id);
            let kinds = json_kinds(ty);
            if kinds.is_empty() {
                let error = SchemaError::BranchType(branch.name.to_string(), ty.describe());
                self.error(node, &error, branch.type_ref.span);
                continue;
            }
            let other = taken.iter().find(|(kind, _)| kinds.contains(kind));
            if let Some((_, other)) = other {
                let error = SchemaError::AlternateAmbiguous(
                    branch.name.to_string(),
                    other.name.to_string(),
                );
                let message = format!("branch '{}'", other.name);
                let related = Related {
                    span: other.span,
                    message,
                    line: None,
                    definition: None,
                };
                let diagnostic = self
                    .diagnostic(node, &error, branch.span)
                    .with_related(related);
                self.report.push(diagnostic);
            }
            taken.extend(kinds.into_iter().map(|kind| (kind, branch)));
        }
    }
}

/// The kinds of JSON value that must be left to a branch of this type. Strings also stand for
/// numbers and booleans where values come from a command line; empty when the type cannot be
/// part of an alternate.
fn json_kinds(ty: &Node) -> Vec<JsonKind> {
    match &ty.kind {
        NodeKind::Builtin(builtin) => match builtin {
            Builtin::Str => vec![JsonKind::String, JsonKind::Number, JsonKind::Bool],
            Builtin::Bool => vec![JsonKind::Bool],
            Builtin::Null => vec![JsonKind::Null],
            Builtin::Any => Vec::new(),
            Builtin::Number
            | Builtin::Int
            | Builtin::Int8
            | Builtin::Int16
            | Builtin::Int32
            | Builtin::Int64
            | Builtin::Uint8
            | Builtin::Uint16
            | Builtin::Uint32
            | Builtin::Uint64
            | Builtin::Size => vec![JsonKind::Number],
        },
        NodeKind::Enum { values, .. } => {
            let mut kinds = vec![JsonKind::String];
            if values
                .iter()
                .any(|value| value.name == "on" || value.name == "off")
            {
                kinds.push(JsonKind::Bool);
            }
            let looks_like_number =
                |name: &str| name.starts_with(|ch: char| "-+.".contains(ch) || ch.is_ascii_digit());
            if values.iter().any(|value| looks_like_number(&value.name)) {
                kinds.push(JsonKind::Number);
            }
            kinds
        }
        NodeKind::Array { .. } => vec![JsonKind::Array],
        NodeKind::Object { .. } => vec![JsonKind::Object],
        NodeKind::Alternate { .. }
        | NodeKind::Include(_)
        | NodeKind::Command { .. }
        | NodeKind::Event { .. } => Vec::new(),
    }
}
