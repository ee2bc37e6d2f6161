//! The form of one expression: keys, names and values, without a look at any other definition.

use super::draft::{
    Body, Draft, DraftBranch, DraftFeature, DraftMember, DraftValue, Flags, Members, Named, TypeRef,
};
use super::error::{ExprError, Keys, Source};
use super::names;
use crate::diagnostic::{Definition, Diagnostic, Report};
use crate::ir::{Condition, DefinitionKind};
use crate::source::{SourceMap, Span};
use crate::syntax::MAX_DEPTH;
use crate::syntax::ast::{self, Node, Object, Pragmas, SectionKind};

/// Checks the form of `definition`.
///
/// # Errors
///
/// The names that it was meant to define, when kind and name are not known.
pub(super) fn check_expression(
    definition: ast::Definition,
    sources: &SourceMap,
    pragmas: &Pragmas,
    report: &mut Report,
) -> Result<Draft, Vec<String>> {
    let ast::Definition { object, doc } = definition;
    let mut checker = Checker {
        sources,
        pragmas,
        report,
        definition: None,
        line: object.span,
        is_broken: false,
    };
    checker
        .check_definition(&object, doc)
        .ok_or_else(|| names_of(&object, sources))
}

/// The names behind the keys that define something.
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
    definition: Option<Definition>,
    /// The whole expression; the reference places every mistake at its first line.
    line: Span,
    is_broken: bool,
}

impl<'a> Checker<'a> {
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
            .in_definition(self.definition.clone())
            .with_note(note)
            .with_help(help);
        self.report.push(diagnostic);
    }

    fn check_definition(&mut self, object: &Object, doc: Option<ast::Doc>) -> Option<Draft> {
        let (kind, name_node) = self.meta_key(object)?;
        let meta = kind.as_str();
        let name = match name_node {
            Node::String(text) => Named {
                name: text.value(self.sources).into_owned(),
                span: text.span,
            },
            other => {
                let error = ExprError::NameNotString(format!("'{meta}'"));
                self.error(&error, other.span());
                return None;
            }
        };
        self.definition = Some(Definition {
            kind: meta,
            name: name.name.clone(),
        });
        self.check_definition_name(kind, &name);
        self.check_doc(kind, &name, object, doc.as_ref());
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
            kind,
            name: name.name,
            name_span: name.span,
            span: object.span,
            condition,
            features,
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

    fn check_definition_name(&mut self, kind: DefinitionKind, name: &Named) {
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
                let exceptions = &self.pragmas.command_name_exceptions;
                let permits_underscore = exceptions.contains(&name.name);
                self.check_lower(&name.name, name.span, source, false, permits_underscore);
            }
            DefinitionKind::Enum
            | DefinitionKind::Struct
            | DefinitionKind::Union
            | DefinitionKind::Alternate => {
                let Some(stem) = self.check_stem(&name.name, name.span, source) else {
                    return;
                };
                if !names::is_camel(stem) {
                    let error = ExprError::NameNotCamel(source.to_string());
                    self.error(&error, name.span);
                } else if name.name.ends_with("List") {
                    self.error(&ExprError::NameReservedList(kind.as_str()), name.span);
                }
            }
        }
    }

    fn check_stem<'n>(&mut self, name: &'n str, span: Span, source: Source<'_>) -> Option<&'n str> {
        let stem = names::stem(name);
        if stem.is_none() {
            self.error(&ExprError::NameInvalid(source.to_string()), span);
        }
        stem
    }

    /// Checks a lower case name; says whether it is good.
    fn check_lower(
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

    fn check_doc(
        &mut self,
        kind: DefinitionKind,
        name: &Named,
        object: &Object,
        doc: Option<&ast::Doc>,
    ) {
        let Some(doc) = doc else {
            if self.pragmas.doc_required {
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

    /// Checks which keys `object` has; says whether all of `required` are there.
    fn check_keys(
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
            let help = crate::check::nearest(first, valid.iter().copied())
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

    fn check_condition(&mut self, object: &Object, source: Source<'_>) -> Condition {
        match object.get(self.sources, "if") {
            Some(node) => self.condition(node, source, 0).unwrap_or(Condition::Always),
            None => Condition::Always,
        }
    }

    fn condition(&mut self, node: &Node, source: Source<'_>, depth: usize) -> Option<Condition> {
        if depth > MAX_DEPTH {
            self.error(&ExprError::TooDeep(MAX_DEPTH), node.span());
            return None;
        }
        let object = match node {
            Node::String(text) => return self.condition_name(text, source),
            Node::Object(object) => object,
            Node::Array(_) | Node::Bool { .. } => {
                self.error(&ExprError::ConditionForm(source.to_string()), node.span());
                return None;
            }
        };
        let owner = ConditionOf(source).to_string();
        let known = ["all", "any", "not"];
        let keys = object
            .members
            .iter()
            .map(|(key, _)| (key.value(self.sources), key.span));
        let unknown: Vec<_> = keys.filter(|(name, _)| !known.contains(&&**name)).collect();
        if let Some((_, span)) = unknown.first() {
            let n = unknown.len();
            let keys = Keys(unknown.iter().map(|(name, _)| &**name).collect()).to_string();
            let note = format!("Valid keys are {}.", Keys(known.to_vec()));
            let error = ExprError::KeyUnknown { owner, n, keys };
            self.error_with_note(&error, *span, Some(note), None);
            return None;
        }
        let [(key, value)] = &object.members[..] else {
            self.error(&ExprError::ConditionKeys(source.to_string()), object.span);
            return None;
        };
        match &*key.value(self.sources) {
            "not" => {
                let operand = self.condition(value, source, depth + 1)?;
                Some(Condition::Not(Box::new(operand)))
            }
            "all" => self
                .operands("all", value, source, depth)
                .map(Condition::All),
            _ => self
                .operands("any", value, source, depth)
                .map(Condition::Any),
        }
    }

    fn condition_name(&mut self, text: &ast::Text, source: Source<'_>) -> Option<Condition> {
        let name = text.value(self.sources);
        let is_name = |ch: char| ch.is_ascii_uppercase() || ch.is_ascii_digit() || ch == '_';
        if name.starts_with(|ch: char| ch.is_ascii_uppercase()) && name.chars().all(is_name) {
            return Some(Condition::Name(name.into_owned()));
        }
        let error = ExprError::ConditionName(source.to_string(), name.into_owned());
        self.error(&error, text.span);
        None
    }

    fn operands(
        &mut self,
        operator: &'static str,
        node: &Node,
        source: Source<'_>,
        depth: usize,
    ) -> Option<Vec<Condition>> {
        let Node::Array(array) = node else {
            let error = ExprError::ConditionNotArray(source.to_string(), operator);
            self.error(&error, node.span());
            return None;
        };
        if array.values.is_empty() {
            self.error(&ExprError::ConditionEmpty(source.to_string()), array.span);
            return None;
        }
        let operands: Vec<_> = array
            .values
            .iter()
            .map(|value| self.condition(value, source, depth + 1))
            .collect();
        operands.into_iter().collect()
    }

    fn check_features(&mut self, object: &Object) -> Vec<DraftFeature> {
        let Some(node) = object.get(self.sources, "features") else {
            return Vec::new();
        };
        let Node::Array(array) = node else {
            self.error(&ExprError::NotArray("'features'".to_owned()), node.span());
            return Vec::new();
        };
        array
            .values
            .iter()
            .filter_map(|value| self.check_feature(value))
            .collect()
    }

    fn check_feature(&mut self, node: &Node) -> Option<DraftFeature> {
        let source = Source::Member("features", None);
        let (name_node, condition_of) = self.named(node, source, &["if"])?;
        let Node::String(text) = name_node else {
            self.error(
                &ExprError::NameNotString(source.to_string()),
                name_node.span(),
            );
            return None;
        };
        let name = text.value(self.sources).into_owned();
        let source = Source::Member("features", Some(&name));
        self.check_lower(&name, text.span, source, false, false);
        let condition = condition_of.map_or(Condition::Always, |object| {
            self.check_condition(object, source)
        });
        Some(DraftFeature {
            span: text.span,
            condition,
            name,
        })
    }

    /// `'x'` or `{ 'name': 'x', ... }`: the node of the name, and the object of the long form.
    fn named<'n>(
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

    fn check_enum(&mut self, object: &Object, name: &str) -> Body {
        let optional = ["if", "features", "prefix"];
        self.check_keys(object, Source::Meta("enum"), &["enum", "data"], &optional);
        let data = object.get(self.sources, "data");
        let array = match data {
            Some(Node::Array(array)) => Some(array),
            Some(other) => {
                self.error(&ExprError::NotArray("'data'".to_owned()), other.span());
                None
            }
            None => None,
        };
        let prefix = match object.get(self.sources, "prefix") {
            Some(Node::String(text)) => Some(text.value(self.sources).into_owned()),
            Some(other) => {
                self.error(&ExprError::PrefixNotString, other.span());
                None
            }
            None => None,
        };
        let is_permissive = self.is_permissive(name);
        let nodes = array.map_or(&[][..], |array| &array.values);
        let values = nodes
            .iter()
            .filter_map(|node| self.check_value(node, is_permissive))
            .collect();
        Body::Enum { values, prefix }
    }

    fn check_value(&mut self, node: &Node, is_permissive: bool) -> Option<DraftValue> {
        let source = Source::Member("data", None);
        let (name_node, long) = self.named(node, source, &["if", "features"])?;
        let Node::String(text) = name_node else {
            self.error(
                &ExprError::NameNotString(source.to_string()),
                name_node.span(),
            );
            return None;
        };
        let name = text.value(self.sources).into_owned();
        let source = Source::Member("data", Some(&name));
        // A value may start with a digit, as if a letter stood before it.
        let with_letter;
        let checked = if name.starts_with(|ch: char| ch.is_ascii_digit()) {
            with_letter = format!("d{name}");
            &with_letter
        } else {
            &name
        };
        self.check_lower(checked, text.span, source, is_permissive, is_permissive);
        let (mut condition, mut features) = (Condition::Always, Vec::new());
        if let Some(object) = long {
            condition = self.check_condition(object, source);
            features = self.check_features(object);
        }
        Some(DraftValue {
            span: text.span,
            condition,
            features,
            name,
        })
    }

    fn is_permissive(&self, name: &str) -> bool {
        self.pragmas
            .member_name_exceptions
            .iter()
            .any(|exception| exception == name)
    }

    fn check_struct(&mut self, object: &Object, name: &str) -> Body {
        let optional = ["base", "if", "features"];
        self.check_keys(
            object,
            Source::Meta("struct"),
            &["struct", "data"],
            &optional,
        );
        let members = object
            .get(self.sources, "data")
            .map_or_else(Vec::new, |data| {
                self.check_members(data, "data", Some(name))
            });
        let base = object
            .get(self.sources, "base")
            .and_then(|base| self.check_type_name(base, Source::Key("base")));
        Body::Struct { base, members }
    }

    /// Members written in place.
    fn check_members(
        &mut self,
        node: &Node,
        key: &'static str,
        owner: Option<&str>,
    ) -> Vec<DraftMember> {
        let Node::Object(object) = node else {
            let error = ExprError::NotMembersOrTypeName(format!("'{key}'"));
            self.error(&error, node.span());
            return Vec::new();
        };
        let is_permissive = owner.is_some_and(|owner| self.is_permissive(owner));
        let members = object.members.iter();
        members
            .filter_map(|(name, value)| self.check_member(key, name, value, is_permissive))
            .collect()
    }

    fn check_member(
        &mut self,
        key: &'static str,
        name: &ast::Text,
        value: &Node,
        is_permissive: bool,
    ) -> Option<DraftMember> {
        let full_name = name.value(self.sources);
        let source = Source::Member(key, Some(&full_name));
        let bare_name = full_name.strip_prefix('*').unwrap_or(&full_name);
        let is_good = self.check_lower(bare_name, name.span, source, is_permissive, is_permissive);
        if is_good && names::is_reserved_member(bare_name) {
            self.error(&ExprError::NameReserved(source.to_string()), name.span);
        }
        let (mut condition, mut features) = (Condition::Always, Vec::new());
        let type_node = match value {
            Node::Object(object) => {
                let has_type = self.check_keys(object, source, &["type"], &["if", "features"]);
                condition = self.check_condition(object, source);
                features = self.check_features(object);
                if !has_type {
                    return None;
                }
                object.get(self.sources, "type")?
            }
            Node::String(_) | Node::Array(_) | Node::Bool { .. } => value,
        };
        let type_ref = self.check_type_ref(type_node, source)?;
        Some(DraftMember {
            name: bare_name.to_owned(),
            span: name.span,
            optional: bare_name.len() < full_name.len(),
            type_ref,
            condition,
            features,
        })
    }

    fn check_type_name(&mut self, node: &Node, source: Source<'_>) -> Option<Named> {
        let Node::String(text) = node else {
            self.error(&ExprError::NotTypeName(source.to_string()), node.span());
            return None;
        };
        Some(Named {
            name: text.value(self.sources).into_owned(),
            span: text.span,
        })
    }

    fn check_type_ref(&mut self, node: &Node, source: Source<'_>) -> Option<TypeRef> {
        match node {
            Node::String(text) => {
                let name = text.value(self.sources).into_owned();
                Some(TypeRef {
                    name,
                    is_array: false,
                    span: text.span,
                })
            }
            Node::Array(array) => {
                let [Node::String(text)] = &array.values[..] else {
                    self.error(&ExprError::ArrayTypeForm(source.to_string()), array.span);
                    return None;
                };
                let name = text.value(self.sources).into_owned();
                Some(TypeRef {
                    name,
                    is_array: true,
                    span: array.span,
                })
            }
            Node::Object(_) | Node::Bool { .. } => {
                let error = ExprError::NotTypeNameOrArray(source.to_string());
                self.error(&error, node.span());
                None
            }
        }
    }

    /// The name of a type, or members written in place.
    fn check_type_or_members(
        &mut self,
        node: &Node,
        key: &'static str,
        owner: Option<&str>,
    ) -> Members {
        match node {
            Node::String(text) => Members::Type(Named {
                name: text.value(self.sources).into_owned(),
                span: text.span,
            }),
            Node::Object(_) | Node::Array(_) | Node::Bool { .. } => {
                Members::Inline(self.check_members(node, key, owner))
            }
        }
    }

    fn check_union(&mut self, object: &Object, name: &str) -> Body {
        let required = ["union", "base", "discriminator", "data"];
        self.check_keys(
            object,
            Source::Meta("union"),
            &required,
            &["if", "features"],
        );
        let base = object
            .get(self.sources, "base")
            .map(|base| self.check_type_or_members(base, "base", Some(name)));
        let discriminator = match object.get(self.sources, "discriminator") {
            Some(Node::String(text)) => Some(Named {
                name: text.value(self.sources).into_owned(),
                span: text.span,
            }),
            Some(other) => {
                let error = ExprError::NameNotString("'discriminator'".to_owned());
                self.error(&error, other.span());
                None
            }
            None => None,
        };
        let branches = self.branches(object, false);
        Body::Union {
            base,
            discriminator,
            branches,
        }
    }

    fn check_alternate(&mut self, object: &Object) -> Body {
        let required = ["alternate", "data"];
        self.check_keys(
            object,
            Source::Meta("alternate"),
            &required,
            &["if", "features"],
        );
        Body::Alternate {
            branches: self.branches(object, true),
        }
    }

    fn branches(&mut self, object: &Object, of_alternate: bool) -> Vec<DraftBranch> {
        let data = match object.get(self.sources, "data") {
            Some(node) if of_alternate && is_falsy(node) => {
                self.error(&ExprError::AlternateEmpty, node.span());
                return Vec::new();
            }
            Some(Node::Object(data)) => data,
            Some(other) => {
                self.error(&ExprError::NotObject("'data'".to_owned()), other.span());
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let members = data.members.iter();
        members
            .filter_map(|(key, value)| self.check_branch(key, value, of_alternate))
            .collect()
    }

    fn check_branch(
        &mut self,
        key: &ast::Text,
        value: &Node,
        of_alternate: bool,
    ) -> Option<DraftBranch> {
        let name = key.value(self.sources).into_owned();
        let source = Source::Member("data", Some(&name));
        if of_alternate {
            self.check_lower(&name, key.span, source, false, false);
        }
        let mut condition = Condition::Always;
        let type_node = match value {
            Node::Object(object) => {
                let has_type = self.check_keys(object, source, &["type"], &["if"]);
                condition = self.check_condition(object, source);
                if !has_type {
                    return None;
                }
                object.get(self.sources, "type")?
            }
            Node::String(_) | Node::Array(_) | Node::Bool { .. } => value,
        };
        let type_ref = if of_alternate {
            self.check_type_ref(type_node, source)?
        } else {
            let Named { name, span } = self.check_type_name(type_node, source)?;
            TypeRef {
                name,
                is_array: false,
                span,
            }
        };
        Some(DraftBranch {
            name,
            span: key.span,
            type_ref,
            condition,
        })
    }

    fn check_command(&mut self, object: &Object) -> Body {
        let optional = [
            "data",
            "returns",
            "boxed",
            "if",
            "features",
            "success-response",
            "gen",
            "allow-oob",
            "allow-preconfig",
            "coroutine",
        ];
        self.check_keys(object, Source::Meta("command"), &["command"], &optional);
        let arguments = self.check_arguments(object);
        let returns = object
            .get(self.sources, "returns")
            .and_then(|returns| self.check_type_ref(returns, Source::Key("returns")));
        let flags = Flags {
            boxed: false,
            gen_: true,
            success_response: true,
            allow_oob: false,
            allow_preconfig: false,
            coroutine: false,
        };
        Body::Command {
            arguments,
            returns,
            flags,
        }
    }

    fn check_event(&mut self, object: &Object) -> Body {
        let optional = ["data", "boxed", "if", "features"];
        self.check_keys(object, Source::Meta("event"), &["event"], &optional);
        Body::Event {
            arguments: self.check_arguments(object),
            boxed: false,
        }
    }

    fn check_arguments(&mut self, object: &Object) -> Option<Members> {
        let data = object.get(self.sources, "data");
        let boxed = object
            .get(self.sources, "boxed")
            .filter(|node| !is_falsy(node));
        match (boxed, data) {
            (Some(boxed), None) => {
                self.error(&ExprError::BoxedWithoutData, boxed.span());
                None
            }
            (Some(_), Some(data)) => self
                .check_type_name(data, Source::Key("data"))
                .map(Members::Type),
            (None, Some(data)) => Some(self.check_type_or_members(data, "data", None)),
            (None, None) => None,
        }
    }

    /// Flags come last, as in the reference.
    fn check_flags(&mut self, object: &Object, mut body: Body) -> Body {
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
    fn flag(&mut self, object: &Object, key: &'static str, only: bool) -> bool {
        match object.get(self.sources, key) {
            None => false,
            Some(Node::Bool { value, .. }) if *value == only => true,
            Some(other) => {
                // A key that the definition cannot have was reported already.
                let definition = self.definition.as_ref().map(|definition| definition.kind);
                let is_command = definition == Some("command");
                if is_command || (key == "boxed" && definition == Some("event")) {
                    self.error(&ExprError::FlagValue(key, only), other.span());
                }
                false
            }
        }
    }
}

/// `{}`, `[]`, `''` and `false`.
fn is_falsy(node: &Node) -> bool {
    match node {
        Node::Object(object) => object.members.is_empty(),
        Node::Array(array) => array.values.is_empty(),
        Node::String(text) => text.span.end() - text.span.start() == 2,
        Node::Bool { value, .. } => !value,
    }
}

/// Names a condition as the owner of keys.
struct ConditionOf<'a>(Source<'a>);

impl std::fmt::Display for ConditionOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'if' condition of {}", self.0)
    }
}
