//! Directives (QAPI: sections 'Include directives' and 'Pragma directives').

use super::ast::{Node, Object, Text};
use super::error::SyntaxError;
use super::parser::Parser;
use crate::ir::{Exception, ExceptionKind, Pragmas};
use crate::source::SourceMap;

/// The path of an `include` directive as it is written; `None` when the directive is not usable.
pub(super) fn parse_include(
    parser: &mut Parser<'_>,
    sources: &SourceMap,
    object: &Object,
) -> Option<String> {
    if object.members.len() != 1 {
        parser.error_at_line(&SyntaxError::IncludeExtraKeys, object.span, object.span);
        return None;
    }
    let value = object.get(sources, "include")?;
    let Some(text) = value.as_text() else {
        parser.error_at_line(&SyntaxError::IncludeNotString, value.span(), object.span);
        return None;
    };
    Some(text.value(sources).into_owned())
}

/// Takes the settings of a `pragma` directive into `pragmas`.
pub(super) fn parse_pragma(
    parser: &mut Parser<'_>,
    sources: &SourceMap,
    object: &Object,
    pragmas: &mut Pragmas,
) {
    if object.members.len() != 1 {
        return parser.error_at_line(&SyntaxError::PragmaExtraKeys, object.span, object.span);
    }
    let Some(value) = object.get(sources, "pragma") else {
        return;
    };
    let Some(settings) = value.as_object() else {
        return parser.error_at_line(&SyntaxError::PragmaNotObject, value.span(), object.span);
    };
    for (key, value) in &settings.members {
        if let Err(error) = set_pragma(sources, key, value, pragmas) {
            let wrong = match error {
                SyntaxError::PragmaUnknown(_) => key.span,
                _ => value.span(),
            };
            parser.error_at_line(&error, wrong, object.span);
        }
    }
}

fn set_pragma(
    sources: &SourceMap,
    key: &Text,
    value: &Node,
    pragmas: &mut Pragmas,
) -> Result<(), SyntaxError> {
    let name = key.value(sources);
    if name == "doc-required" {
        let Node::Bool { value, .. } = value else {
            return Err(SyntaxError::PragmaNotBool("doc-required"));
        };
        pragmas.doc_required = *value;
        return Ok(());
    }
    let kinds = ExceptionKind::ALL.into_iter();
    let mut kinds = kinds.filter(|kind| kind.as_str() == name);
    let Some(kind) = kinds.next() else {
        return Err(SyntaxError::PragmaUnknown(name.into_owned()));
    };
    let not_strings = || SyntaxError::PragmaNotStrings(name.to_string());
    let Node::Array(array) = value else {
        return Err(not_strings());
    };
    let exception = |value: &Node| {
        value.as_text().map(|text| Exception {
            kind,
            name: text.value(sources).into_owned(),
            span: text.span,
        })
    };
    let exceptions = array.values.iter().map(exception);
    let exceptions: Vec<_> = exceptions.collect::<Option<_>>().ok_or_else(not_strings)?;
    pragmas.set(kind, exceptions);
    Ok(())
}
