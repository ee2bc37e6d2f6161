//! Names (QAPI: section 'Naming rules and reserved names').

use super::Checker;
use crate::check::draft::Named;
use crate::check::error::{ExprError, Source};
use crate::ir::{DefinitionKind, ExceptionKind};
use crate::limits::MAX_NAME;
use crate::naming;
use crate::source::Span;

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
                let permits_underscore = self.pragmas.excepts(kind, &name.name);
                self.check_lower(&name.name, name.span, source, false, permits_underscore);
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
        permits_upper: bool,
        permits_underscore: bool,
    ) -> bool {
        let Some(stem) = self.check_stem(name, span, source) else {
            return false;
        };
        let has_upper = stem.contains(|ch: char| ch.is_ascii_uppercase());
        let is_bad = (has_upper && !permits_upper) || (stem.contains('_') && !permits_underscore);
        if is_bad {
            self.error(&ExprError::NameNotLower(source.to_string()), span);
        }
        !is_bad
    }

    pub(super) fn is_permissive(&self, name: &str) -> bool {
        self.pragmas.excepts(ExceptionKind::MemberName, name)
    }
}
