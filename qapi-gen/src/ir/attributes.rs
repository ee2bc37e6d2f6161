//! What few parts of a schema have.

use std::sync::Arc;

use super::{Condition, Feature};

/// When a part of a schema is there, and its features. Most parts have neither, and take no room
/// for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes(Option<Arc<(Condition, Box<[Feature]>)>>);

/// The condition of what has no 'if' in the schema.
static ALWAYS: Condition = Condition::Always;

impl Attributes {
    pub(crate) fn new(condition: Condition, features: impl Into<Box<[Feature]>>) -> Self {
        let features = features.into();
        if condition.is_always() && features.is_empty() {
            return Self(None);
        }
        Self(Some(Arc::new((condition, features))))
    }

    pub(crate) fn condition(&self) -> &Condition {
        self.0
            .as_deref()
            .map_or(&ALWAYS, |(condition, _)| condition)
    }

    pub(crate) fn features(&self) -> &[Feature] {
        self.0.as_deref().map_or(&[], |(_, features)| features)
    }

    /// The condition alone.
    pub(crate) fn without_features(&self) -> Self {
        if self.features().is_empty() {
            return self.clone();
        }
        Self::new(self.condition().clone(), Vec::new())
    }
}
