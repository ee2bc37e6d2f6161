//! Backends: pure functions from a checked schema to a set of files.

#[cfg(feature = "cli")]
pub mod doc;
pub mod dump;
pub mod introspect;
pub mod rust;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::ir::Schema;

/// Takes one file after the other; says when it wants no more.
pub type Sink<'s> = dyn FnMut(EmittedFile) -> ControlFlow<()> + 's;

/// Turns a checked schema into files. Reads nothing and prints nothing.
pub trait Backend {
    /// Hands the files for `schema` to `sink`, each as soon as it is made and before the next one is. Same schema and
    /// options, same files in the same order, same bytes. Ends when `sink` wants no more.
    ///
    /// # Errors
    ///
    /// Everything about the schema that the output cannot express. Files that `sink` has got before are worth nothing.
    fn emit_to(&self, schema: &Schema, sink: &mut Sink<'_>) -> Result<(), Vec<Diagnostic>>;

    /// The files for `schema`, all of them in memory.
    ///
    /// # Errors
    ///
    /// As [`Backend::emit_to`].
    fn emit(&self, schema: &Schema) -> Result<Emission, Vec<Diagnostic>> {
        let mut emission = Emission::new();
        self.emit_to(schema, &mut |file| {
            emission.push(file.path, file.contents);
            ControlFlow::Continue(())
        })?;
        Ok(emission)
    }
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

impl EmittedFile {
    pub(crate) fn new(path: impl Into<PathBuf>, contents: String) -> Self {
        Self {
            path: path.into(),
            contents,
        }
    }
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
