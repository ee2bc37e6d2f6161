//! Any bytes as a schema: diagnostics or a schema, in every form, and what is printed means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_gen::backend::dump::dump;
use qapi_gen::backend::introspect::introspect;
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::{LintLevels, Report, render_human, render_json, render_short};
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::MemoryLoader;
use qapi_gen::internals::print;
use qapi_gen::source::SourceMap;

fn check(text: &[u8], levels: LintLevels) -> Option<Schema> {
    let loader = MemoryLoader::new().with("schema.json", text);
    match compile("schema.json", &loader, levels) {
        Ok(compiled) => {
            assert!(!compiled.report().has_errors());
            render(compiled.report(), compiled.schema().sources());
            Some(compiled.into_schema())
        }
        Err(rejected) => {
            assert!(rejected.report().has_errors());
            render(rejected.report(), rejected.sources());
            None
        }
    }
}

fn render(report: &Report, sources: &SourceMap) {
    for diagnostic in report.diagnostics() {
        assert!(render_short(diagnostic, sources).ends_with('\n'));
        let json = render_json(diagnostic, sources);
        serde_json::from_str::<serde_json::Value>(&json).expect("one object a line");
        assert!(!render_human(diagnostic, sources, true).is_empty());
    }
}

fuzz_target!(|text: &[u8]| {
    let Some(schema) = check(text, LintLevels::default()) else {
        return;
    };
    let printed = print(&schema);
    let main = printed.files().first().map_or("", |file| file.contents.as_str());
    let again = check(main.as_bytes(), LintLevels::allow_all()).expect("it was good before");
    assert_eq!(dump(&schema), dump(&again));
    for value in [true, false] {
        let configuration = Configuration::with_default(value);
        let array = introspect(&schema, &configuration, Default::default());
        let array = array.expect("every condition is decided");
        serde_json::from_str::<serde_json::Value>(&array).expect("an array");
    }
    // Names may collide in Rust; that is said, and nothing else happens.
    let backend = RustBackend::new(Options::new());
    if let Ok(generated) = backend.generate(&schema) {
        generated.files().emission();
    }
});
