//! What a manual is made of, and how.

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
    pub(super) format: Format,
    pub(super) title: Option<String>,
    pub(super) command: String,
    pub(super) only: Vec<String>,
    pub(super) date: String,
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
