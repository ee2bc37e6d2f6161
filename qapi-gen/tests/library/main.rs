//! The library: what it refuses, what it makes, and what holds for any input.

#[cfg(unix)]
mod answers;
#[cfg(not(target_family = "wasm"))]
mod command;
mod compat;
mod introspection;
mod limits;
mod manual;
mod print;
mod probes;
#[cfg(unix)]
mod process;
mod random;
mod rare_input;
#[cfg(all(target_os = "linux", feature = "live"))]
mod running;
mod rust;
mod subset;
#[cfg(not(target_family = "wasm"))]
mod systems;
mod usage;

use std::sync::Arc;

use qapi_gen::check::Options;
use qapi_gen::compile;
use qapi_gen::diagnostic::Report;
use qapi_gen::ir::Schema;
use qapi_gen::loader::Loader;
use qapi_gen::source::SourceMap;

/// What came of a schema that may be good or bad.
struct Checked {
    schema: Option<Schema>,
    report: Report,
    sources: Arc<SourceMap>,
}

fn load(path: &str, loader: &dyn Loader, options: impl Into<Options>) -> Checked {
    match compile(path, loader, options) {
        Ok(compiled) => {
            let (schema, report) = compiled.into_parts();
            Checked {
                sources: Arc::clone(schema.sources()),
                schema: Some(schema),
                report,
            }
        }
        Err(rejected) => {
            let (report, sources) = rejected.into_parts();
            Checked {
                schema: None,
                report,
                sources,
            }
        }
    }
}
