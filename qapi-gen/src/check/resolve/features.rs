//! Features: their names, what may have the special ones, and how many there are.

use hashbrown::HashSet;

use super::Resolver;
use crate::check::draft::DraftMember;
use crate::check::error::SchemaError;
use crate::check::graph::{Node, NodeKind};
use crate::ir::Feature;
use crate::limits::MAX_FEATURES;

/// The features with a meaning of their own, which every schema has.
const SPECIAL: [&str; 2] = ["deprecated", "unstable"];

impl Resolver<'_> {
    /// The features of a command or an event.
    pub(super) fn check_features(&mut self, node: &Node) {
        let features = node.features().iter();
        let names = features.map(|feature| (feature.name.as_str(), feature.span));
        self.check_names(node, "feature", "", names);
    }

    /// The features of a type: a special one says something about those who use what has it, and nobody sends a type
    /// as such.
    pub(super) fn check_type_features(&mut self, node: &Node) {
        self.check_features(node);
        let is_special = |feature: &&Feature| SPECIAL.contains(&feature.name.as_str());
        for feature in node.features().iter().filter(is_special) {
            let error = SchemaError::FeatureOfType(feature.name.to_string());
            self.error(node, &error, feature.span);
        }
    }

    /// The features of a member. The reference calls the member a type.
    pub(super) fn check_member_features(&mut self, node: &Node, member: &DraftMember) {
        let features = member.attributes.features().iter();
        let names = features.map(|feature| (feature.name.as_str(), feature.span));
        let is_own = node.context().is_some_and(|(_, name)| *name == member.name);
        let of = if is_own {
            String::new()
        } else {
            format!(" of type '{}'", member.name)
        };
        self.check_names(node, "feature", &of, names);
    }

    /// Counts the features of the schema. The definition that brings the one too many has the mistake.
    pub(super) fn count_features(&mut self) {
        let mut names: HashSet<&str> = SPECIAL.into();
        for node in &self.graph.nodes {
            for feature in features_in(node) {
                if !names.contains(feature.name.as_str()) && names.len() == MAX_FEATURES {
                    let error = SchemaError::TooManyFeatures(MAX_FEATURES);
                    return self.error(node, &error, feature.span);
                }
                names.insert(feature.name.as_str());
            }
        }
    }
}

/// The features of `node` and of what it lists.
fn features_in(node: &Node) -> impl Iterator<Item = &Feature> {
    let (values, members) = match &node.kind {
        NodeKind::Enum { values, .. } => (&values[..], &[][..]),
        NodeKind::Object { members, .. } => (&[][..], &members[..]),
        NodeKind::Include(_)
        | NodeKind::Builtin(_)
        | NodeKind::Array { .. }
        | NodeKind::Alternate { .. }
        | NodeKind::Command { .. }
        | NodeKind::Event { .. } => (&[][..], &[][..]),
    };
    let of_values = values.iter().flat_map(|value| value.attributes.features());
    let of_members = members
        .iter()
        .flat_map(|member| member.attributes.features());
    node.features().iter().chain(of_values).chain(of_members)
}
