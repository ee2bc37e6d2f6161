//! Interfaces that are compared, and how changes are told in a line.

use std::io;
use std::path::Path;
use std::sync::Arc;

use qapi_gen::diagnostic::Diagnostic;
use qapi_gen::diff::Interface;
use qapi_gen::internals::read_input;
use qapi_gen::ir::Configuration;
use qapi_gen::source::SourceMap;

use super::schema::{LintArgs, LoadArgs, read_for_output};
use super::server;

/// An interface to be compared.
pub(crate) struct Input<'a> {
    pub(crate) path: &'a str,
    pub(crate) interface: Interface,
    pub(crate) sources: Arc<SourceMap>,
}

/// Reads either form; `None` if the schema has mistakes, which are printed.
pub(crate) fn read<'a>(
    path: &'a str,
    configuration: &Configuration,
    files: &LoadArgs,
) -> io::Result<Option<Input<'a>>> {
    let in_file = |error: String| io::Error::other(format!("{path}: {error}"));
    let is_server = server::is_address(path);
    let bytes = match is_server {
        true => server::ask_at(path)?,
        false => read_input(Path::new(path)).map_err(|error| in_file(error.to_string()))?,
    };
    if is_server || is_json(&bytes) {
        let interface = Interface::of_introspection(&bytes);
        return Ok(Some(Input {
            path,
            interface: interface.map_err(|error| in_file(error.to_string()))?,
            sources: Arc::default(),
        }));
    }
    let schema = read_for_output(path, files, &LintArgs::default())?;
    Ok(schema.map(|schema| Input {
        path,
        interface: Interface::of_schema(&schema, configuration),
        sources: Arc::clone(schema.sources()),
    }))
}

/// Whether a file is meant to be JSON, complete or not: strings of schemas have single quotes.
fn is_json(bytes: &[u8]) -> bool {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = text.trim_ascii_start();
    match text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) {
        Some(rest) => matches!(rest.first(), None | Some(b'"' | b'}')),
        None => {
            matches!(text.first(), Some(b'[' | b'"'))
                || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
        }
    }
}

/// A change in one line, with its note.
pub(crate) fn render_short_change(diagnostic: &Diagnostic, input: &Input<'_>) -> String {
    let sources = &*input.sources;
    let place = match diagnostic.primary {
        Some(span) => {
            let (file, at) = (sources.file(sources.file_of(span)), sources.position(span));
            format!("{}:{}:{}", file.name(), at.line, at.column)
        }
        None => input.path.to_owned(),
    };
    let (level, code) = (diagnostic.level.as_str(), diagnostic.code.as_str());
    let note = diagnostic.note.as_ref();
    let note = note.map_or_else(String::new, |note| format!(" ({note})"));
    format!("{place}: {level}[{code}]: {}{note}\n", diagnostic.message)
}
