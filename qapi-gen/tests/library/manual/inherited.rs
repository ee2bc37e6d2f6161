//! What a type has is shown once, where it is written, with links at its users: a manual is as long as its schema.

use std::path::PathBuf;

use qapi_gen::backend::doc::Format;
use qapi_gen::ir::Schema;
use qapi_gen::loader::{FileLoader, MemoryLoader};

use super::{FORMATS, emit, load_with, schema_of};

const SCHEMA: &str = "
##
# @Kind:
#
# Kinds.
#
# @plain: Plain.
#
# @other: Other.
#
# @third: Third.
##
{ 'enum': 'Kind', 'data': ['plain', 'other', 'third'] }

##
# @Far:
#
# Far.
#
# @far-member: Far away.
##
{ 'struct': 'Far', 'data': { 'far-member': 'int' } }

##
# @Near:
#
# Near.
#
# @near-member: Near by.
##
{ 'struct': 'Near', 'base': 'Far', 'data': { '*near-member': 'str' } }

##
# @Uni:
#
# Union.
#
# @kind: The kind.
##
{ 'union': 'Uni', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind', 'data': { 'plain': 'Near' } }

##
# @take:
#
# Takes.
##
{ 'command': 'take', 'data': 'Uni', 'boxed': true }

##
# @TELL:
#
# Tells.
##
{ 'event': 'TELL', 'data': 'Near' }
";

/// The text of the only page that says `Takes.`.
fn page(schema: &Schema, format: Format) -> String {
    let emission = emit(schema, format);
    let mut pages = emission.files().iter().filter(|file| {
        let extension = file.path.extension().unwrap_or_default();
        extension != "js" && file.contents.contains("Far away.")
    });
    let page = pages.next().expect("a page").contents.clone();
    assert!(pages.next().is_none(), "{format:?}");
    page
}

#[test]
fn users_name_the_members_and_lead_to_them() {
    let schema = schema_of(SCHEMA);
    let html = page(&schema, Format::Html);
    let link =
        |owner: &str, name: &str| format!("<a href=\"#{owner}--{name}\"><code>{name}</code></a>");
    for expected in [
        format!(
            "The members of <a href=\"#Near\"><code>Near</code></a>: {}, {}</p>",
            link("Near", "near-member"),
            link("Far", "far-member")
        ),
        format!(
            "The members of <a href=\"#Far\"><code>Far</code></a>: {}</p>",
            link("Far", "far-member")
        ),
        format!(
            "The members of <a href=\"#Uni\"><code>Uni</code></a>: {} and more by its own branches</p>",
            link("Uni", "kind")
        ),
        "<dt><code class=\"tag\">kind</code> = any other value</dt>\n<dd><p class=\"nothing\">nothing more</p>".to_owned(),
    ] {
        assert!(html.contains(&expected), "{expected}\n{html}");
    }
    let markdown = page(&schema, Format::Markdown);
    for expected in [
        "**Data:** the members of [`Near`](#Near): `near-member`, `far-member`\n",
        "**Members:** the members of [`Far`](#Far): `far-member`\n",
        "**Arguments:** the members of [`Uni`](#Uni): `kind` and more by its own branches\n",
        "- any other value: nothing more\n",
    ] {
        assert!(markdown.contains(expected), "{expected}\n{markdown}");
    }
    let man = page(&schema, Format::Man);
    for expected in [
        "The members of Near: near\\-member, far\\-member\n",
        "The members of Far: far\\-member\n",
        "The members of Uni: kind and more by its own branches\n",
        "any other value\nnothing more\n",
    ] {
        assert!(man.contains(expected), "{expected}\n{man}");
    }
    for text in [html, markdown, man] {
        for once in ["Far away.", "Near by.", "The kind."] {
            assert_eq!(text.matches(once).count(), 1, "{once}\n{text}");
        }
    }
}

#[test]
fn a_type_with_many_members_is_named_in_part() {
    let members: Vec<String> = (0..50).map(|n| format!("'m{n}': 'int'")).collect();
    let schema = schema_of(&format!(
        "{{ 'struct': 'Base', 'data': {{ {} }} }}\n{{ 'command': 'cmd', 'data': 'Base' }}\n",
        members.join(", ")
    ));
    for format in FORMATS {
        let emission = emit(&schema, format);
        let pages = emission.files().iter();
        let text: String = pages.map(|file| file.contents.as_str()).collect();
        assert!(text.contains("and more"), "{format:?}");
        for name in ["m0", "m49"] {
            assert!(text.contains(name), "{format:?} {name}");
        }
    }
}

/// How many bytes a manual has.
fn size(schema: &Schema, format: Format) -> usize {
    let emission = emit(schema, format);
    emission
        .files()
        .iter()
        .map(|file| file.contents.len())
        .sum()
}

/// Schemas of a shape that would be repeated, by a size that doubles what is repeated and how often.
fn shapes(n: usize) -> Vec<(&'static str, Schema)> {
    let list = |count: usize, item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..count).map(item).collect();
        items.join(", ")
    };
    let each = |item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<String>();
    let members = list(n, &|n| format!("'m{n}': 'int'"));
    let base = format!("{{ 'struct': 'Base', 'data': {{ {members} }} }}\n");
    let values = list(n, &|n| format!("'v{n}'"));
    let kind = format!("{{ 'enum': 'Kind', 'data': [{values}] }}\n");
    let branches = list(n, &|n| format!("'v{n}': 'Base'"));
    let union = format!(
        "{{ 'union': 'Uni', 'base': {{ 'kind': 'Kind' }}, 'discriminator': 'kind', 'data': {{ {branches} }} }}\n"
    );
    let texts = vec![
        (
            "structs of a base",
            format!(
                "{base}{}",
                each(&|n| format!("{{ 'struct': 'Sub{n}', 'base': 'Base', 'data': {{}} }}\n"))
            ),
        ),
        (
            "chains of bases",
            each(&|n| match n % 50 {
                0 => format!("{{ 'struct': 'Sub{n}', 'data': {{ 'm{n}': 'int' }} }}\n"),
                _ => format!(
                    "{{ 'struct': 'Sub{n}', 'base': 'Sub{}', 'data': {{ 'm{n}': 'int' }} }}\n",
                    n - 1
                ),
            }),
        ),
        (
            "commands of a struct",
            format!(
                "{base}{}",
                each(&|n| format!("{{ 'command': 'c{n}', 'data': 'Base' }}\n"))
            ),
        ),
        (
            "events of a struct",
            format!(
                "{base}{}",
                each(&|n| format!("{{ 'event': 'E{n}', 'data': 'Base' }}\n"))
            ),
        ),
        (
            "commands of a union of structs",
            format!(
                "{base}{kind}{union}{}",
                each(&|n| format!("{{ 'command': 'c{n}', 'data': 'Uni', 'boxed': true }}\n"))
            ),
        ),
        (
            "unions of one branch by many values",
            format!(
                "{{ 'struct': 'Empty', 'data': {{}} }}\n{kind}{}",
                each(&|n| format!(
                    "{{ 'union': 'Uni{n}', 'base': {{ 'kind': 'Kind' }}, 'discriminator': 'kind', 'data': {{ 'v0': 'Empty' }} }}\n"
                ))
            ),
        ),
    ];
    texts
        .into_iter()
        .map(|(name, text)| (name, schema_of(&text)))
        .collect()
}

#[test]
fn manuals_are_as_long_as_their_schemas() {
    let n = 150;
    for ((name, small), (_, large)) in shapes(n).into_iter().zip(shapes(2 * n)) {
        for format in FORMATS {
            let (small, large) = (size(&small, format), size(&large, format));
            // Numbers get longer, too.
            assert!(
                large * 100 < small * 225,
                "{name}, {format:?}: {small} bytes for {n}, {large} for twice as much"
            );
        }
    }
}

#[test]
fn chapters_do_not_list_all_others() {
    let manual = |n: usize| {
        let mut loader = MemoryLoader::new();
        let mut main = String::new();
        for n in 0..n {
            main.push_str(&format!("{{ 'include': 'm{n}.json' }}\n"));
            loader = loader.with(format!("m{n}.json"), format!("{{ 'command': 'c{n}' }}\n"));
        }
        let loader = loader.with("schema.json", main);
        let checked = load_with("schema.json", &loader);
        size(&checked.schema.expect("no mistakes"), Format::Html)
    };
    let (small, large) = (manual(400), manual(800));
    assert!(large * 100 < small * 225, "{small} {large}");
}

/// The schemas whose manuals were as long as their cube and their square.
#[test]
fn reported_schemas_make_manuals_of_bounded_size() {
    let folder = tests::workspace().join("../shared/cases/schema");
    let paths: Vec<PathBuf> = ["cubic200.json", "datafan2000.json"]
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
        .collect();
    if paths.is_empty() {
        println!("skipped: {} is absent", folder.display());
    }
    for path in paths {
        let checked = load_with(path.to_str().expect("UTF-8"), &FileLoader);
        let schema = checked.schema.expect("no mistakes");
        for format in FORMATS {
            let size = size(&schema, format);
            assert!(
                size <= 10 << 20,
                "{}, {format:?}: {size} bytes",
                path.display()
            );
        }
    }
}
