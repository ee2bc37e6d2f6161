//! Generating from a build script.

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::backend::rust::{Options, RustBackend};
use crate::check;
use crate::compile::compile;
use crate::diagnostic::{Level, Lint, LintLevels, render_short};
use crate::ir::Configuration;
use crate::loader::{FileLoader, Loader, RootedLoader, read_text};
use crate::outcome::{Compiled, Rejected};
use crate::output;
use crate::path::is_device;
use crate::source::SourceMap;

/// Generates Rust from a schema in `build.rs`.
///
/// ```no_run
/// qapi_gen::Builder::new().schema("schema/daemon.json").generate()?;
/// # Ok::<(), qapi_gen::BuildError>(())
/// ```
///
/// The crate then has one line, which makes the module `qapi`:
///
/// ```text
/// include!(concat!(env!("OUT_DIR"), "/qapi.rs"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    schema: PathBuf,
    out_dir: Option<PathBuf>,
    module: Option<String>,
    configuration: Configuration,
    config_files: Vec<PathBuf>,
    include_root: Option<PathBuf>,
    no_doc_check: bool,
    settings: Vec<(String, bool)>,
    levels: LintLevels,
    only: Vec<String>,
    tolerated: Vec<String>,
    options: Options,
}

/// What kept [`Builder::generate`] from generating.
///
/// Its debug form is its text, since that is what a build script's `main` prints.
pub struct BuildError(Reason);

enum Reason {
    Rejected(Rejected),
    Other(String),
}

impl BuildError {
    fn new(reason: impl Into<String>) -> Self {
        Self(Reason::Other(reason.into()))
    }

    /// The mistakes, if it is the schema that is at fault.
    #[must_use]
    pub fn rejected(&self) -> Option<&Rejected> {
        match &self.0 {
            Reason::Rejected(rejected) => Some(rejected),
            Reason::Other(_) => None,
        }
    }
}

impl From<Rejected> for BuildError {
    fn from(rejected: Rejected) -> Self {
        Self(Reason::Rejected(rejected))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Rejected(rejected) => {
                fmt::Display::fmt(rejected, f)?;
                let diagnostics = rejected.report().diagnostics().iter();
                let mut helps: Vec<_> = diagnostics.filter_map(|it| it.help.as_deref()).collect();
                helps.dedup();
                for help in helps {
                    writeln!(f, "help: {help}")?;
                }
                f.write_str("help: 'qapi-gen check' shows these places in the source")
            }
            Reason::Other(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BuildError {}

impl Builder {
    /// Everything is generated, conditions become `#[cfg]`.
    #[must_use]
    pub fn new() -> Self {
        let options = Options::new().command("qapi_gen::Builder");
        Self {
            options,
            ..Self::default()
        }
    }

    /// The main file of the schema, relative to the package.
    #[must_use]
    pub fn schema(mut self, path: impl Into<PathBuf>) -> Self {
        self.schema = path.into();
        self
    }

    /// The folder that gets the code, in place of one below `OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(path.into());
        self
    }

    /// The name of the module below `OUT_DIR`, `qapi` by default; two schemas need two.
    #[must_use]
    pub fn module(mut self, name: impl Into<String>) -> Self {
        self.module = Some(name.into());
        self
    }

    /// Includes files from below this folder only; links count by where they lead. For schemas that others have written.
    #[must_use]
    pub fn include_root(mut self, path: impl Into<PathBuf>) -> Self {
        self.include_root = Some(path.into());
        self
    }

    /// Ignores documentation, as [`check::Options::no_doc_check`] says.
    #[must_use]
    pub fn no_doc_check(mut self) -> Self {
        self.no_doc_check = true;
        self
    }

    /// A file that sets names of conditions: `CONFIG_FOO=y`.
    #[must_use]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_files.push(path.into());
        self
    }

    /// The names of conditions that are decided; files and settings come on top.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// Sets a name of conditions.
    #[must_use]
    pub fn define(mut self, name: impl Into<String>) -> Self {
        self.settings.push((name.into(), true));
        self
    }

    /// Unsets a name of conditions.
    #[must_use]
    pub fn undefine(mut self, name: impl Into<String>) -> Self {
        self.settings.push((name.into(), false));
        self
    }

    /// Sets the level of a lint.
    #[must_use]
    pub fn lint(mut self, lint: Lint, level: Level) -> Self {
        self.levels.set(lint, level);
        self
    }

    /// Takes only these commands, events and types of the schema, with everything that they reach; without a call the
    /// whole. [`Schema::only`](crate::ir::Schema::only) says what that is.
    #[must_use]
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// Lets members be absent from results and events that are mandatory in the schema, for clients of servers of other
    /// versions: `*` for all of them, or the name of a type, a type and a member, or an event.
    /// [`Options::tolerate`] says what that means.
    #[must_use]
    pub fn tolerate(mut self, name: impl Into<String>) -> Self {
        self.tolerated.push(name.into());
        self
    }

    /// What is generated. The configuration is the builder's, not that of `options`.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Reads the schema, writes the code and tells Cargo what it depends on.
    ///
    /// # Errors
    ///
    /// Mistakes in the schema, all of them; files that cannot be read or written.
    pub fn generate(self) -> Result<(), BuildError> {
        let mut configuration = self.configuration.clone();
        for path in &self.config_files {
            tell_cargo(format_args!("rerun-if-changed={}", path.display()))?;
            let fail = |reason: &dyn fmt::Display| {
                BuildError::new(format!("cannot read '{}': {reason}", path.display()))
            };
            let text = read_text(path).map_err(|error| fail(&error))?;
            configuration.read(&text).map_err(|error| fail(&error))?;
        }
        for (name, value) in &self.settings {
            configuration.set(name, *value);
        }
        let path = self
            .schema
            .to_str()
            .ok_or_else(|| BuildError::new(format!("'{}' is not UTF-8", self.schema.display())))?;
        let mut options = check::Options::new(self.levels.clone());
        if self.no_doc_check {
            options = options.no_doc_check();
        }
        let compiled = compile(path, &*self.loader()?, options);
        depend_on(match &compiled {
            Ok(compiled) => compiled.schema().sources(),
            Err(rejected) => rejected.sources(),
        })?;
        let compiled = compiled?;
        warn(&compiled)?;
        let schema = compiled.into_schema();
        let schema = &match self.only.as_slice() {
            [] => schema,
            names => schema
                .only(names)
                .map_err(|error| BuildError::new(error.to_string()))?,
        };
        let options = self.options.clone().configuration(configuration);
        let tolerated = self.tolerated.iter();
        let backend = RustBackend::new(tolerated.fold(options, Options::tolerate));
        let generated = backend.generate(schema)?;
        let features = generated.features();
        if !features.is_empty() {
            let values = features.join("\", \"");
            tell_cargo(format_args!(
                "rustc-check-cfg=cfg(feature, values(\"{values}\"))"
            ))?;
        }
        let folder = self.folder()?;
        let written = generated.files().write(&folder);
        written.map_err(|error| BuildError::new(error.to_string()))?;
        if self.out_dir.is_none() {
            write_include(&folder)?;
        }
        Ok(())
    }

    fn loader(&self) -> Result<Box<dyn Loader>, BuildError> {
        let Some(root) = &self.include_root else {
            return Ok(Box::new(FileLoader));
        };
        match RootedLoader::new(root) {
            Ok(loader) => Ok(Box::new(loader)),
            Err(error) => Err(BuildError::new(format!(
                "cannot read '{}': {error}",
                root.display()
            ))),
        }
    }

    fn folder(&self) -> Result<PathBuf, BuildError> {
        if let Some(folder) = &self.out_dir {
            return Ok(folder.clone());
        }
        let Some(out_dir) = env::var_os("OUT_DIR") else {
            let message = "OUT_DIR is not set: outside of build scripts give an `out_dir`";
            return Err(BuildError::new(message.to_owned()));
        };
        let module = self.module.as_deref().unwrap_or("qapi");
        // It is a file name, too: no `r#`.
        if syn::parse_str::<syn::Ident>(module).is_err() || module.starts_with("r#") {
            return Err(BuildError::new(format!(
                "'{module}' is not a name for a module"
            )));
        }
        if is_device(module) {
            return Err(BuildError::new(format!(
                "'{module}' is not a name for a module: no file can be called so on Windows"
            )));
        }
        Ok(PathBuf::from(out_dir).join(module))
    }
}

/// Tells Cargo which files the code is made of.
fn depend_on(sources: &SourceMap) -> Result<(), BuildError> {
    for file in sources.files() {
        tell_cargo(format_args!("rerun-if-changed={}", file.name()))?;
    }
    Ok(())
}

/// Tells Cargo what was noticed about the schema.
fn warn(compiled: &Compiled) -> Result<(), BuildError> {
    for diagnostic in compiled.report().diagnostics() {
        for line in render_short(diagnostic, compiled.schema().sources()).lines() {
            tell_cargo(format_args!("warning={line}"))?;
        }
    }
    Ok(())
}

/// Writes an instruction for Cargo, which reads them from standard output.
fn tell_cargo(instruction: fmt::Arguments<'_>) -> Result<(), BuildError> {
    writeln!(io::stdout(), "cargo::{instruction}")
        .map_err(|error| BuildError::new(format!("cannot write to standard output: {error}")))
}

/// The file to be included: a module of another folder cannot be named by `OUT_DIR`.
fn write_include(folder: &Path) -> Result<(), BuildError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let root = folder.join("mod.rs");
    let text = format!(
        "#[path = {:?}]\npub mod {name};\n",
        root.display().to_string()
    );
    let path = folder.with_extension("rs");
    output::replace(&path, text.as_bytes()).map_err(|error| BuildError::new(error.to_string()))
}
