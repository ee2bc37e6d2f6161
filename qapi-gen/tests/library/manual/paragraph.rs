//! Text that is a paragraph, whatever it looks like at its start.

use qapi_gen::backend::doc::Format;
use qapi_gen::diagnostic::{Level, Lint, LintLevels};
use qapi_gen::loader::MemoryLoader;

use super::{emit, schema_of};
use crate::load;

/// The page of the module.
fn page(text: &str, format: Format) -> String {
    let emission = emit(&schema_of(text), format);
    let page = emission.files().iter().find(|file| {
        let name = file.path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("schema."))
    });
    page.expect("a page of the module").contents.clone()
}

const INDENTED: &str = "\
##
# @go:
#     The first paragraph
#     has two lines.
#
#       A quote of the second.
#
# @a: one
#         paragraph
# @b:
#     a paragraph
#
#     and another
#
# Since: 1
##
{ 'command': 'go', 'data': { 'a': 'int', 'b': 'int' } }
";

#[test]
fn text_indented_below_a_name_is_a_paragraph() {
    let markdown = page(INDENTED, Format::Markdown);
    for expected in [
        "\nThe first paragraph\nhas two lines.\n",
        "\n> A quote of the second.\n",
        "- `a` (int): one\n  paragraph\n",
        "- `b` (int): a paragraph\n\n  and another\n",
    ] {
        assert!(
            markdown.contains(expected),
            "no {expected:?} in\n{markdown}"
        );
    }
    let html = page(INDENTED, Format::Html);
    assert_eq!(html.matches("<blockquote").count(), 1, "{html}");
}

#[test]
fn flush_text_after_indented_text_stays_where_it_is() {
    let text =
        "##\n# @go:\n#   Below the name.\n#\n# Flush.\n#\n#   A quote.\n##\n{ 'command': 'go' }\n";
    let markdown = page(text, Format::Markdown);
    let expected = "\nBelow the name.\n\nFlush.\n\n> A quote.\n";
    assert!(markdown.contains(expected), "{markdown}");
    // A free-form comment names nothing.
    let markdown = page(
        "{ 'command': 'go' }\n##\n#   A quote.\n##\n",
        Format::Markdown,
    );
    assert!(markdown.contains("\n> A quote.\n"), "{markdown}");
}

#[test]
fn an_equals_sign_makes_a_heading_of_the_first_line_of_a_free_form_comment_alone() {
    let text = "\
##
# = Trains
#
# = Engines
##
##
# @go:
#
# = Going
#
# @a: = the track
##
{ 'command': 'go', 'data': { 'a': 'int' } }
";
    let html = page(text, Format::Html);
    for expected in ["<p>= Engines</p>", "<p>= Going</p>", "= the track"] {
        assert!(html.contains(expected), "no {expected:?} in\n{html}");
    }
    assert!(!html.contains("= Trains"), "{html}");
    let mut levels = LintLevels::default();
    levels.set(Lint::DocMarkup, Level::Deny);
    let loader = MemoryLoader::new().with("schema.json", text);
    let checked = load("schema.json", &loader, levels);
    assert!(checked.report.diagnostics().is_empty());
}
