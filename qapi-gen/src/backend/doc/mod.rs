//! The reference manual of a schema: HTML, Markdown or man pages from one tree of chapters.

mod anchors;
mod entity;
mod html;
mod man;
mod manual;
mod markdown;
mod options;

use std::fmt;

use crate::ir::Schema;
use crate::output::Files;

use manual::Manual;
pub use options::{Format, Options};

/// The backend of manuals.
#[derive(Debug, Clone)]
pub struct DocBackend {
    options: Options,
}

/// A name of [`Options::only`] that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDefinition(pub String);

impl fmt::Display for UnknownDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the schema has no definition '{}'", self.0)
    }
}

impl std::error::Error for UnknownDefinition {}

impl DocBackend {
    /// A backend with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The manual of `schema`.
    ///
    /// # Errors
    ///
    /// A name of [`Options::only`] that the schema does not have, the first one.
    pub fn generate<'s>(&'s self, schema: &'s Schema) -> Result<Files<'s>, UnknownDefinition> {
        let is_unknown = |name: &&String| schema.entity(name).is_none();
        if let Some(name) = self.options.only.iter().find(is_unknown) {
            return Err(UnknownDefinition(name.clone()));
        }
        let manual = Manual::new(schema, &self.options);
        let format = self.options.format;
        Ok(Files::new(&[], move |out| match format {
            Format::Html => html::render(&manual, out),
            Format::Markdown => markdown::render(&manual, out),
            Format::Man => man::render(&manual, out),
        }))
    }
}
