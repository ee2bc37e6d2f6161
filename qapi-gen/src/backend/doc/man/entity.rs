//! A definition in a page.

use super::page::PageWriter;
use super::roff::{push_code, push_text};
use crate::backend::doc::entity::{
    DocumentedPart, Inherited, Kind, Union, View, condition_text, title,
};
use crate::ir::{Condition, DocSection, Entity, TypeId, TypeKind};
use crate::markup::{self, Block, Place};

impl PageWriter<'_, '_> {
    /// One definition.
    pub(super) fn entity(&mut self, entity: Entity) {
        let Some(view) = View::new(self.manual, entity) else {
            return;
        };
        self.need_section();
        self.out.push_str(".SS \"");
        push_code(&mut self.out, view.name);
        self.out.push_str(&format!(" ({})\"\n", view.kind.as_str()));
        self.is_fresh = true;
        let mut facts = Vec::new();
        facts.extend(view.since.iter().map(|since| format!("since {since}")));
        facts.extend(view.marks.iter().map(|mark| (*mark).to_owned()));
        facts.extend(view.flags.iter().map(|flag| (*flag).to_owned()));
        facts.extend(condition(view.condition));
        if !facts.is_empty() {
            self.paragraph();
            self.out.push_str("\\fI");
            push_text(&mut self.out, &title(&facts.join(", ")));
            self.out.push_str("\\fR\n");
        }
        for section in &view.overview {
            self.doc_section(section);
        }
        if !view.parts.is_empty() || view.inherited.is_some() {
            self.label(view.kind.parts());
        }
        if let Some(inherited) = &view.inherited {
            let members = inherited.members.iter();
            let members = members.map(|(_, member)| member.name().to_owned());
            let mut text = format!("The members of {}", inherited.name);
            push_members(&mut text, ": ", inherited, members.collect());
            let mut line = String::new();
            push_code(&mut line, &text);
            self.fill(&line);
        }
        for part in &view.parts {
            self.part(part);
        }
        if let Some(union) = &view.union {
            self.union(union);
        }
        self.outcome(&view);
        for section in &view.remarks {
            self.doc_section(section);
        }
        if !view.users.is_empty() && view.kind != Kind::Builtin {
            self.label("Used by");
            let mut line = String::new();
            for (n, user) in view.users.iter().enumerate() {
                line.push_str(if n > 0 { ", " } else { "" });
                push_code(&mut line, user);
            }
            self.fill(&line);
        }
    }

    /// A line in bold that says what follows.
    fn label(&mut self, text: &str) {
        self.paragraph();
        self.out.push_str(&format!("\\fB{text}:\\fR\n"));
    }

    /// A tag of one line, and the text of a section after it.
    fn tag(&mut self, tag: &str, section: Option<&DocSection>) {
        self.out.push_str(".TP\n");
        self.out.push_str(tag);
        self.out.push('\n');
        let Some(section) = section else {
            self.tagged(&[]);
            return;
        };
        let text = self.manual.text(section);
        let document = markup::parse(text.as_str(), Place::Definition);
        self.tagged(&document.blocks);
    }

    fn part(&mut self, part: &DocumentedPart<'_>) {
        let mut facts = Vec::new();
        facts.extend(part.type_id.map(|id| self.ty(id)));
        if part.is_optional {
            facts.push("optional".to_owned());
        }
        facts.extend(
            part.features
                .iter()
                .map(|feature| feature.name().to_owned()),
        );
        facts.extend(condition(part.condition));
        let tag = tag_of(part.name, &facts);
        self.tag(&tag, part.section);
    }

    fn union(&mut self, union: &Union<'_>) {
        self.label("Branches");
        for branch in &union.branches {
            let mut facts = Vec::new();
            facts.extend(branch.type_id.map(|id| self.ty(id)));
            facts.extend(condition(branch.condition));
            let tag = tag_of(&format!("{}={}", union.tag, branch.value), &facts);
            let members = branch.inherited.members.iter().map(|(_, member)| {
                let optional = if member.is_optional() {
                    ", optional"
                } else {
                    ""
                };
                format!(
                    "{} ({}{optional})",
                    member.name(),
                    self.ty(member.type_id())
                )
            });
            let mut text = String::new();
            push_members(&mut text, "", &branch.inherited, members.collect());
            if branch.section.is_some() {
                self.tag(&tag, branch.section);
                if !text.is_empty() {
                    self.out.push_str(".IP\n");
                }
            } else {
                self.out.push_str(".TP\n");
                self.out.push_str(&tag);
                self.out.push('\n');
            }
            if !text.is_empty() {
                let mut line = String::new();
                push_code(&mut line, &text);
                self.fill(&line);
            } else if branch.section.is_none() {
                self.out.push_str("nothing more\n");
            }
            self.is_fresh = false;
        }
        if union.has_others {
            self.out.push_str(".TP\nany other value\nnothing more\n");
            self.is_fresh = false;
        }
    }

    fn outcome(&mut self, view: &View<'_>) {
        if let Some(returns) = &view.returns {
            self.label("Returns");
            if let Some(id) = returns.type_id {
                let name = self.ty(id);
                self.out.push_str("\\fI");
                push_code(&mut self.out, &name);
                self.out.push_str("\\fR\n");
            }
            if let Some(section) = returns.section {
                // The description goes on after the type.
                self.is_fresh = true;
                self.doc_section(section);
            }
        }
        if let Some(errors) = view.errors {
            self.label("Errors");
            let text = self.manual.text(errors);
            let document = markup::parse(text.as_str(), Place::Definition);
            self.is_fresh = matches!(document.blocks.first(), Some(Block::Paragraph(_)));
            self.blocks(&document.blocks);
        }
        if view.features.is_empty() {
            return;
        }
        self.label("Features");
        for (feature, section) in &view.features {
            let facts: Vec<String> = condition(feature.condition()).into_iter().collect();
            let tag = tag_of(feature.name(), &facts);
            self.tag(&tag, *section);
        }
    }

    /// The name of a type, an array by its element.
    fn ty(&self, mut id: TypeId) -> String {
        let mut text = String::new();
        while let TypeKind::Array(element) = self.manual.schema.ty(id).kind() {
            text.push_str("array of ");
            id = *element;
        }
        text.push_str(self.manual.schema.ty(id).name());
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
        if !members.is_empty() {
            out.push(' ');
        } else if !lead.is_empty() {
            out.push_str(", ");
        }
        out.push_str(rest);
    }
}

fn condition(condition: &Condition) -> Option<String> {
    (!condition.is_always()).then(|| format!("if {}", condition_text(condition)))
}

/// A name in bold with facts after it.
fn tag_of(name: &str, facts: &[String]) -> String {
    let mut tag = String::from("\\fB");
    push_code(&mut tag, name);
    tag.push_str("\\fR");
    if !facts.is_empty() {
        tag.push_str(" (");
        push_code(&mut tag, &facts.join(", "));
        tag.push(')');
    }
    tag
}
