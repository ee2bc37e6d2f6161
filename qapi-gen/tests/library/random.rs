//! Generated input: any bytes, any tokens, valid schemas, and valid schemas with one rule broken.
//!
//! `PROPTEST_CASES` sets how many cases each test runs.

use proptest::prelude::*;
use qapi_gen::backend::dump::dump;
use qapi_gen::diagnostic::{Code, LintLevels, render_json, render_short};
use qapi_gen::internals::limits::MAX_DIAGNOSTICS;
use qapi_gen::internals::print;
use qapi_gen::loader::MemoryLoader;

use crate::{Checked, load};

fn check(text: impl Into<Vec<u8>>) -> Checked {
    let loader = MemoryLoader::new().with("schema.json", text);
    load("schema.json", &loader, LintLevels::default())
}

fn short(checked: &Checked) -> String {
    let diagnostics = checked.report.diagnostics().iter();
    diagnostics
        .map(|diagnostic| render_short(diagnostic, &checked.sources))
        .collect()
}

/// What must hold for any input: a schema or errors, every place inside of a file, bounded memory.
fn check_any(text: Vec<u8>) -> Result<(), TestCaseError> {
    let checked = check(text);
    prop_assert_eq!(checked.schema.is_some(), !checked.report.has_errors());
    prop_assert!(checked.report.diagnostics().len() <= MAX_DIAGNOSTICS);
    for diagnostic in checked.report.diagnostics() {
        let lines = render_short(diagnostic, &checked.sources);
        prop_assert!(!lines.is_empty());
        let json = render_json(diagnostic, &checked.sources);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
    if let Some(schema) = &checked.schema {
        prop_assert!(!dump(schema).is_empty());
        prop_assert!(!print(schema).files().is_empty());
    }
    Ok(())
}

/// Pieces of schemas, so that random text gets past the first token.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\r",
        "\t",
        "#",
        "##\n",
        "# @a:\n",
        "#\n",
        "\\",
        "'",
        "true",
        "false",
        "'enum'",
        "'struct'",
        "'union'",
        "'alternate'",
        "'command'",
        "'event'",
        "'data'",
        "'base'",
        "'discriminator'",
        "'if'",
        "'features'",
        "'include'",
        "'pragma'",
        "'returns'",
        "'boxed'",
        "'gen'",
        "'name'",
        "'type'",
        "'all'",
        "'not'",
        "'Foo'",
        "'a'",
        "'*b'",
        "'A'",
        "'int'",
        "'str'",
        "'schema.json'",
        "{ 'enum': 'E1e', ",
        "{ 'struct': 'Foo', 'data': {",
        "'data': [ 'a', 'b' ] }\n",
        "} }\n",
        "# Since: 1\n",
        "# Features:\n",
        "# = T\n",
        "é",
        "\u{0}",
        "{ 'command': 'go' }\n",
    ])
}

/// A definition of a generated schema, and what it can be used for.
#[derive(Debug, Clone)]
struct Plan {
    structs: Vec<Vec<Member>>,
    enums: Vec<usize>,
    n_unions: usize,
    n_alternates: usize,
    commands: Vec<(Option<usize>, Option<usize>)>,
    events: Vec<Option<usize>>,
    is_documented: bool,
}

/// A member: its type, and whether it is an array, optional, conditional, unstable.
type Member = (usize, bool, bool, bool, bool);

const BUILTINS: [&str; 8] = [
    "str", "int", "bool", "number", "size", "uint8", "any", "null",
];

fn plan() -> impl Strategy<Value = Plan> {
    let member = (
        0..64usize,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let structs = prop::collection::vec(prop::collection::vec(member, 0..5), 1..6);
    let enums = prop::collection::vec(1..5usize, 1..4);
    let index = || prop::option::of(0..64usize);
    let commands = prop::collection::vec((index(), index()), 0..4);
    let events = prop::collection::vec(index(), 0..3);
    (
        structs,
        enums,
        0..3usize,
        0..3usize,
        commands,
        events,
        any::<bool>(),
    )
        .prop_map(
            |(structs, enums, n_unions, n_alternates, commands, events, is_documented)| Plan {
                structs,
                enums,
                n_unions,
                n_alternates,
                commands,
                events,
                is_documented,
            },
        )
}

impl Plan {
    /// The definitions, each a valid one.
    fn definitions(&self) -> Vec<String> {
        let mut definitions = Vec::new();
        for (n, members) in self.structs.iter().enumerate() {
            let doc = self.doc(&format!("Struct{n}"), members.len(), 's', members);
            let listed: Vec<String> = members
                .iter()
                .enumerate()
                .map(|(index, member)| self.member(n, index, member))
                .collect();
            // Only earlier structs are bases, so that there is no loop.
            let base = (n % 3 == 2).then(|| format!("'base': 'Struct{}', ", n - 1));
            definitions.push(format!(
                "{doc}{{ 'struct': 'Struct{n}', {}'data': {{ {} }} }}\n",
                base.unwrap_or_default(),
                listed.join(", ")
            ));
        }
        for (n, &n_values) in self.enums.iter().enumerate() {
            let doc = self.doc(&format!("Enum{n}"), n_values, 'v', &[]);
            let values: Vec<String> = (0..n_values).map(|value| format!("'v0-{value}'")).collect();
            let doc = doc.replace("@v", "@v0-");
            definitions.push(format!(
                "{doc}{{ 'enum': 'Enum{n}', 'data': [ {} ] }}\n",
                values.join(", ")
            ));
        }
        for n in 0..self.n_unions {
            let tag = n % self.enums.len();
            let branch = n % self.structs.len();
            definitions.push(format!(
                "{{ 'union': 'Union{n}', 'base': {{ 'tag': 'Enum{tag}' }}, \
                 'discriminator': 'tag', 'data': {{ 'v0-0': 'Struct{branch}' }} }}\n"
            ));
        }
        for n in 0..self.n_alternates {
            let object = n % self.structs.len();
            definitions.push(format!(
                "{{ 'alternate': 'Alternate{n}', \
                 'data': {{ 'object': 'Struct{object}', 'text': 'str', 'none': 'null' }} }}\n"
            ));
        }
        for (n, (arguments, returns)) in self.commands.iter().enumerate() {
            let object = |index: usize| format!("'Struct{}'", index % self.structs.len());
            let data = arguments.map(|index| format!(", 'data': {}, 'boxed': true", object(index)));
            let returns = returns.map(|index| format!(", 'returns': [ {} ]", object(index)));
            definitions.push(format!(
                "{{ 'command': 'command-{n}'{}{} }}\n",
                data.unwrap_or_default(),
                returns.unwrap_or_default()
            ));
        }
        for (n, data) in self.events.iter().enumerate() {
            let struct_index = data.map(|index| index % self.structs.len());
            let data =
                struct_index.map(|index| format!(", 'data': 'Struct{index}', 'boxed': true"));
            definitions.push(format!(
                "{{ 'event': 'EVENT_{n}'{} }}\n",
                data.unwrap_or_default()
            ));
        }
        definitions
    }

    fn text(&self) -> String {
        self.definitions().concat()
    }

    /// A member of struct `owner`; its name is its own even among those of bases.
    fn member(&self, owner: usize, index: usize, member: &Member) -> String {
        let &(ty, is_array, is_optional, is_conditional, is_unstable) = member;
        let star = if is_optional { "*" } else { "" };
        let n_types = BUILTINS.len() + self.structs.len() + self.enums.len();
        let name = match ty % n_types {
            builtin if builtin < BUILTINS.len() => BUILTINS[builtin].to_owned(),
            object if object < BUILTINS.len() + self.structs.len() => {
                format!("Struct{}", object - BUILTINS.len())
            }
            other => format!("Enum{}", other - BUILTINS.len() - self.structs.len()),
        };
        let ty = if is_array {
            format!("[ '{name}' ]")
        } else {
            format!("'{name}'")
        };
        let condition = if is_conditional {
            ", 'if': { 'not': 'HAVE_IT' }"
        } else {
            ""
        };
        let features = if is_unstable {
            ", 'features': [ 'unstable' ]"
        } else {
            ""
        };
        format!("'{star}s{owner}-{index}': {{ 'type': {ty}{condition}{features} }}")
    }

    fn doc(&self, symbol: &str, n_members: usize, letter: char, members: &[Member]) -> String {
        if !self.is_documented {
            return String::new();
        }
        let owner = symbol.trim_start_matches(char::is_alphabetic);
        let mut doc = format!("##\n# @{symbol}:\n#\n# Some text.  And more.\n");
        for index in 0..n_members {
            let name = match letter {
                's' => format!("s{owner}-{index}"),
                _ => format!("v{index}"),
            };
            doc.push_str(&format!("#\n# @{name}: a thing\n#     of its own\n"));
        }
        if members.iter().any(|member| member.4) {
            doc.push_str("#\n# Features:\n#\n# @unstable: it may change\n");
        }
        doc.push_str("#\n# Since: 1.0\n##\n");
        doc
    }
}

/// A way to break one rule, as a definition to add, and the code that must come of it.
fn broken() -> impl Strategy<Value = (&'static str, Code)> {
    prop::sample::select(vec![
        ("{ 'struct': 'Struct0', 'data': {} }", Code::Redefinition),
        (
            "{ 'struct': 'Broken', 'data': { 'a': 'Nowhere' } }",
            Code::UnknownType,
        ),
        (
            "{ 'struct': 'Broken', 'data': { 'a': 'int', '*a': 'int' } }",
            Code::MemberCollision,
        ),
        (
            "{ 'struct': 'Broken', 'base': 'Enum0', 'data': {} }",
            Code::BaseNotStruct,
        ),
        (
            "{ 'struct': 'Broken', 'base': 'Broken', 'data': {} }",
            Code::ContainsItself,
        ),
        (
            "{ 'struct': 'Broken', 'data': { 'u': 'int' } }",
            Code::NameReserved,
        ),
        ("{ 'struct': 'broken', 'data': {} }", Code::NameStyle),
        (
            "{ 'struct': 'BrokenList', 'data': {} }",
            Code::NameReservedList,
        ),
        ("{ 'struct': 'Broken' }", Code::KeyMissing),
        (
            "{ 'struct': 'Broken', 'data': {}, 'more': 'x' }",
            Code::KeyUnknown,
        ),
        (
            "{ 'struct': 'Broken', 'data': { 'a': [] } }",
            Code::TypeReferenceForm,
        ),
        ("{ 'enum': 'Broken', 'data': {} }", Code::ValueForm),
        (
            "{ 'enum': 'Broken', 'data': [ 'a', 'a' ] }",
            Code::MemberCollision,
        ),
        (
            "{ 'alternate': 'Broken', 'data': { 'a': 'str', 'b': 'Enum0' } }",
            Code::AlternateAmbiguous,
        ),
        (
            "{ 'alternate': 'Broken', 'data': { 'a': 'any' } }",
            Code::BranchType,
        ),
        (
            "{ 'command': 'broken', 'data': 'Enum0' }",
            Code::ArgumentType,
        ),
        (
            "{ 'command': 'broken', 'returns': 'Enum0' }",
            Code::ReturnType,
        ),
        (
            "{ 'command': 'broken', 'boxed': true }",
            Code::BoxedWithoutData,
        ),
        ("{ 'command': 'broken', 'gen': true }", Code::FlagValue),
        ("{ 'command': 'broken', 'if': 'a b' }", Code::ConditionName),
        (
            "{ 'command': 'broken', 'if': { 'all': [] } }",
            Code::ConditionEmpty,
        ),
        ("{ 'event': 'broken' }", Code::NameStyle),
        ("{ 'command': 'broken', }", Code::UnexpectedToken),
        ("{ 'command': broken }", Code::Stray),
        (
            "##\n# @other:\n##\n{ 'command': 'broken' }",
            Code::DocSymbolMismatch,
        ),
        (
            "##\n# @broken:\n#\n# Since:\n##\n{ 'command': 'broken' }",
            Code::DocSectionEmpty,
        ),
        (
            "{ 'union': 'Broken', 'base': { 'tag': 'str' }, 'discriminator': 'tag', 'data': {} }",
            Code::DiscriminatorKind,
        ),
        (
            "{ 'union': 'Broken', 'base': { 'tag': 'Enum0' }, 'discriminator': 'tog', 'data': {} }",
            Code::DiscriminatorUnknown,
        ),
        (
            "{ 'union': 'Broken', 'base': { 'tag': 'Enum0' }, 'discriminator': 'tag', \
             'data': { 'other': 'Struct0' } }",
            Code::BranchUnknown,
        ),
    ])
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check_any(bytes)?;
    }

    #[test]
    fn any_tokens_are_survived(pieces in prop::collection::vec(piece(), 0..60)) {
        check_any(pieces.concat().into_bytes())?;
    }

    #[test]
    fn cut_schemas_are_survived(plan in plan(), at in any::<prop::sample::Index>()) {
        let mut text = plan.text().into_bytes();
        let end = at.index(text.len() + 1);
        text.truncate(end);
        check_any(text)?;
    }

    #[test]
    fn valid_schemas_are_accepted_and_printed(plan in plan()) {
        let text = plan.text();
        let checked = check(text.as_str());
        prop_assert!(checked.report.diagnostics().is_empty(), "{}\n{text}", short(&checked));
        let Some(schema) = &checked.schema else {
            return Err(TestCaseError::fail("no schema"));
        };
        let printed = print(schema);
        let again = check(printed.files()[0].contents.as_str());
        let Some(second) = &again.schema else {
            return Err(TestCaseError::fail(short(&again)));
        };
        prop_assert_eq!(dump(schema), dump(second));
    }

    #[test]
    fn one_broken_rule_is_one_diagnostic(
        plan in plan(),
        (definition, code) in broken(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut definitions = plan.definitions();
        let place = at.index(definitions.len() + 1);
        definitions.insert(place, format!("{definition}\n"));
        let text = definitions.concat();
        let checked = check(text.as_str());
        prop_assert!(checked.schema.is_none());
        let codes: Vec<Code> = checked.report.diagnostics().iter().map(|found| found.code).collect();
        prop_assert_eq!(codes, vec![code], "{}\n{}", short(&checked), text);
    }
}
