//! The front door: a schema, or all that is wrong with it.

use crate::check::{self, Options};
use crate::introspection::{Peeked, compile_told};
use crate::loader::Loader;
use crate::outcome::{Compiled, Diagnosis, Rejected};

/// Reads and checks the schema at `path`, with all files that it includes. What a server answered to `query-qmp-schema`,
/// saved as JSON, is a schema too: [`introspection`](crate::introspection) says what follows from it.
///
/// Messages print `path` as it is given, and paths of included files relative to it. Lint levels alone are options, too.
///
/// ```
/// use qapi_gen::diagnostic::LintLevels;
/// use qapi_gen::loader::MemoryLoader;
///
/// let text = "{ 'command': 'stop', 'returns': 'Nothing' }";
/// let files = MemoryLoader::new().with("main.json", text);
/// let rejected = qapi_gen::compile("main.json", &files, LintLevels::allow_all()).unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "main.json: In command 'stop':\nmain.json:1: command's 'returns' uses unknown type 'Nothing'\n",
/// );
/// ```
///
/// # Errors
///
/// Every mistake in the schema, and files that cannot be read.
pub fn compile(
    path: &str,
    loader: &dyn Loader,
    options: impl Into<Options>,
) -> Result<Compiled, Rejected> {
    match Peeked::read(path, loader) {
        Ok(loader) => check::check(path, &loader, options.into()),
        Err(told) => compile_told(path, &told, options.into()),
    }
}

/// As [`compile`], for the diagnostics alone.
#[must_use]
pub fn diagnose(path: &str, loader: &dyn Loader, options: impl Into<Options>) -> Diagnosis {
    match Peeked::read(path, loader) {
        Ok(loader) => check::diagnose(path, &loader, options.into()),
        Err(told) => Diagnosis::of(compile_told(path, &told, options.into())),
    }
}
