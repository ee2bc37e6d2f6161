//! Examples in documentation against the schema, and against what a server says to them.

use std::collections::HashSet;

use qapi_gen::diagnostic::{Level, Lint, LintLevels, render_short};
use qapi_gen::internals::markup::qmp::{TokenKind, tokens};
use qapi_gen::internals::markup::{self, Block, Code, Place, Text};
use qapi_gen::ir::Configuration;
use qapi_gen::loader::{FileLoader, Loader, MemoryLoader};
use qapi_gen::validate::Validator;

use crate::{Checked, load};

/// Checks a schema for the lints of documentation alone.
fn lint(path: &str, loader: &dyn Loader) -> Checked {
    let mut levels = LintLevels::allow_all();
    for lint in [Lint::DocMarkup, Lint::DocReference, Lint::DocExample] {
        levels.set(lint, Level::Warn);
    }
    load(path, loader, levels)
}

fn short(checked: &Checked) -> String {
    let diagnostics = checked.report.diagnostics().iter();
    diagnostics
        .map(|diagnostic| render_short(diagnostic, &checked.sources))
        .collect()
}

fn ours() -> String {
    format!("{}/schema/qapi-schema.json", tests::workspace().display())
}

/// QEMU's schema of a release, if it is present.
fn qemu(release: &str) -> Option<String> {
    let shared = tests::Tool::Shared.for_test("examples of QEMU's schema")?;
    let path = tests::qemu_schema(&shared, &format!("{release}/qapi"));
    Some(path.display().to_string())
}

#[test]
fn our_documentation_is_right() {
    let checked = lint(&ours(), &FileLoader);
    assert!(checked.schema.is_some());
    assert_eq!(short(&checked), "");
}

/// A value that does not fit is found at its line.
#[test]
fn a_broken_example_is_found_at_its_line() {
    let folder = tests::workspace().join("schema");
    let mut loader = MemoryLoader::new();
    let mut line = 0;
    for entry in std::fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mut text = std::fs::read_to_string(&path).expect("readable");
        if name == "misc.json" {
            let right = "#               \"thread-id\": 3134,";
            let at = text.find(right).expect("the example of query-iothreads");
            line = text[..at].matches('\n').count() + 1;
            text = text.replacen(right, "#               \"thread-id\": \"3134\",", 1);
        }
        loader = loader.with(name, text);
    }
    let checked = lint("qapi-schema.json", &loader);
    let expected =
        format!("misc.json:{line}:30: example has a string where an integer is expected");
    assert_eq!(
        short(&checked)
            .lines()
            .filter(|it| it.contains(": example "))
            .collect::<Vec<_>>(),
        [expected]
    );
}

/// QEMU's own example of query-iothreads shows two members of six.
#[test]
fn qemus_example_of_query_iothreads_is_incomplete() {
    let Some(path) = qemu("10.2.2") else { return };
    let checked = lint(&path, &FileLoader);
    let found: Vec<&str> = checked
        .report
        .diagnostics()
        .iter()
        .filter(|diagnostic| {
            let definition = diagnostic.definition.as_ref();
            definition.is_some_and(|definition| definition.name == "query-iothreads")
        })
        .map(|diagnostic| diagnostic.message.as_str())
        .collect();
    let lacks = "example lacks members 'poll-max-ns', 'poll-grow', 'poll-shrink', \
                 'aio-max-batch' of 'IOThreadInfo'";
    assert_eq!(found, [lacks, lacks]);
}

/// Calls `visit` for the blocks of code in examples.
fn for_each_example(blocks: &[Block<'_>], in_example: bool, visit: &mut dyn FnMut(&Code<'_>)) {
    for block in blocks {
        match block {
            Block::Code(code) if in_example => visit(code),
            Block::Example(example) => for_each_example(&example.blocks, true, visit),
            Block::Admonition(admonition) => {
                for_each_example(&admonition.blocks, in_example, visit);
            }
            Block::Bullets(items) | Block::Numbered(_, items) => {
                for item in items {
                    for_each_example(item, in_example, visit);
                }
            }
            Block::Definitions(items) => {
                for (_, body) in items {
                    for_each_example(body, in_example, visit);
                }
            }
            Block::Quote(blocks) => for_each_example(blocks, in_example, visit),
            Block::Code(_)
            | Block::Paragraph(_)
            | Block::Heading(..)
            | Block::Lines(_)
            | Block::Table(_)
            | Block::Rule => {}
        }
    }
}

/// The requests of `code` that show everything.
fn requests(code: &Code<'_>) -> Vec<String> {
    let mut requests = Vec::new();
    let mut current: Option<String> = None;
    for token in tokens(code) {
        match token.kind {
            TokenKind::FromClient => {
                requests.extend(current.take());
                current = Some(String::new());
            }
            TokenKind::FromServer => requests.extend(current.take()),
            TokenKind::Elision => current = None,
            _ => {
                if let Some(current) = &mut current {
                    current.push_str(&code.lines[token.line].text[token.range]);
                    current.push(' ');
                }
            }
        }
    }
    requests.extend(current);
    requests
}

/// Where the lint finds nothing, a server accepts the requests.
#[test]
fn what_the_lint_accepts_a_server_accepts() {
    let paths = [
        Some(ours()),
        qemu("11.1.3"),
        qemu("10.2.2"),
        qemu("10.0.13"),
    ];
    for path in paths.into_iter().flatten() {
        let checked = lint(&path, &FileLoader);
        let schema = checked.schema.as_ref().expect("no mistakes");
        let configuration = Configuration::with_default(true);
        let validator = Validator::new(schema, &configuration).expect("all is decided");
        let suspects: HashSet<&str> = checked
            .report
            .diagnostics()
            .iter()
            .filter_map(|diagnostic| Some(diagnostic.definition.as_ref()?.name.as_str()))
            .collect();
        let mut n_requests = 0;
        for doc in schema.docs() {
            let name = doc.symbol().unwrap_or_default();
            // A server takes this command once, before every other one.
            if suspects.contains(name) || name == "qmp_capabilities" {
                continue;
            }
            for section in doc.sections() {
                let text = Text::new(section, schema.sources());
                let document = markup::parse(text.as_str(), Place::Definition);
                for_each_example(&document.blocks, false, &mut |code| {
                    for request in requests(code) {
                        let reply = validator.reply(request.as_bytes());
                        let reply = String::from_utf8_lossy(&reply);
                        let is_good = reply.starts_with("{\"return\"") || reply.is_empty();
                        assert!(is_good, "{path}: {name}: {request}: {reply}");
                        n_requests += 1;
                    }
                });
            }
        }
        assert!(n_requests > 20, "{path}: {n_requests} requests");
    }
}
