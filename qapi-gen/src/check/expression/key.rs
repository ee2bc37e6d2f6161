//! Keys: which there must be, which there may be, flags.

use super::Checker;
use crate::check::draft::{Body, Flags};
use crate::check::error::{ExprError, Keys, Source};
use crate::ir::DefinitionKind;
use crate::syntax::ast::{Node, Object};

impl Checker<'_> {
    /// Checks which keys `object` has; says whether all of `required` are there.
    pub(super) fn check_keys(
        &mut self,
        object: &Object,
        source: Source<'_>,
        required: &[&'static str],
        optional: &[&'static str],
    ) -> bool {
        let has = |key: &&&str| object.get(self.sources, key).is_some();
        let missing: Vec<&str> = required.iter().filter(|key| !has(key)).copied().collect();
        let is_known = |name: &str| required.contains(&name) || optional.contains(&name);
        let keys = object
            .members
            .iter()
            .map(|(key, _)| (key.value(self.sources), key.span));
        let unknown: Vec<_> = keys.filter(|(name, _)| !is_known(name)).collect();
        let (all_there, n) = (missing.is_empty(), missing.len());
        if !all_there {
            let keys = Keys(missing).to_string();
            let error = ExprError::KeyMissing {
                owner: source.to_string(),
                n,
                keys,
            };
            self.error(&error, object.span);
        } else if let Some((first, span)) = unknown.first() {
            let valid: Vec<&str> = required.iter().chain(optional).copied().collect();
            let help = crate::text::nearest(first, valid.iter().copied())
                .map(|near| format!("did you mean '{near}'?"));
            let names = unknown.iter().map(|(name, _)| &**name).collect();
            let n = unknown.len();
            let keys = Keys(names).to_string();
            let error = ExprError::KeyUnknown {
                owner: source.to_string(),
                n,
                keys,
            };
            let note = format!("Valid keys are {}.", Keys(valid));
            self.error_with_note(&error, *span, Some(note), help);
        }
        all_there
    }

    /// `'x'` or `{ 'name': 'x', ... }`: the node of the name, and the object of the long form.
    pub(super) fn named<'n>(
        &mut self,
        node: &'n Node,
        source: Source<'_>,
        optional: &[&'static str],
    ) -> Option<(&'n Node, Option<&'n Object>)> {
        let Node::Object(object) = node else {
            return Some((node, None));
        };
        if !self.check_keys(object, source, &["name"], optional) {
            return None;
        }
        Some((object.get(self.sources, "name")?, Some(object)))
    }

    /// Flags come last, as in the reference.
    pub(super) fn check_flags(&mut self, object: &Object, mut body: Body) -> Body {
        let gen_ = self.flag(object, "gen", false);
        let success_response = self.flag(object, "success-response", false);
        let boxed_ = self.flag(object, "boxed", true);
        let allow_oob = self.flag(object, "allow-oob", true);
        let allow_preconfig = self.flag(object, "allow-preconfig", true);
        let coroutine = self.flag(object, "coroutine", true);
        if let (Some(_), Some(node)) = (
            object.get(self.sources, "allow-oob"),
            object.get(self.sources, "coroutine"),
        ) {
            self.error(&ExprError::FlagsIncompatible, node.span());
        }
        match &mut body {
            Body::Command { flags, .. } => {
                *flags = Flags {
                    boxed: boxed_,
                    gen_: !gen_,
                    success_response: !success_response,
                    allow_oob,
                    allow_preconfig,
                    coroutine,
                };
            }
            Body::Event { boxed, .. } => *boxed = boxed_,
            Body::Enum { .. }
            | Body::Struct { .. }
            | Body::Union { .. }
            | Body::Alternate { .. } => {}
        }
        body
    }

    /// Whether the flag `key` is set, to the only value it may have.
    pub(super) fn flag(&mut self, object: &Object, key: &'static str, only: bool) -> bool {
        match object.get(self.sources, key) {
            None => false,
            Some(Node::Bool { value, .. }) if *value == only => true,
            Some(other) => {
                // A key that the definition cannot have was reported already.
                let definition = self.definition.as_ref().map(|definition| definition.kind);
                let is_command = definition == Some(DefinitionKind::Command);
                if is_command || (key == "boxed" && definition == Some(DefinitionKind::Event)) {
                    self.error(&ExprError::FlagValue(key, only), other.span());
                }
                false
            }
        }
    }
}

/// `{}`, `[]`, `''` and `false`.
pub(super) fn is_falsy(node: &Node) -> bool {
    match node {
        Node::Object(object) => object.members.is_empty(),
        Node::Array(array) => array.values.is_empty(),
        Node::String(text) => text.span.end() - text.span.start() == 2,
        Node::Bool { value, .. } => !value,
    }
}
