//! The first page and the indexes.

use std::ops::ControlFlow;

use super::address::address_of;
use super::escape::push_text;
use super::page::PageWriter;
use crate::backend::doc::entity::Kind;
use crate::backend::doc::manual::{Chapter, Item, Manual};
use crate::ir::Entity;
use crate::output::Out;
use crate::references::{Target, header};

/// The first page: what the main file says, and the chapters.
pub(super) fn front(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let mut page = PageWriter::new(manual, "index");
    page.begin(&manual.title, out);
    let root = manual.chapters.iter().find(|chapter| chapter.is_root);
    if let Some(root) = root.filter(|root| !root.has_page()) {
        for item in &root.items {
            if let Item::Text(doc) = item {
                page.text(doc);
            }
        }
    }
    let id = page.heading_id("Chapters");
    page.out.push_str(&format!(
        "<h2 class=\"section\" id=\"{id}\">Chapters</h2>\n"
    ));
    page.out.push_str("<ul class=\"cards\">\n");
    for chapter in manual.chapters.iter().filter(|chapter| chapter.has_page()) {
        page.out
            .push_str(&format!("<li><a href=\"{}.html\">", chapter.file));
        push_text(&mut page.out, &chapter.title);
        page.out.push_str("</a>");
        page.out.push_str("<span class=\"count\">");
        page.out.push_str(&counts(manual, chapter));
        page.out.push_str("</span></li>\n");
    }
    page.out.push_str("</ul>\n");
    page.end(out)
}

/// How much a chapter has of each.
fn counts(manual: &Manual<'_>, chapter: &Chapter<'_>) -> String {
    let (mut commands, mut events, mut types) = (0, 0, 0);
    for entity in chapter.entities() {
        match Kind::of(manual, entity) {
            Kind::Command => commands += 1,
            Kind::Event => events += 1,
            Kind::Enum | Kind::Struct | Kind::Union | Kind::Alternate | Kind::Builtin => types += 1,
        }
    }
    let count = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{n} {word}s")),
    };
    let counts = [
        count(commands, "command"),
        count(events, "event"),
        count(types, "type"),
    ];
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn commands(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let wanted = |kind| kind == Kind::Command;
    list(manual, "commands", "Commands", wanted, out)
}

pub(super) fn events(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let wanted = |kind| kind == Kind::Event;
    list(manual, "events", "Events", wanted, out)
}

pub(super) fn types(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let wanted = |kind| !matches!(kind, Kind::Command | Kind::Event);
    list(manual, "types", "Types", wanted, out)
}

/// The definitions of some kinds in the order of the alphabet, each with its first sentence.
fn list(
    manual: &Manual<'_>,
    file: &str,
    title: &str,
    wanted: fn(Kind) -> bool,
    out: &mut Out<'_>,
) -> ControlFlow<()> {
    let mut page = PageWriter::new(manual, file);
    page.begin(title, out);
    let entities = manual
        .chapters
        .iter()
        .flat_map(|chapter| chapter.entities());
    let mut found: Vec<(&str, Entity)> = entities
        .filter(|entity| wanted(Kind::of(manual, *entity)))
        .filter_map(|entity| Some((header(manual.schema, entity)?.name(), entity)))
        .collect();
    found.sort_by_key(|(name, _)| (name.to_lowercase(), *name));
    if found.is_empty() {
        page.out.push_str("<p>There are none.</p>\n");
        return page.end(out);
    }
    page.out.push_str("<dl class=\"index\">\n");
    for (name, entity) in found {
        let kind = Kind::of(manual, entity).as_str();
        page.out.push_str(&format!("<dt class=\"{kind}\">"));
        page.link(Target::Entity(name), name);
        if file == "types" {
            page.out
                .push_str(&format!(" <span class=\"kind\">{kind}</span>"));
        }
        page.out.push_str("</dt>\n<dd>");
        push_text(&mut page.out, &manual.summary(entity));
        page.out.push_str("</dd>\n");
        page.hand_over(out);
    }
    page.out.push_str("</dl>\n");
    page.end(out)
}

/// Every name of a member, value, branch or feature, with the definitions that have it.
pub(super) fn members(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let mut page = PageWriter::new(manual, "members");
    page.begin("Members", out);
    page.out.push_str(
        "<p>Arguments, members, values, branches and features by name, with the definitions \
         that have them.</p>\n",
    );
    let mut parts: Vec<(&str, &[&str])> = manual.references.parts().collect();
    parts.sort_by_key(|(name, _)| (name.to_lowercase(), *name));
    let mut is_open = false;
    for (name, owners) in parts {
        let addresses: Vec<(&str, String)> = owners
            .iter()
            .filter_map(|owner| {
                let address = address_of(manual, "members", Target::Part(owner, name))?;
                Some((*owner, address))
            })
            .collect();
        if addresses.is_empty() {
            continue;
        }
        if !is_open {
            page.out.push_str("<dl class=\"index members\">\n");
            is_open = true;
        }
        page.out.push_str("<dt id=\"Member-");
        push_text(&mut page.out, name);
        page.out.push_str("\"><code>");
        push_text(&mut page.out, name);
        page.out.push_str("</code></dt>\n<dd>");
        for (n, (owner, address)) in addresses.into_iter().enumerate() {
            if n > 0 {
                page.out.push_str(", ");
            }
            page.out.push_str(&format!("<a href=\"{address}\">"));
            push_text(&mut page.out, owner);
            page.out.push_str("</a>");
            page.hand_over(out);
        }
        page.out.push_str("</dd>\n");
    }
    if is_open {
        page.out.push_str("</dl>\n");
    }
    page.end(out)
}
