//! Names (QAPI: section 'Naming rules and reserved names').

use super::Checker;
use crate::check::draft::Named;
use crate::check::error::{ExprError, Source};
use crate::ir::{DefinitionKind, ExceptionKind};
use crate::limits::MAX_NAME;
use crate::naming;
use crate::source::Span;

/// What lower case names may have that the rules do not allow, because a pragma says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Excepted {
    Nothing,
    Underscores,
    UnderscoresAndCapitals,
}

impl Checker<'_> {
    pub(super) fn check_definition_name(&mut self, kind: DefinitionKind, name: &Named) {
        let source = Source::Meta(kind.as_str());
        match kind {
            DefinitionKind::Event => {
                let Some(stem) = self.check_stem(&name.name, name.span, source) else {
                    return;
                };
                if stem.contains(|ch: char| ch.is_ascii_lowercase() || ch == '-') {
                    let error = ExprError::NameNotUpper(source.to_string());
                    self.error(&error, name.span);
                }
            }
            DefinitionKind::Command => {
                let kind = ExceptionKind::CommandName;
                let excepted = match self.pragmas.excepts(kind, &name.name) {
                    true => Excepted::Underscores,
                    false => Excepted::Nothing,
                };
                self.check_lower(&name.name, name.span, source, excepted);
            }
            DefinitionKind::Enum
            | DefinitionKind::Struct
            | DefinitionKind::Union
            | DefinitionKind::Alternate => {
                let Some(stem) = self.check_stem(&name.name, name.span, source) else {
                    return;
                };
                if !naming::is_camel(stem) {
                    let error = ExprError::NameNotCamel(source.to_string());
                    self.error(&error, name.span);
                } else if name.name.ends_with("List") {
                    self.error(&ExprError::NameReservedList(kind.as_str()), name.span);
                }
            }
        }
    }

    pub(super) fn check_stem<'n>(
        &mut self,
        name: &'n str,
        span: Span,
        source: Source<'_>,
    ) -> Option<&'n str> {
        if name.len() > MAX_NAME {
            self.error(&ExprError::NameTooLong(MAX_NAME), span);
            return None;
        }
        let stem = naming::stem(name);
        if stem.is_none() {
            self.error(&ExprError::NameInvalid(source.to_string()), span);
        }
        stem
    }

    /// Checks a lower case name; says whether it is good.
    pub(super) fn check_lower(
        &mut self,
        name: &str,
        span: Span,
        source: Source<'_>,
        excepted: Excepted,
    ) -> bool {
        let Some(stem) = self.check_stem(name, span, source) else {
            return false;
        };
        let has_capitals = stem.contains(|ch: char| ch.is_ascii_uppercase());
        let is_bad = match excepted {
            Excepted::Nothing => has_capitals || stem.contains('_'),
            Excepted::Underscores => has_capitals,
            Excepted::UnderscoresAndCapitals => false,
        };
        if is_bad {
            self.error(&ExprError::NameNotLower(source.to_string()), span);
        }
        !is_bad
    }

    /// What the members of the definition `owner` may be called beside what the rules allow.
    pub(super) fn excepted_members(&self, owner: &str) -> Excepted {
        match self.pragmas.excepts(ExceptionKind::MemberName, owner) {
            true => Excepted::UnderscoresAndCapitals,
            false => Excepted::Nothing,
        }
    }
}
