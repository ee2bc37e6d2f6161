//! Any bytes as a schema: diagnostics or a schema, in every form, and what is printed means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_gen::backend::Backend as _;
use qapi_gen::backend::dump::dump;
use qapi_gen::backend::introspect::introspect;
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::check::load;
use qapi_gen::diagnostic::{LintLevels, render_human, render_json, render_short};
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::MemoryLoader;
use qapi_gen::print::print;

fn check(text: &[u8], levels: LintLevels) -> Option<Schema> {
    let loader = MemoryLoader::new().with("schema.json", text);
    let checked = load("schema.json", &loader, levels);
    assert_eq!(checked.schema.is_none(), checked.report.has_errors());
    for diagnostic in checked.report.diagnostics() {
        assert!(render_short(diagnostic, &checked.sources).ends_with('\n'));
        let json = render_json(diagnostic, &checked.sources);
        serde_json::from_str::<serde_json::Value>(&json).expect("one object a line");
        assert!(!render_human(diagnostic, &checked.sources, true).is_empty());
    }
    checked.schema
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
    let _ = RustBackend::new(Options::new()).emit(&schema);
});
