//! Documentation comments.

use super::findings::{Findings, context};
use crate::ir::{DocSectionKind, Schema};

/// A documented definition says since when it is there.
pub(super) fn check_since(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema.definitions() {
        let Some(doc) = defined.header().doc() else {
            continue;
        };
        let sections = schema.doc(doc).sections();
        if !sections
            .iter()
            .any(|section| section.kind() == DocSectionKind::Since)
        {
            let message = "documentation lacks a 'Since' section".to_owned();
            findings.push(message, defined.name_span(), context(&defined));
        }
    }
}

/// Every definition is documented.
pub(super) fn check_presence(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema
        .definitions()
        .filter(|defined| defined.header().doc().is_none())
    {
        let message = format!("{} lacks documentation", defined.kind().as_str());
        findings.push(message, defined.name_span(), context(&defined));
    }
}

/// Nothing is left to be done.
pub(super) fn check_todo(schema: &Schema, findings: &mut Findings<'_>) {
    for defined in schema.definitions() {
        let Some(doc) = defined.header().doc() else {
            continue;
        };
        for section in schema.doc(doc).sections() {
            if let (DocSectionKind::Todo, Some(span)) = (section.kind(), section.span()) {
                let message = "documentation has a 'TODO' section".to_owned();
                findings.push(message, span, context(&defined));
            }
        }
    }
}
