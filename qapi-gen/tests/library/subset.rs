//! A part of a schema is a schema: it prints, parses and introspects, and holds what it reaches and no more.

use std::collections::HashSet;
use std::path::Path;

use qapi_gen::backend::introspect::{Options, introspect};
use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::internals::print;
use qapi_gen::ir::{Configuration, Entity, Schema};
use qapi_gen::loader::{FileLoader, MemoryLoader};
use serde_json::Value;

use crate::load;

fn read(text: &str) -> Schema {
    let loader = MemoryLoader::new().with("schema.json", text);
    let checked = load("schema.json", &loader, LintLevels::allow_all());
    checked.schema.expect("a schema without mistakes")
}

fn ours() -> Schema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/qapi-schema.json");
    let path = path.to_str().expect("UTF-8").to_owned();
    let checked = load(&path, &FileLoader, LintLevels::allow_all());
    checked.schema.expect("a schema without mistakes")
}

/// The names of what the author defined.
fn defined(schema: &Schema) -> Vec<&str> {
    let name = |entity: &Entity| match *entity {
        Entity::Include(_) => None,
        Entity::Type(id) => Some(schema.ty(id))
            .filter(|ty| ty.is_named())
            .map(|ty| ty.name()),
        Entity::Command(id) => Some(schema.command(id).name()),
        Entity::Event(id) => Some(schema.event(id).name()),
    };
    schema.entities().iter().filter_map(name).collect()
}

const FIGURES: &str = "
{ 'enum': 'Color', 'data': [ 'red', { 'name': 'green', 'if': 'CONFIG_GREEN' } ] }
{ 'struct': 'Base', 'data': { 'color': 'Color' } }
{ 'struct': 'Point', 'base': 'Base', 'data': { 'x': 'int' } }
{ 'struct': 'Lonely', 'data': {} }
{ 'struct': 'Line', 'data': { 'points': [ 'Point' ] } }
{ 'union': 'Figure', 'base': 'Base', 'discriminator': 'color', 'data': { 'red': 'Line' } }
{ 'alternate': 'Where', 'data': { 'at': 'Point', 'name': 'str' } }
{ 'command': 'draw', 'data': { 'what': 'Figure', 'where': 'Where' }, 'returns': [ 'Point' ] }
{ 'command': 'clear' }
##
# @DRAWN:
#
# @line: what was drawn
#
# Features:
#
# @unstable: for a while
##
{ 'event': 'DRAWN', 'data': { 'line': 'Line' }, 'if': 'CONFIG_EVENTS', 'features': [ 'unstable' ] }
";

#[test]
fn what_is_named_comes_with_all_that_it_reaches() {
    let only = |names: &[&str]| read(FIGURES).only(names).expect("they are defined");
    let draw = ["Color", "Base", "Point", "Line", "Figure", "Where", "draw"];
    assert_eq!(defined(&only(&["draw"])), draw);
    assert_eq!(
        defined(&only(&["DRAWN"])),
        ["Color", "Base", "Point", "Line", "DRAWN"]
    );
    assert_eq!(defined(&only(&["Lonely", "clear"])), ["Lonely", "clear"]);
    assert_eq!(defined(&only(&["draw", "draw"])), draw);
}

#[test]
fn docs_features_and_conditions_stay() {
    let schema = read(FIGURES).only(&["DRAWN"]).expect("it is defined");
    let [event] = schema.events() else {
        panic!("{:?}", schema.events());
    };
    assert_eq!(event.condition().names(), ["CONFIG_EVENTS"]);
    assert_eq!(event.features()[0].name(), "unstable");
    let doc = schema.doc(event.doc().expect("it is documented"));
    let line = doc.member("line").expect("the member is documented");
    assert_eq!(line.text(schema.sources()), "what was drawn");
    assert_eq!(schema.docs().len(), 1);
}

#[test]
fn all_names_that_are_of_nothing_are_told() {
    for name in ["nothing", "str", "PointList", "QType", "q_obj_draw-arg"] {
        let error = read(FIGURES).only(&[name, "draw", "more"]).err();
        let error = error.expect("it is not a definition");
        assert_eq!(error.names(), [name, "more"]);
        let text = format!("the schema does not define '{name}', 'more'");
        assert_eq!(error.to_string(), text);
    }
}

/// Prints the schema and reads that again; gives what its introspection says, by name or text.
fn introspection_after_printing(schema: &Schema) -> HashSet<String> {
    let printed = print(schema);
    let mut loader = MemoryLoader::new();
    for file in printed.files() {
        loader = loader.with(&file.path, file.contents.as_str());
    }
    let main = printed.files()[0].path.to_string_lossy();
    let again = load(&main, &loader, LintLevels::allow_all());
    let messages = again.report.diagnostics().iter();
    let messages: String = messages
        .map(|diagnostic| render_short(diagnostic, &again.sources))
        .collect();
    let again = again.schema.unwrap_or_else(|| panic!("{messages}"));
    assert_eq!(defined(&again), defined(schema));
    entities(&again)
}

/// The entities of the schema's introspection, their types by name.
fn entities(schema: &Schema) -> HashSet<String> {
    let configuration = Configuration::with_default(true);
    let text = introspect(schema, &configuration, Options { unmask: true });
    let array: Vec<Value> =
        serde_json::from_str(&text.expect("no condition is open")).expect("introspection is JSON");
    array.iter().map(Value::to_string).collect()
}

#[test]
fn each_part_of_our_schema_stands_on_its_own() {
    let whole = ours();
    let all = entities(&whole);
    // Read once: some systems take long to open a file.
    let files = whole.sources().files();
    let files = files.fold(MemoryLoader::new(), |files, file| {
        files.with(file.name(), file.text())
    });
    let main = whole
        .sources()
        .files()
        .next()
        .expect("the main file")
        .name();
    let again = || {
        let checked = load(main, &files, LintLevels::allow_all());
        checked.schema.expect("a schema without mistakes")
    };
    for name in defined(&whole) {
        let part = again().only(&[name]).expect("it is defined");
        assert!(defined(&part).contains(&name));
        let of_part = introspection_after_printing(&part);
        assert_eq!(of_part, entities(&part), "{name}");
        let new: Vec<_> = of_part.difference(&all).collect();
        assert!(new.is_empty(), "{name}: {new:?}");
    }
    let names: Vec<String> = defined(&whole).into_iter().map(str::to_owned).collect();
    let same = again().only(&names).expect("they are defined");
    assert_eq!(entities(&same), all);
}
