//! The reference manual of a schema: HTML, Markdown or man pages from one tree of chapters.

mod anchors;
mod entity;
mod html;
mod man;
mod manual;
mod markdown;

use std::fmt;

use crate::ir::Schema;
use crate::output::Files;

use manual::Manual;

/// What a manual is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pages for a browser, with an index and a search that need no server.
    Html,
    /// Pages that GitHub and mdBook show.
    Markdown,
    /// Pages of section 7 for `man`.
    Man,
}

/// How a manual is made.
#[derive(Debug, Clone)]
pub struct Options {
    format: Format,
    title: Option<String>,
    command: String,
    only: Vec<String>,
    date: String,
}

impl Options {
    /// A manual of the whole schema.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            title: None,
            command: "qapi-gen doc".to_owned(),
            only: Vec::new(),
            date: String::new(),
        }
    }

    /// The title; without it, the manual is named after the main file of the schema.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The command that the files name as their maker.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// The date that man pages state, such as `2026-01-31`; none without it.
    #[must_use]
    pub fn date(mut self, date: impl Into<String>) -> Self {
        self.date = date.into();
        self
    }

    /// Only this definition and the types it uses; may be called more than once.
    #[must_use]
    pub fn only(mut self, name: impl Into<String>) -> Self {
        self.only.push(name.into());
        self
    }
}

/// The backend of manuals.
#[derive(Debug, Clone)]
pub struct DocBackend {
    options: Options,
}

/// A name of [`Options::only`] that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName(pub String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the schema has no definition '{}'", self.0)
    }
}

impl std::error::Error for UnknownName {}

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
    pub fn generate<'s>(&'s self, schema: &'s Schema) -> Result<Files<'s>, UnknownName> {
        let is_unknown = |name: &&String| schema.entity(name).is_none();
        if let Some(name) = self.options.only.iter().find(is_unknown) {
            return Err(UnknownName(name.clone()));
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
