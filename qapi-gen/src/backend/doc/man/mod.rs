//! The manual as man pages of section 7: one that leads to the others, and one a chapter.

mod entity;
mod page;
mod roff;

use std::ops::ControlFlow;

use super::manual::{Chapter, Item, Manual};
use crate::output::Out;

use page::PageWriter;

/// All files, named after the main file of the schema.
pub(super) fn render(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let root = manual.chapters.iter().find(|chapter| chapter.is_root);
    let stem = root.map_or("qapi", |chapter| chapter.file.as_str());
    out.file(format!("{stem}.7"), &front(manual, stem))?;
    for chapter in manual.chapters.iter().filter(|chapter| chapter.has_page()) {
        let name = page_name(stem, chapter);
        let mut page = PageWriter::new(manual, stem);
        out.begin(format!("{name}.7"));
        out.push(&page.head(&name, &chapter.title));
        for item in &chapter.items {
            match item {
                Item::Text(doc) => page.text(doc.sections(), &chapter.title),
                Item::Entity(entity) => page.entity(*entity),
            }
            out.push(&page.out);
            page.out.clear();
        }
        out.push(&page.foot(&name));
        out.end()?;
    }
    ControlFlow::Continue(())
}

/// The name of a chapter's page. The module of the main file has the first page's name with
/// something after it.
fn page_name(stem: &str, chapter: &Chapter<'_>) -> String {
    if chapter.is_root {
        format!("{stem}-main")
    } else {
        format!("{stem}-{}", chapter.file)
    }
}

fn front(manual: &Manual<'_>, stem: &str) -> String {
    let mut page = PageWriter::new(manual, stem);
    let root = manual.chapters.iter().find(|chapter| chapter.is_root);
    if let Some(root) = root.filter(|root| !root.has_page()) {
        for item in &root.items {
            if let Item::Text(doc) = item {
                page.text(doc.sections(), &root.title);
            }
        }
    }
    page.section("CHAPTERS");
    for chapter in manual.chapters.iter().filter(|chapter| chapter.has_page()) {
        page.out.push_str(".TP\n.BR ");
        roff::push_code(&mut page.out, &page_name(stem, chapter));
        // Section 7.
        page.out.push_str(" (7)\n");
        roff::push_text(&mut page.out, &chapter.title);
        page.out.push('\n');
    }
    page.head(stem, &manual.title) + &page.out + &page.foot(stem)
}
