//! From words of the command line to the arguments of a command.

use indexmap::IndexMap;
use qapi_gen::ir::{Alternate, Builtin, Entity, Member, Schema, TypeId, TypeKind};
use qapi_runtime::{Object, Value};

/// Members in each other by dots; more are not a slip of the hand.
const MAX_DEPTH: usize = 64;

/// What was written, before anybody has asked what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// After `=`.
    Text(String),
    /// After `:=`.
    Json(Value),
    /// The same key several times.
    List(Vec<Written>),
    /// Members that were given by dotted keys.
    Members(IndexMap<String, Written>),
}

/// Reads words: `KEY=VALUE`, `KEY.KEY=VALUE`, `KEY:=JSON`, or one object of JSON.
///
/// # Errors
///
/// What is wrong with the first word that is neither, for people.
pub(crate) fn read(words: &[String]) -> Result<Written, String> {
    if let [word] = words
        && word.trim_start().starts_with('{')
    {
        return match json(word).map_err(|error| format!("'{word}' is not JSON: {error}"))? {
            object @ Value::Object(_) => Ok(Written::Json(object)),
            _ => Err(format!("'{word}' is not an object")),
        };
    }
    let mut members = IndexMap::new();
    for word in words {
        read_word(&mut members, word)?;
    }
    Ok(Written::Members(members))
}

/// What words say that are not all there yet, or have mistakes, which are left out.
pub(crate) fn read_so_far(words: &[String]) -> IndexMap<String, Written> {
    let mut members = IndexMap::new();
    for word in words {
        // The error comes when the line is executed.
        let _ = read_word(&mut members, word);
    }
    members
}

fn read_word(members: &mut IndexMap<String, Written>, word: &str) -> Result<(), String> {
    let Some((key, value)) = word.split_once('=') else {
        return Err(format!(
            "'{word}' is not an argument: KEY=VALUE or KEY:=JSON is expected"
        ));
    };
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => {
            let value = json(value).map_err(|error| format!("'{word}' has no JSON: {error}"))?;
            (key, Written::Json(value))
        }
        None => (key, Written::Text(value.to_owned())),
    };
    let parts: Vec<&str> = key.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) || parts.len() > MAX_DEPTH {
        return Err(format!("'{key}' is not a key"));
    }
    insert(members, &parts, value).map_err(|()| format!("'{key}' has a value already"))
}

fn insert(members: &mut IndexMap<String, Written>, key: &[&str], value: Written) -> Result<(), ()> {
    let Some((first, rest)) = key.split_first() else {
        return Err(());
    };
    let Some(there) = members.get_mut(*first) else {
        let mut value = value;
        for part in rest.iter().rev() {
            value = Written::Members(IndexMap::from([((*part).to_owned(), value)]));
        }
        members.insert((*first).to_owned(), value);
        return Ok(());
    };
    match (there, rest) {
        (Written::Members(members), [_, ..]) => insert(members, rest, value),
        (Written::Members(_), []) | (Written::Json(_), _) | (_, [_, ..]) => Err(()),
        (Written::List(list), []) => {
            list.push(value);
            Ok(())
        }
        (text @ Written::Text(_), []) => {
            *text = Written::List(vec![text.clone(), value]);
            Ok(())
        }
    }
}

fn json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// The arguments of `command` by the types that it has in `schema`. What the types do not have stays as it was written, so that
/// the check tells of it.
pub(crate) fn by_schema(written: Written, schema: &Schema, command: &str) -> Value {
    let ty = match schema.entity(command) {
        Some(Entity::Command(id)) => schema.command(id).arguments(),
        Some(Entity::Type(_) | Entity::Event(_) | Entity::Include(_)) | None => None,
    };
    match ty {
        Some(ty) => Reader(schema).value(written, ty),
        None => by_looks(written),
    }
}

/// The arguments where nothing is known of their types: what is JSON but no string is that, the rest are strings.
pub(crate) fn by_looks(written: Written) -> Value {
    match written {
        Written::Json(value) => value,
        Written::Text(text) => match json(&text) {
            Ok(Value::String(_)) | Err(_) => Value::String(text),
            Ok(value) => value,
        },
        Written::List(list) => list.into_iter().map(by_looks).collect(),
        Written::Members(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (name, by_looks(value)))
                .collect()
        }
    }
}

/// The types whose members an object has: its own, and the branches that its tags choose. A branch may have branches in its
/// turn.
pub(crate) fn chosen(
    schema: &Schema,
    ty: TypeId,
    written: &IndexMap<String, Written>,
) -> Vec<TypeId> {
    let mut types = vec![ty];
    let mut last = ty;
    while let Some(branch) = branch(schema, last, written).filter(|it| !types.contains(it)) {
        types.push(branch);
        last = branch;
    }
    types
}

fn branch(schema: &Schema, ty: TypeId, written: &IndexMap<String, Written>) -> Option<TypeId> {
    let variants = schema.ty(ty).as_object()?.variants()?;
    let tag = match written.get(variants.tag())? {
        Written::Text(text) => text.as_str(),
        Written::Json(value) => value.as_str()?,
        Written::List(_) | Written::Members(_) => return None,
    };
    Some(variants.branch(tag)?.type_id())
}

fn member<'s>(schema: &'s Schema, types: &[TypeId], name: &str) -> Option<&'s Member> {
    let mut members = types.iter().flat_map(|ty| schema.members(*ty));
    members.find(|member| member.name() == name)
}

struct Reader<'s>(&'s Schema);

impl Reader<'_> {
    fn value(&self, written: Written, ty: TypeId) -> Value {
        let schema = self.0;
        match (written, schema.ty(ty).kind()) {
            (Written::Json(value), _) => value,
            (written, TypeKind::Array(element)) => self.array(written, *element),
            (Written::Members(members), TypeKind::Object(_)) => self.object(members, ty),
            (written, TypeKind::Alternate(alternate)) => self.alternate(written, alternate),
            (Written::Text(text), TypeKind::Builtin(builtin)) => scalar(text, *builtin),
            (Written::Text(text), TypeKind::Enum(_)) => Value::String(text),
            // JSON without its own sign, where nothing else can be meant.
            (Written::Text(text), TypeKind::Object(_)) => {
                json(&text).unwrap_or(Value::String(text))
            }
            (written @ (Written::List(_) | Written::Members(_)), _) => by_looks(written),
        }
    }

    /// A list of several values, of members called 0, 1 and so on, of JSON, or of the one value that there is.
    fn array(&self, written: Written, element: TypeId) -> Value {
        let items: Vec<Written> = match written {
            Written::List(list) => list,
            Written::Members(members) => {
                let mut keys = members.keys().enumerate();
                if keys.all(|(n, key)| key.parse() == Ok(n)) {
                    members.into_values().collect()
                } else {
                    vec![Written::Members(members)]
                }
            }
            Written::Text(text) if text.starts_with('[') => match json(&text) {
                Ok(value) => return value,
                Err(_) => vec![Written::Text(text)],
            },
            one => vec![one],
        };
        items
            .into_iter()
            .map(|item| self.value(item, element))
            .collect()
    }

    fn object(&self, written: IndexMap<String, Written>, ty: TypeId) -> Value {
        let types = chosen(self.0, ty, &written);
        let mut object = Object::new();
        for (name, value) in written {
            let value = match member(self.0, &types, &name) {
                Some(member) => self.value(value, member.type_id()),
                None => by_looks(value),
            };
            object.insert(name, value);
        }
        Value::Object(object)
    }

    fn alternate(&self, written: Written, alternate: &Alternate) -> Value {
        let schema = self.0;
        let branches = || alternate.branches().iter().map(|branch| branch.type_id());
        let of_kind =
            |is_it: fn(&TypeKind) -> bool| branches().find(|ty| is_it(schema.ty(*ty).kind()));
        let text = match written {
            Written::Text(text) => text,
            Written::Json(value) => return value,
            Written::Members(members) => {
                return match of_kind(|kind| matches!(kind, TypeKind::Object(_))) {
                    Some(ty) => self.object(members, ty),
                    None => by_looks(Written::Members(members)),
                };
            }
            Written::List(list) => {
                return match of_kind(|kind| matches!(kind, TypeKind::Array(_))) {
                    Some(ty) => self.value(Written::List(list), ty),
                    None => by_looks(Written::List(list)),
                };
            }
        };
        // What reads the text, strings last: they read any.
        let mut found = None;
        for ty in branches() {
            let value = match schema.ty(ty).kind() {
                TypeKind::Builtin(Builtin::Str) => continue,
                TypeKind::Builtin(builtin) => scalar(text.clone(), *builtin),
                TypeKind::Enum(values) if values.value(&text).is_some() => {
                    return Value::String(text);
                }
                TypeKind::Object(_) | TypeKind::Array(_) if text.starts_with(['{', '[']) => {
                    json(&text).unwrap_or(Value::Null)
                }
                TypeKind::Enum(_)
                | TypeKind::Object(_)
                | TypeKind::Array(_)
                | TypeKind::Alternate(_) => continue,
            };
            if !matches!(value, Value::String(_)) {
                found = Some(value);
            }
        }
        found.unwrap_or(Value::String(text))
    }
}

/// A value of a built-in type. Where the text is not such a value it stays a text, and the check tells of it.
fn scalar(text: String, builtin: Builtin) -> Value {
    let value = match builtin {
        Builtin::Str => None,
        Builtin::Bool => match text.as_str() {
            "on" | "yes" | "true" => Some(Value::Bool(true)),
            "off" | "no" | "false" => Some(Value::Bool(false)),
            _ => None,
        },
        Builtin::Null => (text == "null").then_some(Value::Null),
        Builtin::Number => text.parse().ok().map(Value::Double),
        Builtin::Any => return by_looks(Written::Text(text)),
        Builtin::Int
        | Builtin::Int8
        | Builtin::Int16
        | Builtin::Int32
        | Builtin::Int64
        | Builtin::Uint8
        | Builtin::Uint16
        | Builtin::Uint32
        | Builtin::Uint64
        | Builtin::Size => integer(&text),
    };
    value.unwrap_or(Value::String(text))
}

/// An integer: decimal, `0x` and hexadecimal, or with a suffix of sizes, which are powers of 1,024.
fn integer(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(unsigned);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Int(number));
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(unsigned(number));
    }
    let shift = match text.chars().last()?.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        'P' => 50,
        'E' => 60,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    let scaled = number.checked_mul(1 << shift)?;
    Some(unsigned(scaled))
}

fn unsigned(number: u64) -> Value {
    i64::try_from(number).map_or(Value::UInt(number), Value::Int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qapi_gen::diagnostic::LintLevels;
    use qapi_gen::loader::MemoryLoader;

    const SCHEMA: &str = "
        { 'enum': 'Way', 'data': [ 'on', 'plain', 'union' ] }
        { 'struct': 'File', 'data': { '*size': 'size', '*names': [ 'str' ], '*open': 'bool' } }
        { 'struct': 'Nothing', 'data': {} }
        { 'union': 'Node', 'base': { 'way': 'Way', '*name': 'str' }, 'discriminator': 'way',
          'data': { 'plain': 'File' } }
        { 'alternate': 'Ref', 'data': { 'definition': 'Node', 'reference': 'str' } }
        { 'alternate': 'Mode', 'data': { 'way': 'Way', 'none': 'null' } }
        { 'alternate': 'Speed', 'data': { 'text': 'str', 'none': 'null' } }
        { 'command': 'go', 'data': { '*node': 'Node', '*ref': 'Ref', '*mode': 'Mode', '*speed': 'Speed', '*n': 'int',
          '*nodes': [ 'Node' ], '*any': 'any', '*ratio': 'number', '*ns': [ 'int' ], '*name': 'str' } }";

    fn arguments(words: &[&str]) -> Result<String, String> {
        let loader = MemoryLoader::new().with("go.json", SCHEMA);
        let compiled = qapi_gen::compile("go.json", &loader, LintLevels::allow_all());
        let schema = compiled.expect("a schema").into_schema();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(by_schema(read(&words)?, &schema, "go").to_string())
    }

    #[test]
    fn words_are_read_by_types() {
        for (words, expected) in [
            (&["n=5", "name=5"][..], r#"{"n": 5, "name": "5"}"#),
            (&["n=0x10"], r#"{"n": 16}"#),
            (&["n=2G"], r#"{"n": 2147483648}"#),
            (
                &["n=18446744073709551615"],
                r#"{"n": 18446744073709551615}"#,
            ),
            (&["n=many"], r#"{"n": "many"}"#),
            (&["ratio=1e3", "any=on"], r#"{"ratio": 1000, "any": "on"}"#),
            (&["any=[1]", "any2=true"], r#"{"any": [1], "any2": true}"#),
            (
                &[
                    "node.way=plain",
                    "node.size=1K",
                    "node.open=off",
                    "node.names=a",
                    "node.names=b",
                ],
                r#"{"node": {"way": "plain", "size": 1024, "open": false, "names": ["a", "b"]}}"#,
            ),
            (
                &["ref=disk0", "mode=null"],
                r#"{"ref": "disk0", "mode": null}"#,
            ),
            (
                &["ref.way=on", "ref.name=x"],
                r#"{"ref": {"way": "on", "name": "x"}}"#,
            ),
            (
                &["mode=plain", "speed=fast"],
                r#"{"mode": "plain", "speed": "fast"}"#,
            ),
            (&["speed:=null"], r#"{"speed": null}"#),
            (
                &["nodes.0.way=on", "nodes.1.way=plain", "nodes.1.size=1"],
                r#"{"nodes": [{"way": "on"}, {"way": "plain", "size": 1}]}"#,
            ),
            (&["ns=1", "ns=2"], r#"{"ns": [1, 2]}"#),
            (&["ns=7"], r#"{"ns": [7]}"#),
            (&["ns=[1, 2]"], r#"{"ns": [1, 2]}"#),
            (&[r#"{"n": 1.0, "x": "y"}"#], r#"{"n": 1, "x": "y"}"#),
            (&[r#"node={"way": "on"}"#], r#"{"node": {"way": "on"}}"#),
            (&["name=a=b"], r#"{"name": "a=b"}"#),
            (&[], "{}"),
        ] {
            assert_eq!(arguments(words).as_deref(), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn words_that_are_no_arguments_are_told() {
        for (words, expected) in [
            (
                &["n"][..],
                "'n' is not an argument: KEY=VALUE or KEY:=JSON is expected",
            ),
            (&["a..b=1"], "'a..b' is not a key"),
            (&["=1"], "'' is not a key"),
            (&["a=1", "a.b=2"], "'a.b' has a value already"),
            (&["a.b=1", "a=2"], "'a' has a value already"),
            (
                &["a:=[1"],
                "'a:=[1' has no JSON: EOF while parsing a list at line 1 column 2",
            ),
            (
                &[r#"{"a": "#],
                "'{\"a\": ' is not JSON: EOF while parsing a value at line 1 column 6",
            ),
        ] {
            assert_eq!(arguments(words), Err(expected.to_owned()));
        }
    }
}
