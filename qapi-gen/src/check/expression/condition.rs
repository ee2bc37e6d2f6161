//! Conditions and features (QAPI: sections 'Configuring the schema' and 'Features').

use super::name::Excepted;
use super::{Checker, all_of};
use crate::check::error::{ExprError, Keys, Source};
use crate::ir::{Attributes, Condition, Feature};
use crate::syntax::ast::{self, Node, Object};

impl Checker<'_> {
    pub(super) fn check_condition(&mut self, object: &Object, source: Source<'_>) -> Condition {
        match object.get(self.sources, "if") {
            Some(node) => self.condition(node, source).unwrap_or(Condition::Always),
            None => Condition::Always,
        }
    }

    pub(super) fn condition(&mut self, node: &Node, source: Source<'_>) -> Option<Condition> {
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
                let operand = self.condition(value, source)?;
                Some(Condition::Not(Box::new(operand)))
            }
            "all" => self.operands("all", value, source).map(Condition::All),
            _ => self.operands("any", value, source).map(Condition::Any),
        }
    }

    pub(super) fn condition_name(
        &mut self,
        text: &ast::Text,
        source: Source<'_>,
    ) -> Option<Condition> {
        let name = text.value(self.sources);
        if Condition::is_name(&name) {
            return Some(Condition::Name(name.into_owned()));
        }
        let error = ExprError::ConditionName(source.to_string(), name.into_owned());
        self.error(&error, text.span);
        None
    }

    pub(super) fn operands(
        &mut self,
        operator: &'static str,
        node: &Node,
        source: Source<'_>,
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
            .map(|value| self.condition(value, source))
            .collect();
        operands.into_iter().collect()
    }

    pub(super) fn check_features(&mut self, object: &Object) -> Box<[Feature]> {
        let Some(node) = object.get(self.sources, "features") else {
            return Box::default();
        };
        let Node::Array(array) = node else {
            self.error(&ExprError::NotArray("'features'".to_owned()), node.span());
            return Box::default();
        };
        all_of(&array.values, |value| self.check_feature(value))
    }

    pub(super) fn check_feature(&mut self, node: &Node) -> Option<Feature> {
        let source = Source::Member("features", None);
        let (name_node, condition_of) = self.named(node, source, &["if"])?;
        let Node::String(text) = name_node else {
            self.error(
                &ExprError::NameNotString(source.to_string()),
                name_node.span(),
            );
            return None;
        };
        let name = text.name(self.sources);
        let source = Source::Member("features", Some(&name));
        self.check_lower(&name, text.span, source, Excepted::Nothing);
        let condition = condition_of.map_or(Condition::Always, |object| {
            self.check_condition(object, source)
        });
        Some(Feature {
            span: text.span,
            attributes: Attributes::new(condition, Vec::new()),
            name,
        })
    }
}

/// Names a condition as the owner of keys.
struct ConditionOf<'a>(Source<'a>);

impl std::fmt::Display for ConditionOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "'if' condition of {}", self.0)
    }
}
