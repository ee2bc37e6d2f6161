//! Everything is there, once, and every link leads somewhere.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use qapi_gen::backend::doc::Format;
use qapi_gen::internals::markup::{self, Inline, Place, ReferenceKind, Text};
use qapi_gen::internals::{References, Target};
use qapi_gen::ir::{DocSectionKind, Entity, ObjectKind, Schema, TypeKind};

use super::page::{self, Page};
use super::{emit, schemas};

/// A schema of some size, and its manual.
struct Manual {
    path: PathBuf,
    schema: Schema,
    pages: HashMap<String, Page>,
}

/// Each test looks at all of them, and they take a while to make.
static MANUALS: LazyLock<Vec<Manual>> = LazyLock::new(|| {
    let manual = |(path, schema)| Manual {
        pages: pages(&schema),
        path,
        schema,
    };
    schemas().into_iter().map(manual).collect()
});

/// The pages of a manual by their names.
fn pages(schema: &Schema) -> HashMap<String, Page> {
    let emission = emit(schema, Format::Html);
    let mut pages = HashMap::new();
    for file in emission.files() {
        let name = file.path.to_str().expect("UTF-8").to_owned();
        if !name.ends_with(".html") {
            pages.insert(name, Page::default());
            continue;
        }
        match page::read(&file.contents) {
            Ok(page) => pages.insert(name, page),
            Err(error) => panic!("{name}: {error}"),
        };
    }
    pages
}

/// Links within the manual that lead nowhere.
pub(crate) fn broken_links(pages: &HashMap<String, Page>) -> Vec<String> {
    let ids: HashMap<&String, HashSet<&String>> = pages
        .iter()
        .map(|(name, page)| (name, page.ids.iter().collect()))
        .collect();
    let mut broken = Vec::new();
    for (name, page) in pages {
        for link in &page.links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { name.as_str() } else { file };
            let is_there = ids
                .get(&file.to_owned())
                .is_some_and(|ids| anchor.is_empty() || ids.contains(&anchor.to_owned()));
            if !is_there {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    broken
}

#[test]
fn every_link_leads_somewhere() {
    for Manual { path, pages, .. } in &*MANUALS {
        let n_links: usize = pages.values().map(|page| page.links.len()).sum();
        assert!(n_links > 100, "{}: {n_links} links", path.display());
        let broken = broken_links(pages);
        assert!(broken.is_empty(), "{}: {broken:#?}", path.display());
    }
}

/// The names of all definitions and built-in types.
fn names(schema: &Schema) -> Vec<&str> {
    let types = schema.types().filter(|(_, ty)| match ty.kind() {
        TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Alternate(_) => true,
        TypeKind::Array(_) => false,
        TypeKind::Object(object) => {
            matches!(object.kind(), ObjectKind::Struct | ObjectKind::Union)
        }
    });
    let types = types.map(|(_, ty)| ty.name());
    let commands = schema.commands().iter().map(|command| command.name());
    let events = schema.events().iter().map(|event| event.name());
    types.chain(commands).chain(events).collect()
}

#[test]
fn every_definition_is_there_once() {
    for Manual {
        path,
        schema,
        pages,
    } in &*MANUALS
    {
        let mut count: HashMap<&str, usize> = HashMap::new();
        for page in pages.values() {
            for name in page.articles.keys() {
                *count.entry(name).or_default() += 1;
            }
        }
        let names = names(schema);
        for name in &names {
            assert_eq!(count.get(name), Some(&1), "{}: {name}", path.display());
        }
        assert_eq!(count.len(), names.len(), "{}", path.display());
    }
}

/// Letters and digits in order.
fn words(text: &str) -> Vec<&str> {
    text.split(|ch: char| !ch.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The entity that a documented definition is.
fn documented(schema: &Schema) -> impl Iterator<Item = (&str, Entity, &qapi_gen::ir::Doc)> {
    schema.docs().iter().filter_map(|doc| {
        let name = doc.symbol()?;
        Some((name, schema.entity(name)?, doc))
    })
}

#[test]
fn every_documented_part_has_its_text() {
    for Manual {
        path,
        schema,
        pages,
    } in &*MANUALS
    {
        let articles: HashMap<&str, String> = pages
            .values()
            .flat_map(|page| &page.articles)
            .map(|(name, text)| (name.as_str(), format!(" {} ", words(text).join(" "))))
            .collect();
        let mut n_lines = 0;
        for (name, _, doc) in documented(schema) {
            let article = &articles[name];
            for section in doc.sections() {
                if section.kind() == DocSectionKind::Todo || section.span().is_none() {
                    continue;
                }
                if let Some(part) = section.name() {
                    let part = format!(" {} ", words(part).join(" "));
                    assert!(article.contains(&part), "{name}: {part}");
                }
                for line in section.text(schema.sources()).lines() {
                    let line = line.trim();
                    // What is addressed to the parser, and roles, whose names are not shown.
                    let is_markup = line.starts_with(".. ")
                        || line.starts_with(':')
                        || line.contains(":`")
                        // A label is shown in place of its target.
                        || line.contains('<')
                        || words(line).is_empty();
                    // The number of an item is made by the browser.
                    let marker = line.split_once(' ').map_or("", |(marker, _)| marker);
                    let digits = marker.trim_end_matches(['.', ')']);
                    let is_item = !digits.is_empty()
                        && digits.len() < marker.len()
                        && digits.bytes().all(|byte| byte.is_ascii_digit());
                    let line = if is_item { &line[marker.len()..] } else { line };
                    if is_markup {
                        continue;
                    }
                    n_lines += 1;
                    let line = format!(" {} ", words(line).join(" "));
                    assert!(
                        article.contains(&line),
                        "{}: {name}: {line}",
                        path.display()
                    );
                }
            }
        }
        assert!(n_lines > 500, "{}: {n_lines}", path.display());
    }
}

/// References of the documentation: those that were found, by definition, and those that were not.
fn references(schema: &Schema) -> (Vec<(String, String)>, BTreeSet<String>) {
    let references = References::new(schema);
    let (mut found, mut rest) = (Vec::new(), BTreeSet::new());
    for (name, entity, doc) in documented(schema) {
        for section in doc.sections() {
            if section.kind() == DocSectionKind::Todo {
                continue;
            }
            let text = Text::new(section, schema.sources());
            let document = markup::parse(text.as_str(), Place::Definition);
            markup::for_each_inline(&document.blocks, &mut |inline| {
                let Inline::Reference(reference) = inline else {
                    return;
                };
                match references.resolve(Some(entity), reference) {
                    Some(Target::Index) => {}
                    Some(_) => {
                        let shown = reference.label.as_deref().unwrap_or(reference.name);
                        found.push((name.to_owned(), shown.to_owned()));
                    }
                    None => {
                        rest.insert(reference.name.to_owned());
                    }
                }
            });
        }
    }
    (found, rest)
}

#[test]
fn every_name_is_a_link() {
    for Manual {
        path,
        schema,
        pages,
    } in &*MANUALS
    {
        let links: HashMap<&String, HashSet<&str>> = pages
            .values()
            .flat_map(|page| &page.article_links)
            .map(|(name, links)| {
                (
                    name,
                    links.iter().map(|(_, shown)| shown.as_str()).collect(),
                )
            })
            .collect();
        let (found, rest) = references(schema);
        for (name, shown) in found {
            assert!(
                links[&name].contains(shown.as_str()),
                "{}: {name}: {shown}",
                path.display()
            );
        }
        // What is no link names nothing: no definition and no part of one.
        let references = References::new(schema);
        let parts: HashSet<&str> = references.parts().map(|(name, _)| name).collect();
        for name in &rest {
            assert!(schema.entity(name).is_none(), "{}: {name}", path.display());
            assert!(!parts.contains(name.as_str()), "{}: {name}", path.display());
        }
    }
}

/// Names in QEMU's documentation that nothing in its schema has.
#[test]
fn the_rest_is_known() {
    let Some(shared) = tests::Tool::Shared.for_test("the rest is known") else {
        return;
    };
    let path = tests::qemu_schema(&shared, "11.1.3/qapi");
    let checked = super::load_with(path.to_str().expect("UTF-8"), &qapi_gen::loader::FileLoader);
    let (found, rest) = references(&checked.schema.expect("no mistakes"));
    assert!(found.len() > 700, "{}", found.len());
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    assert_eq!(
        rest,
        [
            // Pages of QEMU's manual beside the schema's.
            "/devel/qapi-code-gen",
            "/interop/qmp-spec",
            "KeyValues",
            "cpu-throttle",
            "cpu-topology-s390x",
            "dbus-display",
            "drive",
            "guest-set-time",
            "guest-suspend-ram",
            "powerdown",
        ]
    );
}

#[test]
fn every_heading_is_a_link_target() {
    let schema = super::schema_of(
        "##\n# *****\n# Title\n# *****\n#\n# Under it\n# ========\n#\n# Under it\n# ========\n##\n",
    );
    let pages = pages(&schema);
    let index = &pages["index.html"];
    for id in ["Section-under-it", "Section-under-it-2"] {
        assert!(index.ids.contains(&id.to_owned()), "{:?}", index.ids);
    }
}

#[test]
fn labels_and_pages_outside_are_text() {
    let schema = super::schema_of(
        "##\n# @a:\n#\n# See :doc:`the rest </rest>` and :ref:`it`.\n##\n{ 'command': 'a' }\n",
    );
    let pages = pages(&schema);
    let page = pages.values().find(|page| page.articles.contains_key("a"));
    let text = &page.expect("there").articles["a"];
    assert!(text.contains("See the rest and it."), "{text}");
    let is_outside = |kind| matches!(kind, ReferenceKind::Outside);
    let document = markup::parse("`x <y>`_", Place::Definition);
    markup::for_each_inline(&document.blocks, &mut |inline| {
        assert!(matches!(inline, Inline::Reference(reference) if is_outside(reference.kind)));
    });
}
