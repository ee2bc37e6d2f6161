//! What a line may go on with.

use qapi_gen::ir::{Builtin, Entity, Schema, TypeId, TypeKind};

use super::place::{Place, object_of};
use crate::arguments::{Written, read_so_far};
use crate::words::{Word, scan};

/// Words of our own that stand at the start of a line.
const OWN_WORDS: [&str; 6] = [".connect", ".exit", ".fd", ".help", ".hmp", ".oob"];

/// What can stand in place of the last word of `line`, which ends at the cursor; and where that begins, in bytes.
pub(super) fn complete(schema: &Schema, line: &str) -> (usize, Vec<String>) {
    let (mut words, is_complete) = scan(line);
    let nothing = (line.len(), Vec::new());
    let is_last_open = !line.ends_with([' ', '\t', '\n']);
    let last = match words.pop() {
        Some(word) if is_last_open => word,
        other => {
            words.extend(other);
            Word {
                start: line.len(),
                text: String::new(),
            }
        }
    };
    // What is quoted is the reader's own business.
    if !is_complete || line[last.start..] != last.text {
        return nothing;
    }
    let words: Vec<String> = words.into_iter().map(|word| word.text).collect();
    let mut rest = &words[..];
    let mut is_help = false;
    loop {
        rest = match rest {
            [word, rest @ ..] if word == ".oob" => rest,
            [word, _, rest @ ..] if word == ".fd" => rest,
            [word, rest @ ..] if word == ".help" && rest.len() + 1 == words.len() => {
                is_help = true;
                rest
            }
            [word, ..] if word.starts_with('.') => return nothing,
            _ => break,
        };
    }
    match rest {
        [] => {
            let own = OWN_WORDS.into_iter().filter(|_| words.is_empty());
            (last.start, first_words(schema, own, &last.text, is_help))
        }
        [command, arguments @ ..] => arguments_of(schema, command, arguments, &last),
    }
}

/// Commands, and with `.help` events.
fn first_words<'s>(
    schema: &'s Schema,
    own: impl Iterator<Item = &'s str>,
    begun: &str,
    is_help: bool,
) -> Vec<String> {
    let is_meant = |entity: &&Entity| match entity {
        Entity::Command(_) => true,
        Entity::Event(_) => is_help,
        Entity::Type(_) | Entity::Include(_) => false,
    };
    let entities = schema.entities().iter().filter(is_meant);
    let names = entities.filter_map(|entity| Some(schema.header(*entity)?.name()));
    let mut names: Vec<String> = own
        .chain(names)
        .filter(|name| name.starts_with(begun))
        .map(|name| format!("{name} "))
        .collect();
    names.sort_unstable();
    names
}

fn arguments_of(
    schema: &Schema,
    command: &str,
    arguments: &[String],
    last: &Word,
) -> (usize, Vec<String>) {
    let written = Written::Members(read_so_far(arguments));
    let nothing = (last.start, Vec::new());
    let Some(whole) = Place::of_command(schema, command, &written) else {
        return nothing;
    };
    if let Some((key, begun)) = last.text.split_once('=') {
        let parts: Vec<&str> = key.split('.').collect();
        let Some(place) = whole.walk(&parts) else {
            return nothing;
        };
        let values = values(schema, place.ty);
        let begun_at = last.start + key.len() + 1;
        let fitting = values.into_iter().filter(|value| value.starts_with(begun));
        return (begun_at, fitting.map(|value| format!("{value} ")).collect());
    }
    let mut parts: Vec<&str> = last.text.split('.').collect();
    let begun = parts.pop().unwrap_or_default();
    let before = &last.text[..last.text.len() - begun.len()];
    let Some(place) = whole.walk(&parts) else {
        return nothing;
    };
    let keys = keys(schema, place, begun);
    let keys = keys.into_iter().map(|key| format!("{before}{key}"));
    (last.start, keys.collect())
}

/// Keys that may stand here and begin so, each with what comes after it: `=` before a value, and a dot before members.
fn keys(schema: &Schema, place: Place<'_>, begun: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut add = |name: &str, place: Place<'_>| {
        let is_list_of_objects = match schema.ty(place.ty).kind() {
            TypeKind::Array(element) => object_of(schema, *element).is_some(),
            TypeKind::Builtin(_)
            | TypeKind::Enum(_)
            | TypeKind::Object(_)
            | TypeKind::Alternate(_) => false,
        };
        if object_of(schema, place.ty).is_some() {
            keys.push(format!("{name}."));
        }
        if is_list_of_objects {
            keys.push(format!("{name}.{}.", place.n_written()));
        } else if !matches!(schema.ty(place.ty).kind(), TypeKind::Object(_)) && !place.is_taken() {
            keys.push(format!("{name}="));
        }
    };
    if let TypeKind::Array(_) = schema.ty(place.ty).kind() {
        let number = place.n_written().saturating_sub(1).to_string();
        if let Some(element) = place.step(&number).filter(|_| number.starts_with(begun)) {
            add(&number, element);
        }
        return keys;
    }
    for member in place.members() {
        let name = member.name();
        if let Some(there) = place.step(name).filter(|_| name.starts_with(begun)) {
            add(name, there);
        }
    }
    keys
}

/// The values that a type has, if they can be counted.
fn values(schema: &Schema, ty: TypeId) -> Vec<&str> {
    match schema.ty(ty).kind() {
        TypeKind::Builtin(Builtin::Bool) => vec!["on", "off"],
        TypeKind::Builtin(Builtin::Null) => vec!["null"],
        TypeKind::Builtin(
            Builtin::Str
            | Builtin::Number
            | Builtin::Int
            | Builtin::Int8
            | Builtin::Int16
            | Builtin::Int32
            | Builtin::Int64
            | Builtin::Uint8
            | Builtin::Uint16
            | Builtin::Uint32
            | Builtin::Uint64
            | Builtin::Size
            | Builtin::Any,
        )
        | TypeKind::Object(_) => Vec::new(),
        TypeKind::Enum(values) => values.values().iter().map(|value| value.name()).collect(),
        TypeKind::Array(element) => match schema.ty(*element).kind() {
            TypeKind::Builtin(_) | TypeKind::Enum(_) => values(schema, *element),
            TypeKind::Object(_) | TypeKind::Array(_) | TypeKind::Alternate(_) => Vec::new(),
        },
        TypeKind::Alternate(alternate) => {
            let branches = alternate.branches().iter().map(|branch| branch.type_id());
            // An alternate has no alternate among its branches.
            branches.flat_map(|ty| values(schema, ty)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use qapi_gen::diagnostic::LintLevels;
    use qapi_gen::ir::Schema;
    use qapi_gen::loader::MemoryLoader;

    use super::complete;

    const SCHEMA: &str = "
        { 'enum': 'Way', 'data': [ 'none', 'plain', 'deep' ] }
        { 'enum': 'Inner', 'data': [ 'one', 'two' ] }
        { 'struct': 'File', 'data': { '*size': 'size', '*names': [ 'Way' ], '*open': 'bool' } }
        { 'struct': 'One', 'data': { '*depth': 'int' } }
        { 'union': 'Deep', 'base': { 'inner': 'Inner' }, 'discriminator': 'inner', 'data': { 'one': 'One' } }
        { 'union': 'Node', 'base': { 'way': 'Way', '*name': 'str' }, 'discriminator': 'way',
          'data': { 'plain': 'File', 'deep': 'Deep' } }
        { 'alternate': 'Ref', 'data': { 'definition': 'Node', 'reference': 'str' } }
        { 'command': 'go', 'data': { 'node': 'Node', '*ref': 'Ref', '*nodes': [ 'Node' ], '*id': 'str' } }
        { 'command': 'go-on' }
        { 'event': 'GONE' }";

    fn schema() -> Schema {
        let loader = MemoryLoader::new().with("go.json", SCHEMA);
        let compiled = qapi_gen::compile("go.json", &loader, LintLevels::allow_all());
        compiled.expect("a schema").into_schema()
    }

    #[test]
    fn lines_are_completed_at_any_depth() {
        let schema = schema();
        for (line, expected) in [
            ("g", "0: go |go-on "),
            ("go-", "0: go-on "),
            (".oo", "0: .oob "),
            (".oob g", "5: go |go-on "),
            (".fd a b", "6: "),
            (".fd /x ", "7: go |go-on "),
            (".help G", "6: GONE "),
            (".help go no", "9: node.|nodes.0."),
            (".hmp in", "7: "),
            ("go ", "3: node.|ref.|ref=|nodes.0.|id="),
            ("go id=a ", "8: node.|ref.|ref=|nodes.0."),
            ("go node.", "3: node.way=|node.name="),
            ("go node.w", "3: node.way="),
            ("go node.way=", "12: none |plain |deep "),
            ("go node.way=p", "12: plain "),
            (
                "go node.way=plain node.",
                "18: node.name=|node.size=|node.names=|node.open=",
            ),
            ("go node.way=plain node.open=", "28: on |off "),
            ("go node.way=plain node.names=", "29: none |plain |deep "),
            // A branch that is a union itself.
            ("go ref.way=deep ref.i", "16: ref.inner="),
            ("go ref.way=deep ref.inner=one ref.d", "30: ref.depth="),
            ("go nodes.0.way=plain nodes.0.s", "21: nodes.0.size="),
            ("go nodes.0.way=plain nodes.", "21: nodes.0."),
            ("go nodes.0.way=plain nod", "21: node.|nodes.1."),
            // What nobody knows, what is quoted, and what is JSON.
            ("gone ", "5: "),
            ("go x.", "3: "),
            ("go 'no", "6: "),
            ("go {\"no", "7: "),
            ("go-on ", "6: "),
        ] {
            let (start, candidates) = complete(&schema, line);
            assert_eq!(
                format!("{start}: {}", candidates.join("|")),
                expected,
                "{line}"
            );
        }
    }
}
