//! A page: what is around its content, and the content of a chapter.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::escape::{push_fragment, push_text};
use crate::backend::doc::entity::{Kind, title};
use crate::backend::doc::manual::{Item, Manual};
use crate::ir::{Doc, Entity};
use crate::markup::{Inline, plain_text};
use crate::output::{Out, Relief};
use crate::references::header;

/// Writes the content of a page.
pub(super) struct PageWriter<'m, 's> {
    pub(super) manual: &'m Manual<'s>,
    /// The page's file, without its extension.
    pub(super) file: &'m str,
    pub(super) out: String,
    /// The level of the heading that the next one stands below.
    level: u8,
    page_title: String,
    has_title: bool,
    ids: HashSet<String>,
    /// The ids of the parts of the definition at hand.
    part_ids: HashSet<String>,
    /// For each heading that there were several of, the number that the next one is to try.
    numbers: HashMap<String, usize>,
    outline: Vec<Entry>,
    relief: Relief<'m>,
}

/// The page of the chapter `n`.
pub(super) fn chapter(manual: &Manual<'_>, n: usize, out: &mut Out<'_>) -> ControlFlow<()> {
    let chapter = &manual.chapters[n];
    let mut page = PageWriter::new(manual, &chapter.file);
    page.chapter(n);
    out.begin(format!("{}.html", chapter.file));
    out.push(&page.head(&chapter.title, Some(n)));
    if page.relief.has_dropped() {
        drop(page);
        let mut push = |text: &str| out.push(text);
        let mut again = PageWriter::new(manual, &chapter.file);
        again.relief = Relief::to(&mut push);
        again.chapter(n);
        let (rest, foot) = (std::mem::take(&mut again.out), again.foot());
        drop(again);
        out.push(&rest);
        out.push(&foot);
        return out.end();
    }
    page.end(out)
}

/// How many chapters before and after its own a page lists. A page that listed all of any number would make the manual as
/// long as the square of that number.
const MAX_LISTED: usize = 100;

/// An entry in the outline of a page.
enum Entry {
    Section { id: String, title: String },
    Entity(Entity),
}

impl<'m, 's> PageWriter<'m, 's> {
    pub(super) fn new(manual: &'m Manual<'s>, file: &'m str) -> Self {
        Self {
            manual,
            file,
            out: String::new(),
            level: 1,
            page_title: String::new(),
            has_title: false,
            ids: HashSet::new(),
            part_ids: HashSet::new(),
            numbers: HashMap::new(),
            outline: Vec::new(),
            relief: Relief::default(),
        }
    }

    /// Begins the file of a page that is not a chapter.
    pub(super) fn begin(&mut self, title: &str, out: &mut Out<'_>) {
        out.begin(format!("{}.html", self.file));
        out.push(&self.head(title, None));
        self.title(title);
    }

    /// Hands over what there is of the content.
    pub(super) fn hand_over(&mut self, out: &mut Out<'_>) {
        out.push(&self.out);
        self.out.clear();
    }

    /// Ends the file.
    pub(super) fn end(mut self, out: &mut Out<'_>) -> ControlFlow<()> {
        self.hand_over(out);
        out.push(&self.foot());
        out.end()
    }

    /// The content of the chapter `n`.
    fn chapter(&mut self, n: usize) {
        let chapter = &self.manual.chapters[n];
        self.title(&chapter.title);
        for item in &chapter.items {
            match item {
                Item::Text(doc) => self.text(doc),
                Item::Entity(entity) => {
                    self.outline.push(Entry::Entity(*entity));
                    self.entity(*entity, (self.level + 1).min(5));
                }
            }
            self.relieve();
        }
        self.neighbours(n);
    }

    /// What comes next may stand in another piece of the file.
    pub(super) fn relieve(&mut self) {
        self.relief.relieve(&mut self.out);
    }

    /// The heading of the page.
    pub(super) fn title(&mut self, title: &str) {
        self.page_title = title.to_owned();
        self.out.push_str("<h1>");
        push_text(&mut self.out, title);
        self.out.push_str("</h1>\n");
    }

    /// A free-form comment.
    pub(super) fn text(&mut self, doc: &Doc) {
        for section in doc.sections() {
            self.section(section, None);
        }
    }

    /// A heading in a free-form comment.
    pub(super) fn text_heading(&mut self, level: u8, content: &[Inline<'_>]) {
        let title = plain_text(content);
        // The page has its own heading already.
        if !self.has_title && title == self.page_title {
            self.has_title = true;
            return;
        }
        // No level is left out: it is for readers who hear them.
        let level = level.max(2).min(self.level.max(1) + 1).min(5);
        self.level = level;
        let id = self.heading_id(&title);
        self.out
            .push_str(&format!("<h{level} class=\"section\" id=\""));
        push_text(&mut self.out, &id);
        self.out.push_str("\"><a class=\"self\" href=\"#");
        push_fragment(&mut self.out, &id);
        self.out.push_str("\">");
        push_text(&mut self.out, &title);
        self.out.push_str(&format!("</a></h{level}>\n"));
        self.outline.push(Entry::Section { id, title });
    }

    /// An id made of words. No definition has a name with a capital and a hyphen in it, nor has any
    /// of its parts, so that ids of pages start like this.
    pub(super) fn heading_id(&mut self, text: &str) -> String {
        let mut slug = String::from("Section-");
        for ch in text.chars().map(|ch| ch.to_ascii_lowercase()) {
            if ch.is_ascii_alphanumeric() {
                slug.push(ch);
            } else if !slug.ends_with('-') {
                slug.push('-');
            }
        }
        let slug = slug.trim_end_matches('-').to_owned();
        if self.ids.insert(slug.clone()) {
            return slug;
        }
        let number = self.numbers.entry(slug.clone()).or_insert(2);
        loop {
            let id = format!("{slug}-{number}");
            *number += 1;
            if self.ids.insert(id.clone()) {
                return id;
            }
        }
    }

    /// Whether the definition at hand does not have the id yet; then it has. No other definition has it.
    pub(super) fn take_id(&mut self, id: &str) -> bool {
        self.part_ids.insert(id.to_owned())
    }

    /// Another definition follows.
    pub(super) fn forget_ids(&mut self) {
        self.part_ids.clear();
    }

    /// Links to the chapter before and the chapter after.
    fn neighbours(&mut self, n: usize) {
        let chapters = &self.manual.chapters;
        let before = chapters[..n]
            .iter()
            .rev()
            .find(|chapter| chapter.has_page());
        let after = chapters[n + 1..].iter().find(|chapter| chapter.has_page());
        if before.is_none() && after.is_none() {
            return;
        }
        self.out
            .push_str("<nav class=\"neighbours\" aria-label=\"Neighbouring chapters\">\n");
        for (rel, arrow, chapter) in [("prev", "\u{2190} ", before), ("next", "", after)] {
            let Some(chapter) = chapter else { continue };
            self.out.push_str(&format!(
                "<a rel=\"{rel}\" href=\"{}.html\">{arrow}",
                chapter.file
            ));
            push_text(&mut self.out, &chapter.title);
            self.out.push_str(if rel == "next" {
                " \u{2192}</a>\n"
            } else {
                "</a>\n"
            });
        }
        self.out.push_str("</nav>\n");
    }

    /// What stands before the content.
    fn head(&self, title: &str, current: Option<usize>) -> String {
        let manual = self.manual;
        let mut out = String::from("<!DOCTYPE html>\n<!-- ");
        // A comment must not be ended by what is in it.
        push_text(&mut out, &manual.marker().replace("--", "- -"));
        out.push_str(" -->\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
        push_text(&mut out, title);
        if title != manual.title {
            out.push_str(" \u{2013} ");
            push_text(&mut out, &manual.title);
        }
        out.push_str(
            "</title>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <link rel=\"stylesheet\" href=\"style.css\">\n\
             <script src=\"manual.js\"></script>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#Ui-main\">Skip to content</a>\n\
             <header class=\"bar\">\n\
             <a class=\"menu\" href=\"#Ui-nav\">Contents</a>\n\
             <a class=\"home\" href=\"index.html\">",
        );
        push_text(&mut out, &manual.title);
        out.push_str(
            "</a>\n\
             </header>\n<div class=\"columns\">\n",
        );
        self.navigation(&mut out, current);
        out.push_str("<main id=\"Ui-main\" tabindex=\"-1\">\n");
        out
    }

    /// What follows it.
    fn foot(&self) -> String {
        let mut out = String::from("</main>\n</div>\n<footer>\n<p>");
        let marker = self.manual.marker();
        push_text(&mut out, &marker.replace("; do not edit.", "."));
        out.push_str("</p>\n</footer>\n</body>\n</html>\n");
        out
    }

    /// The list of chapters, the current one with what it holds.
    fn navigation(&self, out: &mut String, current: Option<usize>) {
        out.push_str(
            "<nav id=\"Ui-nav\" class=\"contents\" aria-label=\"Contents\" tabindex=\"-1\">\n\
             <a class=\"close\" href=\"#Ui-main\">Close</a>\n<ul class=\"indexes\">\n",
        );
        for (file, label) in [
            ("index", "Start"),
            ("commands", "Commands"),
            ("events", "Events"),
            ("types", "Types"),
            ("members", "Members"),
        ] {
            let mark = if file == self.file {
                " aria-current=\"page\""
            } else {
                ""
            };
            out.push_str(&format!(
                "<li><a href=\"{file}.html\"{mark}>{label}</a></li>\n"
            ));
        }
        out.push_str("</ul>\n<ol class=\"chapters\">\n");
        let chapters = &self.manual.chapters;
        let here = current.unwrap_or(0);
        let (from, to) = (here.saturating_sub(MAX_LISTED), here + MAX_LISTED + 1);
        let to = to.min(chapters.len());
        let ellipsis =
            "<li><a href=\"index.html#Section-chapters\">\u{2026} all chapters</a></li>\n";
        if from > 0 {
            out.push_str(ellipsis);
        }
        for (n, chapter) in chapters.iter().enumerate().take(to).skip(from) {
            if !chapter.has_page() {
                continue;
            }
            let is_current = current == Some(n);
            let mark = if is_current {
                " aria-current=\"page\""
            } else {
                ""
            };
            out.push_str(&format!("<li><a href=\"{}.html\"{mark}>", chapter.file));
            push_text(out, &chapter.title);
            out.push_str("</a>");
            if is_current {
                self.outline(out);
            }
            out.push_str("</li>\n");
        }
        if to < chapters.len() {
            out.push_str(ellipsis);
        }
        out.push_str("</ol>\n</nav>\n");
    }

    /// Sections and definitions of the page.
    fn outline(&self, out: &mut String) {
        if self.outline.is_empty() {
            return;
        }
        out.push_str("\n<ul class=\"outline\">\n");
        for entry in &self.outline {
            match entry {
                Entry::Section { id, title } => {
                    out.push_str("<li class=\"section\"><a href=\"#");
                    push_fragment(out, id);
                    out.push_str("\">");
                    push_text(out, title);
                }
                Entry::Entity(entity) => {
                    let name =
                        header(self.manual.schema, *entity).map_or("", |header| header.name());
                    let kind = Kind::of(self.manual, *entity).as_str();
                    out.push_str(&format!("<li class=\"{kind}\"><a href=\"#"));
                    push_fragment(out, name);
                    out.push_str(&format!("\" title=\"{}\">", title(kind)));
                    push_text(out, name);
                }
            }
            out.push_str("</a></li>\n");
        }
        out.push_str("</ul>\n");
    }
}
