//! The manual as Markdown, for GitHub and mdBook.
//!
//! Anchors are written out, since the ones that are made of headings differ between programs.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::entity::{DocumentedPart, Inherited, Kind, Union, View, condition_text, title};
use super::manual::{Chapter, Item, Manual};
use crate::ir::{Condition, DocSection, Entity, TypeId, TypeKind};
use crate::markup::{
    self, Block, Code, Links, Markdown, Place, Reference, ReferenceKind, escape_markdown,
    plain_text, push_code_span,
};
use crate::output::Out;
use crate::references::{Target, header};

/// All files: `README.md` is what GitHub shows for a folder, `SUMMARY.md` what mdBook reads.
pub(super) fn render(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    out.file("README.md", &front(manual))?;
    out.file("SUMMARY.md", &summary(manual))?;
    for chapter in manual.chapters.iter().filter(|chapter| chapter.has_page()) {
        push_chapter(manual, chapter, out)?;
    }
    for (file, title, wanted) in [
        ("commands", "Commands", &[Kind::Command][..]),
        ("events", "Events", &[Kind::Event]),
        (
            "types",
            "Types",
            &[
                Kind::Enum,
                Kind::Struct,
                Kind::Union,
                Kind::Alternate,
                Kind::Builtin,
            ],
        ),
    ] {
        out.begin(format!("{file}.md"));
        push_index(manual, title, wanted, out);
        out.end()?;
    }
    ControlFlow::Continue(())
}

/// The first lines of a file.
fn start(manual: &Manual<'_>, title: &str) -> String {
    // A comment must not be ended by what is in it.
    let marker = manual.marker().replace("--", "- -").replace('>', "");
    let mut out = format!("<!-- {marker} -->\n\n# ");
    escape_markdown(&mut out, title);
    out.push('\n');
    out
}

fn front(manual: &Manual<'_>) -> String {
    let mut out = start(manual, &manual.title);
    let root = manual.chapters.iter().find(|chapter| chapter.is_root);
    if let Some(root) = root.filter(|root| !root.has_page()) {
        let mut writer = ChapterWriter::new(manual, "README", &manual.title);
        for item in &root.items {
            if let Item::Text(doc) = item {
                writer.text(doc.sections());
            }
        }
        out.push_str(&writer.out);
    }
    out.push_str("\n## Chapters\n\n");
    push_chapters(&mut out, manual);
    out.push_str(
        "\n## Indexes\n\n- [Commands](commands.md)\n- [Events](events.md)\n- [Types](types.md)\n",
    );
    out
}

fn push_chapter(manual: &Manual<'_>, chapter: &Chapter<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let mut writer = ChapterWriter::new(manual, &chapter.file, &chapter.title);
    out.begin(format!("{}.md", chapter.file));
    out.push(&start(manual, &chapter.title));
    for item in &chapter.items {
        match item {
            Item::Text(doc) => writer.text(doc.sections()),
            Item::Entity(entity) => writer.entity(*entity),
        }
        out.push(&writer.out);
        writer.out.clear();
    }
    out.end()
}

fn push_chapters(out: &mut String, manual: &Manual<'_>) {
    for chapter in manual.chapters.iter().filter(|chapter| chapter.has_page()) {
        out.push_str("- [");
        escape_markdown(out, &chapter.title);
        let _ = writeln!(out, "]({}.md)", chapter.file);
    }
}

fn summary(manual: &Manual<'_>) -> String {
    let mut out = start(manual, "Summary");
    out.push_str("\n- [");
    escape_markdown(&mut out, &manual.title);
    out.push_str("](README.md)\n");
    push_chapters(&mut out, manual);
    out.push_str("- [Commands](commands.md)\n- [Events](events.md)\n- [Types](types.md)\n");
    out
}

fn push_index(manual: &Manual<'_>, title: &str, wanted: &[Kind], file: &mut Out<'_>) {
    file.push(&start(manual, title));
    let entities = manual.chapters.iter().flat_map(Chapter::entities);
    let mut found: Vec<(&str, Entity)> = entities
        .filter(|entity| wanted.contains(&Kind::of(manual, *entity)))
        .filter_map(|entity| Some((header(manual.schema, entity)?.name(), entity)))
        .collect();
    found.sort_by_key(|(name, _)| (name.to_lowercase(), *name));
    if found.is_empty() {
        return file.push("\nThere are none.\n");
    }
    file.push("\n");
    for (name, entity) in found {
        let mut out = String::from("- ");
        push_link(&mut out, manual, "", name, name);
        let summary = manual.summary(entity);
        if !summary.is_empty() {
            out.push_str(": ");
            escape_markdown(&mut out, &summary);
        }
        out.push('\n');
        file.push(&out);
    }
}

/// The name of a definition in code, as a link to its place.
fn push_link(out: &mut String, manual: &Manual<'_>, file: &str, target: &str, shown: &str) {
    let address = address_of(manual, file, target);
    if address.is_some() {
        out.push('[');
    }
    push_code_span(out, shown);
    if let Some(address) = address {
        let _ = write!(out, "]({address})");
    }
}

/// The address of a definition as seen from the page `file`.
fn address_of(manual: &Manual<'_>, file: &str, name: &str) -> Option<String> {
    let chapter = manual.chapter_of(name)?;
    let page = if chapter.file == file {
        String::new()
    } else {
        format!("{}.md", chapter.file)
    };
    Some(format!("{page}#{name}"))
}

/// Writes a chapter block by block.
struct ChapterWriter<'m, 's> {
    manual: &'m Manual<'s>,
    file: &'m str,
    title: &'m str,
    out: String,
    level: u8,
    has_title: bool,
}

/// References in the documentation of one definition.
struct ManualLinks<'m, 's> {
    manual: &'m Manual<'s>,
    file: &'m str,
    scope: Option<Entity>,
}

impl Links for ManualLinks<'_, '_> {
    fn push_reference(&self, out: &mut String, reference: &Reference<'_>) {
        let target = self.manual.references.resolve(self.scope, reference);
        let own = self
            .scope
            .and_then(|scope| header(self.manual.schema, scope))
            .map(|header| header.name());
        let address = match target {
            Some(Target::Entity(name) | Target::Part(name, _) | Target::Branch(name, _))
                if own != Some(name) =>
            {
                address_of(self.manual, self.file, name)
            }
            Some(Target::Index) => Some("README.md".to_owned()),
            Some(Target::Entity(_) | Target::Part(..) | Target::Branch(..) | Target::Parts(_))
            | None => None,
        };
        if address.is_some() {
            out.push('[');
        }
        match &reference.label {
            Some(label) => {
                let words: Vec<&str> = label.split_whitespace().collect();
                escape_markdown(out, &words.join(" "));
            }
            None if target == Some(Target::Index) => out.push_str("index"),
            None if reference.kind == ReferenceKind::Outside => {
                out.push('*');
                escape_markdown(out, reference.name.trim());
                out.push('*');
            }
            None => push_code_span(out, reference.name),
        }
        if let Some(address) = address {
            let _ = write!(out, "]({address})");
        }
    }

    fn language<'c>(&self, code: &Code<'c>) -> &'c str {
        let is_plain = |language: &&str| {
            language
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+'))
        };
        match code.language.filter(is_plain) {
            Some(language) if !code.is_qmp() => language,
            // Arrows and elisions are not JSON.
            Some(_) | None => "text",
        }
    }

    fn heading_level(&self, level: u8) -> usize {
        usize::from(level)
    }
}

impl<'m, 's> ChapterWriter<'m, 's> {
    fn new(manual: &'m Manual<'s>, file: &'m str, title: &'m str) -> Self {
        Self {
            manual,
            file,
            title,
            out: String::new(),
            level: 1,
            has_title: false,
        }
    }

    fn links(&self, scope: Option<Entity>) -> ManualLinks<'m, 's> {
        ManualLinks {
            manual: self.manual,
            file: self.file,
            scope,
        }
    }

    /// Adds what `write` writes, after a blank line.
    fn add(
        &mut self,
        scope: Option<Entity>,
        write: impl FnOnce(&mut Markdown<'_, ManualLinks<'m, 's>>),
    ) {
        let links = self.links(scope);
        let mut markdown = Markdown::new(&links);
        write(&mut markdown);
        let text = markdown.finish();
        if !text.is_empty() {
            self.out.push('\n');
            for line in text.split('\n') {
                self.out.push_str(line.trim_end());
                self.out.push('\n');
            }
        }
    }

    /// A free-form comment.
    fn text(&mut self, sections: &[DocSection]) {
        for section in sections {
            let text = self.manual.text(section);
            let document = markup::parse(text.as_str(), Place::FreeForm);
            for block in &document.blocks {
                if let Block::Heading(level, content) = block {
                    self.text_heading(*level, &plain_text(content));
                } else {
                    self.add(None, |markdown| {
                        markdown.blocks(std::slice::from_ref(block))
                    });
                }
            }
        }
    }

    fn text_heading(&mut self, level: u8, title: &str) {
        if !self.has_title && title == self.title {
            self.has_title = true;
            return;
        }
        self.level = level.max(2).min(self.level + 1).min(5);
        self.heading(self.level, title);
    }

    fn heading(&mut self, level: u8, title: &str) {
        self.out.push('\n');
        self.out
            .extend(std::iter::repeat_n('#', usize::from(level)));
        self.out.push(' ');
        escape_markdown(&mut self.out, title);
        self.out.push('\n');
    }

    fn entity(&mut self, entity: Entity) {
        let manual = self.manual;
        let Some(view) = View::new(manual, entity) else {
            return;
        };
        let _ = write!(self.out, "\n<a id=\"{}\"></a>\n\n", view.name);
        self.out.extend(std::iter::repeat_n(
            '#',
            usize::from((self.level + 1).min(6)),
        ));
        self.out.push(' ');
        push_code_span(&mut self.out, view.name);
        self.out.push_str("\n\n");
        self.out.push_str(&facts(&view));
        self.out.push('\n');
        self.add(Some(entity), |markdown| {
            for section in &view.overview {
                push_section(manual, markdown, "", section);
            }
        });
        self.parts(&view);
        if let Some(union) = &view.union {
            self.branches(&view, union);
        }
        self.outcome(&view);
        self.add(Some(entity), |markdown| {
            for section in &view.remarks {
                push_section(manual, markdown, "", section);
            }
        });
        if !view.users.is_empty() && view.kind != Kind::Builtin {
            let mut line = String::from("**Used by:** ");
            for (n, user) in view.users.iter().enumerate() {
                line.push_str(if n > 0 { ", " } else { "" });
                push_link(&mut line, manual, self.file, user, user);
            }
            self.add(None, |markdown| markdown.raw_block(&line));
        }
    }

    fn parts(&mut self, view: &View<'_>) {
        if view.parts.is_empty() && view.inherited.is_none() {
            return;
        }
        let mut title = format!("**{}:**", view.kind.parts());
        if let Some(inherited) = &view.inherited {
            title.push_str(" the members of ");
            push_link(
                &mut title,
                self.manual,
                self.file,
                inherited.name,
                inherited.name,
            );
            let members = inherited.members.iter().map(|(_, member)| {
                let mut text = String::new();
                push_code_span(&mut text, member.name());
                text
            });
            push_members(&mut title, ": ", inherited, members.collect());
        }
        self.add(None, |markdown| markdown.raw_block(&title));
        let leads: Vec<String> = view.parts.iter().map(|part| self.lead(part)).collect();
        self.list(
            view.parts
                .iter()
                .zip(leads)
                .map(|(part, lead)| (view.entity, lead, part.section)),
        );
    }

    /// A list whose items are a lead in Markdown and the text of a section.
    fn list<'d>(&mut self, items: impl Iterator<Item = (Entity, String, Option<&'d DocSection>)>) {
        let manual = self.manual;
        let mut list = String::new();
        for (scope, lead, section) in items {
            let links = self.links(Some(scope));
            let mut markdown = Markdown::new(&links);
            markdown.item("- ", true, |markdown| match section {
                Some(section) => push_section(manual, markdown, &lead, section),
                None => markdown.raw_block(lead.trim_end().trim_end_matches(':')),
            });
            for line in markdown.finish().split('\n') {
                list.push_str(line.trim_end());
                list.push('\n');
            }
        }
        if !list.is_empty() {
            self.out.push('\n');
            self.out.push_str(&list);
        }
    }

    /// Name and type of a part, as they stand before its text.
    fn lead(&self, part: &DocumentedPart<'_>) -> String {
        let mut lead = String::new();
        push_code_span(&mut lead, part.name);
        let mut facts = Vec::new();
        if let Some(id) = part.type_id {
            facts.push(self.ty(id));
        }
        if part.is_optional {
            facts.push("optional".to_owned());
        }
        facts.extend(
            part.features
                .iter()
                .map(|feature| feature.name().to_owned()),
        );
        facts.extend(condition(part.condition));
        if !facts.is_empty() {
            let _ = write!(lead, " ({})", facts.join(", "));
        }
        lead.push_str(": ");
        lead
    }

    fn branches(&mut self, view: &View<'_>, union: &Union<'_>) {
        let mut title = String::from("**Branches** by the value of ");
        push_code_span(&mut title, union.tag);
        title.push(':');
        self.add(None, |markdown| markdown.raw_block(&title));
        let leads = union.branches.iter().map(|branch| {
            let mut lead = String::new();
            push_code_span(&mut lead, branch.value);
            if let Some(condition) = condition(branch.condition) {
                let _ = write!(lead, " ({condition})");
            }
            lead.push_str(": ");
            match branch.type_id {
                Some(id) => {
                    lead.push_str(&self.ty(id));
                    let members = branch.inherited.members.iter().map(|(_, member)| {
                        let mut text = String::new();
                        push_code_span(&mut text, member.name());
                        let optional = if member.is_optional() {
                            ", optional"
                        } else {
                            ""
                        };
                        let _ = write!(text, " ({}{optional})", self.ty(member.type_id()));
                        text
                    });
                    push_members(&mut lead, " with ", &branch.inherited, members.collect());
                }
                None => lead.push_str("nothing more"),
            }
            if branch.section.is_some() {
                lead.push_str(". ");
            }
            (view.entity, lead, branch.section)
        });
        let mut leads: Vec<_> = leads.collect();
        if union.has_others {
            let lead = "any other value: nothing more".to_owned();
            leads.push((view.entity, lead, None));
        }
        self.list(leads.into_iter());
    }

    fn outcome(&mut self, view: &View<'_>) {
        let manual = self.manual;
        if let Some(returns) = &view.returns {
            let mut title = String::from("**Returns:** ");
            if let Some(id) = returns.type_id {
                title.push_str(&self.ty(id));
                title.push_str(if returns.section.is_some() {
                    " – "
                } else {
                    ""
                });
            }
            self.add(Some(view.entity), |markdown| match returns.section {
                Some(section) => push_section(manual, markdown, &title, section),
                None => markdown.raw_block(title.trim_end()),
            });
        }
        if let Some(errors) = view.errors {
            self.add(Some(view.entity), |markdown| {
                push_section(manual, markdown, "**Errors:** ", errors);
            });
        }
        if view.features.is_empty() {
            return;
        }
        self.add(None, |markdown| markdown.raw_block("**Features:**"));
        self.list(view.features.iter().map(|(feature, section)| {
            let mut lead = String::new();
            push_code_span(&mut lead, feature.name());
            if let Some(condition) = condition(feature.condition()) {
                let _ = write!(lead, " ({condition})");
            }
            lead.push_str(": ");
            (view.entity, lead, *section)
        }));
    }

    /// The name of a type, an array by its element.
    fn ty(&self, mut id: TypeId) -> String {
        let mut text = String::new();
        while let TypeKind::Array(element) = self.manual.schema.ty(id).kind() {
            text.push_str("array of ");
            id = *element;
        }
        let ty = self.manual.schema.ty(id);
        if matches!(ty.kind(), TypeKind::Builtin(_)) {
            text.push_str(ty.name());
        } else {
            push_link(&mut text, self.manual, self.file, ty.name(), ty.name());
        }
        text
    }
}

/// The members that are named of a type, and that there are more, if there are.
fn push_members(out: &mut String, lead: &str, inherited: &Inherited<'_>, members: Vec<String>) {
    if !members.is_empty() {
        out.push_str(lead);
        out.push_str(&members.join(", "));
    }
    if let Some(rest) = inherited.rest() {
        out.push_str(if members.is_empty() { ", " } else { " " });
        out.push_str(rest);
    }
}

fn push_section<L: Links>(
    manual: &Manual<'_>,
    markdown: &mut Markdown<'_, L>,
    lead: &str,
    section: &DocSection,
) {
    let text = manual.text(section);
    let document = markup::parse(text.as_str(), Place::Definition);
    if lead.is_empty() {
        markdown.blocks(&document.blocks);
    } else {
        markdown.titled(lead, &document.blocks);
    }
}

fn condition(condition: &Condition) -> Option<String> {
    if condition.is_always() {
        return None;
    }
    let mut text = String::from("if ");
    escape_markdown(&mut text, &condition_text(condition));
    Some(text)
}

/// What a definition is, since when and under which conditions.
fn facts(view: &View<'_>) -> String {
    let mut facts = vec![title(view.kind.as_str())];
    if let Some(since) = &view.since {
        let mut fact = String::from("since ");
        escape_markdown(&mut fact, since);
        facts.push(fact);
    }
    facts.extend(view.marks.iter().map(|mark| (*mark).to_owned()));
    facts.extend(view.flags.iter().map(|flag| (*flag).to_owned()));
    facts.extend(condition(view.condition));
    facts.join(", ")
}
