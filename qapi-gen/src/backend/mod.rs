//! Backends: pure functions from a checked schema to a set of files.

#[cfg(feature = "cli")]
pub mod doc;
pub mod dump;
pub mod introspect;
pub mod rust;

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::ir::Schema;

/// Turns a checked schema into files. Reads nothing and prints nothing.
pub trait Backend {
    /// The files for `schema`. Same schema and options, same bytes.
    ///
    /// # Errors
    ///
    /// Everything about the schema that the output cannot express.
    fn emit(&self, schema: &Schema) -> Result<Emission, Vec<Diagnostic>>;
}

/// One file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedFile {
    /// Path relative to the output folder.
    pub path: PathBuf,
    /// The whole content.
    pub contents: String,
}

/// An ordered set of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Emission {
    files: Vec<EmittedFile>,
}

impl Emission {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; its path must be new.
    pub(crate) fn push(&mut self, path: impl Into<PathBuf>, contents: String) {
        let path = path.into();
        debug_assert!(self.get(&path).is_none(), "two files at {}", path.display());
        self.files.push(EmittedFile { path, contents });
    }

    /// The files in the order in which they were made.
    #[must_use]
    pub fn files(&self) -> &[EmittedFile] {
        &self.files
    }

    /// The content of the file at `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.contents.as_str())
    }
}
