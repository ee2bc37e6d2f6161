//! The form of one expression: keys, names and values, without a look at any other definition.

mod condition;
mod definition;
mod key;
mod member;
mod name;

use super::draft::{Context, Draft, Named};
use super::error::{ExprError, Source};
use super::same_line;
use crate::diagnostic::{Diagnostic, Report};
use crate::ir::{Attributes, DefinitionKind, Pragmas};
use crate::limits::MAX_NAME;
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{self, Node, Object, SectionKind};

/// Checks the form of `definition`.
///
/// `before` is the definition in front of it, and becomes this one: the reference knows one
/// definition a line, so a mistake in front of a definition's name is said to be in the one before
/// if that starts on the same line.
///
/// # Errors
///
/// The names that it was meant to define, when kind and name are not known.
pub(super) fn check_expression(
    definition: ast::Definition,
    sources: &SourceMap,
    pragmas: &Pragmas,
    report: &mut Report,
    before: &mut Option<(Span, Context)>,
) -> Result<Draft, Vec<String>> {
    let ast::Definition { object, doc } = definition;
    let mut checker = Checker {
        sources,
        pragmas,
        report,
        definition: before.take().and_then(|(span, definition)| {
            same_line(sources, span, object.span).then_some(definition)
        }),
        line: object.span,
        is_broken: false,
    };
    let draft = checker.check_definition(&object, doc);
    *before = checker.definition.map(|known| (object.span, known));
    draft.ok_or_else(|| names_of(&object, sources))
}

/// What comes of the parts of a definition. There are many short lists in a large schema, and all are kept, so there is no
/// room in them for more.
fn all_of<N, T>(parts: &[N], check: impl FnMut(&N) -> Option<T>) -> Box<[T]> {
    let mut checked = Vec::with_capacity(parts.len());
    checked.extend(parts.iter().filter_map(check));
    checked.into()
}

/// The names that the keys of definitions give.
fn names_of(object: &Object, sources: &SourceMap) -> Vec<String> {
    let members = object.members.iter();
    members
        .filter(|(key, _)| {
            let key = key.value(sources);
            DefinitionKind::ALL.iter().any(|kind| kind.as_str() == key)
        })
        .filter_map(|(_, value)| value.as_text())
        .map(|text| text.value(sources).into_owned())
        .collect()
}

struct Checker<'a> {
    sources: &'a SourceMap,
    pragmas: &'a Pragmas,
    report: &'a mut Report,
    definition: Option<Context>,
    /// The whole expression; the reference places every mistake at its first line.
    line: Span,
    is_broken: bool,
}

impl Checker<'_> {
    fn error(&mut self, error: &ExprError, span: Span) {
        self.error_with_note(error, span, None, None);
    }

    fn error_with_note(
        &mut self,
        error: &ExprError,
        span: Span,
        note: Option<String>,
        help: Option<String>,
    ) {
        self.is_broken = true;
        let diagnostic = Diagnostic::new(error.code(), error.to_string(), span)
            .at_line(self.line)
            .in_definition(self.definition.as_ref().map(Context::definition))
            .with_note(note)
            .with_help(help);
        self.report.push(diagnostic);
    }

    fn check_definition(&mut self, object: &Object, doc: Option<Box<ast::Doc>>) -> Option<Draft> {
        let (kind, name_node) = self.meta_key(object)?;
        let meta = kind.as_str();
        let name = match name_node {
            Node::String(text) => Named {
                name: text.name(self.sources),
                span: text.span,
            },
            other => {
                let error = ExprError::NameNotString(format!("'{meta}'"));
                self.error(&error, other.span());
                return None;
            }
        };
        if name.name.len() > MAX_NAME {
            self.error(&ExprError::NameTooLong(MAX_NAME), name.span);
            return None;
        }
        self.definition = Some(Context {
            kind,
            name: name.name.clone(),
        });
        self.check_definition_name(kind, &name);
        self.check_doc(kind, &name, object, doc.as_deref());
        let body = match kind {
            DefinitionKind::Enum => self.check_enum(object, &name.name),
            DefinitionKind::Struct => self.check_struct(object, &name.name),
            DefinitionKind::Union => self.check_union(object, &name.name),
            DefinitionKind::Alternate => self.check_alternate(object),
            DefinitionKind::Command => self.check_command(object),
            DefinitionKind::Event => self.check_event(object),
        };
        let condition = self.check_condition(object, Source::Meta(meta));
        let features = self.check_features(object);
        let body = self.check_flags(object, body);
        Some(Draft {
            name: name.name,
            name_span: name.span,
            span: object.span,
            kind,
            attributes: Attributes::new(condition, features),
            doc,
            body,
            is_broken: self.is_broken,
        })
    }

    /// The one key that says what the expression defines.
    fn meta_key<'o>(&mut self, object: &'o Object) -> Option<(DefinitionKind, &'o Node)> {
        let mut found = object.members.iter().filter_map(|(key, value)| {
            let key = key.value(self.sources);
            let kind = DefinitionKind::ALL
                .iter()
                .find(|kind| kind.as_str() == key)?;
            Some((*kind, value))
        });
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) | (None, _) => {
                drop(found);
                self.error(&ExprError::NoSingleMetaKey, object.span);
                None
            }
        }
    }

    fn check_doc(
        &mut self,
        kind: DefinitionKind,
        name: &Named,
        object: &Object,
        doc: Option<&ast::Doc>,
    ) {
        let Some(doc) = doc else {
            if self.pragmas.requires_docs() {
                self.error(&ExprError::DocMissing, name.span);
            }
            return;
        };
        if let Some(symbol) = doc.symbol {
            let text = self.sources.text(symbol);
            if text != name.name {
                let error = ExprError::DocSymbolMismatch(text.to_owned());
                self.error(&error, symbol);
            }
        }
        let find = |kind| doc.sections.iter().find(|section| section.kind == kind);
        let is_command = kind == DefinitionKind::Command;
        let returns = object.get(self.sources, "returns").is_some();
        let errors = [
            match find(SectionKind::Returns) {
                Some(section) if !is_command => {
                    Some((ExprError::DocSectionNotCommand("Returns"), section.span))
                }
                Some(section) if !returns => Some((ExprError::DocReturnsNothing, section.span)),
                Some(_) | None => None,
            },
            match find(SectionKind::Errors) {
                Some(section) if !is_command => {
                    Some((ExprError::DocSectionNotCommand("Errors"), section.span))
                }
                Some(_) | None => None,
            },
        ];
        for (error, span) in errors.into_iter().flatten() {
            self.is_broken = true;
            let diagnostic = Diagnostic::new(error.code(), error.to_string(), span);
            self.report.push(diagnostic.at_line(span));
        }
    }
}
