//! What a command takes and gives.

use std::fmt::Write as _;
use std::path::Path;

use qapi_gen::diagnostic::LintLevels;
use qapi_gen::ir::{DocSectionKind, Entity, Feature, Member, Schema, TypeId, TypeKind};
use qapi_gen::loader::FileLoader;

use super::place::{Place, object_of};
use crate::arguments::{Written, read_so_far};
use crate::failure::Failure;
use crate::output::shown;

/// Of the shell itself.
pub(super) const OVERVIEW: &str = "\
COMMAND KEY=VALUE ...  execute a command; KEY.KEY=VALUE, KEY:=JSON and one object of JSON are arguments, too
{\"execute\": ...}       a request as it is sent
.oob COMMAND ...       execute it out of band
.fd FILE COMMAND ...   open a file and send its descriptor along
.hmp LINE              execute a line of the human monitor
.help COMMAND [KEY]    what a command takes and gives; with KEY=VALUE also what this value makes it take
.connect               connect again after the connection was lost
.exit, Ctrl-D          end
Tab completes commands, keys and values. Ctrl-C leaves a command that takes long: its answer is shown when it comes.
Lines that begin with a blank, or that have 'password' or 'secret' in them, are not kept.
";

/// The schema that has the documentation.
pub(crate) fn read_docs(path: &Path) -> Result<Schema, Failure> {
    let name = path.to_str().ok_or_else(|| {
        Failure::Usage(format!("--docs {}: the path is not UTF-8", path.display()))
    })?;
    let compiled = qapi_gen::compile(name, &FileLoader, LintLevels::allow_all());
    let compiled = compiled.map_err(|error| Failure::Usage(format!("--docs: {error}")))?;
    Ok(compiled.into_schema())
}

/// Help for words that follow `.help`: a command or event, then KEY=VALUE words that choose, and a KEY to look into.
pub(super) fn help(schema: &Schema, docs: Option<&Schema>, words: &[String]) -> String {
    let Some((name, rest)) = words.split_first() else {
        return OVERVIEW.to_owned();
    };
    let written = Written::Members(read_so_far(rest));
    let key = rest.iter().find(|word| !word.contains('='));
    let mut text = String::new();
    let known = match schema.entity(name) {
        Some(Entity::Command(id)) => {
            let command = schema.command(id);
            let place = Place::of_command(schema, name, &written);
            let place = match (place, key) {
                (Some(place), Some(key)) => {
                    let parts: Vec<&str> = key.split('.').filter(|it| !it.is_empty()).collect();
                    place.walk(&parts)
                }
                (place, _) => place,
            };
            match (place, key) {
                (Some(place), _) => show_place(&mut text, schema, place),
                (None, Some(key)) => text.push_str(&format!("{name} has no argument '{key}'\n")),
                (None, None) => text.push_str("It takes no arguments.\n"),
            }
            if key.is_none() {
                let returns = command.returns().map(|ty| describe(schema, ty));
                line(
                    &mut text,
                    "Returns",
                    returns.as_deref().unwrap_or("nothing"),
                );
                if command.allows_oob() {
                    text.push_str("It may run out of band.\n");
                }
                features(&mut text, command.features());
            }
            key.is_none()
        }
        Some(Entity::Event(id)) => {
            let event = schema.event(id);
            text.push_str("An event.\n");
            for member in event
                .arguments()
                .into_iter()
                .flat_map(|ty| schema.members(ty))
            {
                show_member(&mut text, schema, member);
            }
            features(&mut text, event.features());
            true
        }
        Some(Entity::Type(_) | Entity::Include(_)) | None => {
            return format!("the server has no command or event '{}'\n", shown(name));
        }
    };
    if let Some(docs) = docs.filter(|_| known) {
        show_docs(&mut text, docs, name);
    }
    text
}

fn show_place(text: &mut String, schema: &Schema, place: Place<'_>) {
    let members = place.members();
    if members.is_empty() {
        line(text, "A value", &describe(schema, place.ty));
        return;
    }
    for member in members {
        show_member(text, schema, member);
    }
    if let Some(tag) = place.open_tag() {
        text.push_str(&format!(
            "  ... and what the value of '{}' chooses\n",
            shown(tag)
        ));
    }
}

/// As QAPI writes it: an asterisk in front of what may be left out.
fn show_member(text: &mut String, schema: &Schema, member: &Member) {
    let star = if member.is_optional() { "*" } else { "" };
    let key = format!("{star}{}", member.name());
    text.push_str("  ");
    line(text, &key, &describe(schema, member.type_id()));
}

fn line(text: &mut String, what: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}: {}", shown(what), shown(value));
}

fn features(text: &mut String, features: &[Feature]) {
    if !features.is_empty() {
        let names: Vec<&str> = features.iter().map(Feature::name).collect();
        line(text, "Features", &names.join(", "));
    }
}

/// What values of a type look like. The names of types are hidden by servers.
fn describe(schema: &Schema, ty: TypeId) -> String {
    match schema.ty(ty).kind() {
        TypeKind::Builtin(builtin) => builtin.as_str().to_owned(),
        TypeKind::Enum(values) => {
            let names: Vec<&str> = values.values().iter().map(|value| value.name()).collect();
            names.join("|")
        }
        TypeKind::Array(element) => format!("list of {}", describe(schema, *element)),
        TypeKind::Object(_) => of_members(schema, ty),
        TypeKind::Alternate(alternate) => {
            let branches = alternate.branches().iter();
            let texts: Vec<String> = branches.map(|it| describe(schema, it.type_id())).collect();
            texts.join(" or ")
        }
    }
}

fn of_members(schema: &Schema, ty: TypeId) -> String {
    let names: Vec<String> = schema
        .members(object_of(schema, ty).unwrap_or(ty))
        .map(|member| {
            let star = if member.is_optional() { "*" } else { "" };
            format!("{star}{}", member.name())
        })
        .collect();
    let variants = schema.ty(ty).as_object().and_then(|it| it.variants());
    let more = if variants.is_some() { ", ..." } else { "" };
    format!("{{{}{more}}}", names.join(", "))
}

fn show_docs(text: &mut String, docs: &Schema, name: &str) {
    let header = docs.entity(name).and_then(|entity| docs.header(entity));
    let Some(doc) = header.and_then(|header| header.doc()) else {
        return;
    };
    for section in docs.doc(doc).sections() {
        let title = match section.kind() {
            DocSectionKind::Plain => None,
            DocSectionKind::Member | DocSectionKind::Feature => section.name(),
            DocSectionKind::Returns => Some("Returns"),
            DocSectionKind::Errors => Some("Errors"),
            DocSectionKind::Since => Some("Since"),
            DocSectionKind::Todo => continue,
        };
        let section = section.text(docs.sources());
        if section.is_empty() {
            continue;
        }
        text.push('\n');
        if let Some(title) = title {
            text.push_str(&format!("{}: ", shown(title)));
        }
        for doc_line in section.lines() {
            text.push_str(&shown(doc_line));
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use qapi_gen::loader::MemoryLoader;

    use super::*;

    const SCHEMA: &str = "
##
# @Way:
#
# Ways.
#
# @none: no way
#
# @plain: a plain one
##
{ 'enum': 'Way', 'data': [ 'none', 'plain' ] }
##
# @File:
#
# @size: its size
##
{ 'struct': 'File', 'data': { '*size': 'int' } }
##
# @Node:
#
# @way: its way
##
{ 'union': 'Node', 'base': { 'way': 'Way' }, 'discriminator': 'way', 'data': { 'plain': 'File' } }
##
# @go:
#
# Goes.
#
# @node: where to
#
# @names: who
##
{ 'command': 'go', 'data': { 'node': 'Node', '*names': [ 'str' ] }, 'returns': 'File', 'allow-oob': true }
##
# @GONE:
#
# It has gone.
#
# @way: which way
##
{ 'event': 'GONE', 'data': { 'way': 'Way' } }";

    fn help_for(words: &[&str], has_docs: bool) -> String {
        let loader = MemoryLoader::new().with("go.json", SCHEMA);
        let compiled = qapi_gen::compile("go.json", &loader, LintLevels::allow_all());
        let schema = compiled.expect("a schema").into_schema();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        help(&schema, has_docs.then_some(&schema), &words)
    }

    #[test]
    fn commands_and_events_are_described() {
        for (words, expected) in [
            (
                &["go"][..],
                "  node: {way, ...}\n  *names: list of str\nReturns: {*size}\nIt may run out of band.\n",
            ),
            (
                &["go", "node"],
                "  way: none|plain\n  ... and what the value of 'way' chooses\n",
            ),
            (
                &["go", "node.way=plain", "node"],
                "  way: none|plain\n  *size: int\n",
            ),
            (&["go", "names"], "A value: list of str\n"),
            (&["go", "name"], "go has no argument 'name'\n"),
            (&["GONE"], "An event.\n  way: none|plain\n"),
            (&["gone"], "the server has no command or event 'gone'\n"),
        ] {
            assert_eq!(help_for(words, false), expected, "{words:?}");
        }
        let text = help_for(&["go"], true);
        assert!(
            text.ends_with("\nGoes.\n\nnode: where to\n\nnames: who\n"),
            "{text}"
        );
    }
}
