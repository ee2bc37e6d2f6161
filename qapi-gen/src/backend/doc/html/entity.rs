//! A definition in a page.

use super::address::address_of;
use super::escape::{push_fragment, push_text};
use super::page::PageWriter;
use crate::backend::doc::entity::{
    DocumentedPart, Inherited, Kind, Union, UnionBranch, View, condition_text, title,
};
use crate::ir::{Condition, DocSection, Entity, TypeId, TypeKind};
use crate::references::Target;

/// What a branch without members adds.
const NOTHING: &str = "<p class=\"nothing\">nothing more</p>\n";

impl PageWriter<'_, '_> {
    /// One definition, under a heading of the level `level`.
    pub(super) fn entity(&mut self, entity: Entity, level: u8) {
        let manual = self.manual;
        let Some(view) = View::new(manual, entity) else {
            return;
        };
        self.forget_ids();
        let kind = view.kind.as_str();
        self.out.push_str("<article class=\"entity ");
        self.out.push_str(kind);
        self.out.push_str("\" id=\"");
        push_text(&mut self.out, view.name);
        self.out.push_str("\">\n<header>\n");
        self.out.push_str(&format!(
            "<h{level}><span class=\"kind\">{}</span> ",
            title(kind)
        ));
        self.out.push_str("<a class=\"self\" href=\"#");
        push_fragment(&mut self.out, view.name);
        self.out.push_str("\"><code>");
        push_text(&mut self.out, view.name);
        self.out.push_str("</code></a></h");
        self.out.push_str(&format!("{level}>\n"));
        self.facts(&view);
        self.out.push_str("</header>\n");
        if view.kind == Kind::Builtin {
            self.builtin(&view);
        }
        for section in &view.overview {
            self.section(section, Some(entity));
        }
        let inner = (level + 1).min(6);
        self.parts(&view, inner);
        if let Some(union) = &view.union {
            self.union(&view, union, inner);
        }
        self.outcome(&view, inner);
        self.features(&view, inner);
        for section in &view.remarks {
            self.section(section, Some(entity));
        }
        self.users(&view, inner);
        self.out.push_str("</article>\n");
    }

    /// Since when and under which conditions.
    fn facts(&mut self, view: &View<'_>) {
        let mut facts = Vec::new();
        if let Some(since) = &view.since {
            facts.push(("since", format!("Since {since}")));
        }
        for mark in &view.marks {
            facts.push((mark, title(mark)));
        }
        for flag in &view.flags {
            facts.push(("flag", title(flag)));
        }
        if !view.condition.is_always() {
            facts.push(("if", format!("If {}", condition_text(view.condition))));
        }
        if facts.is_empty() {
            return;
        }
        self.out.push_str("<ul class=\"facts\">\n");
        for (class, text) in facts {
            self.out.push_str("<li class=\"");
            push_text(&mut self.out, class);
            self.out.push_str("\">");
            push_text(&mut self.out, &text);
            self.out.push_str("</li>\n");
        }
        self.out.push_str("</ul>\n");
    }

    fn builtin(&mut self, view: &View<'_>) {
        let text = match view.name {
            "str" => "A string of UTF-8 characters.",
            "number" => "Any number that fits a double.",
            "int" | "int64" => "An integer of 64 bits with a sign.",
            "int8" => "An integer of 8 bits with a sign.",
            "int16" => "An integer of 16 bits with a sign.",
            "int32" => "An integer of 32 bits with a sign.",
            "uint8" => "An integer of 8 bits without a sign.",
            "uint16" => "An integer of 16 bits without a sign.",
            "uint32" => "An integer of 32 bits without a sign.",
            "uint64" => "An integer of 64 bits without a sign.",
            "size" => "A number of bytes: an integer of 64 bits without a sign.",
            "bool" => "true or false.",
            "null" => "null.",
            "any" => "Any JSON value.",
            "QType" => "The kinds of JSON value.",
            _ => "",
        };
        if !text.is_empty() {
            self.out.push_str("<p>");
            push_text(&mut self.out, text);
            self.out.push_str("</p>\n");
        }
    }

    fn parts(&mut self, view: &View<'_>, level: u8) {
        if view.parts.is_empty() && view.inherited.is_none() {
            return;
        }
        self.heading(level, view.kind.parts());
        if let Some(inherited) = &view.inherited {
            self.inherited(inherited);
        }
        if view.parts.is_empty() {
            return;
        }
        self.out.push_str("<dl class=\"parts\">\n");
        for part in &view.parts {
            self.part(view, part);
        }
        self.out.push_str("</dl>\n");
    }

    /// The members of a type that describes them.
    fn inherited(&mut self, inherited: &Inherited<'_>) {
        self.out.push_str("<p class=\"inherited\">The members of ");
        self.link(Target::Entity(inherited.name), inherited.name);
        for (n, (owner, member)) in inherited.members.iter().enumerate() {
            self.out.push_str(if n == 0 { ": " } else { ", " });
            self.link(Target::Part(owner, member.name()), member.name());
        }
        if let Some(rest) = inherited.rest() {
            self.out.push_str(if inherited.members.is_empty() {
                ", "
            } else {
                " "
            });
            self.out.push_str(rest);
        }
        self.out.push_str("</p>\n");
    }

    fn part(&mut self, view: &View<'_>, part: &DocumentedPart<'_>) {
        self.term(&self.manual.anchor(view.name, part.name));
        self.out.push_str("<code class=\"name\">");
        push_text(&mut self.out, part.name);
        self.out.push_str("</code>");
        if let Some(id) = part.type_id {
            self.out.push_str(" <span class=\"type\">");
            self.ty(id);
            self.out.push_str("</span>");
        }
        if part.is_optional {
            self.out
                .push_str(" <span class=\"optional\">optional</span>");
        }
        for feature in part.features {
            let class = match feature.name() {
                name @ ("deprecated" | "unstable") => name,
                _ => "feature",
            };
            self.out.push_str(&format!(" <span class=\"{class}\">"));
            push_text(&mut self.out, feature.name());
            self.out.push_str("</span>");
        }
        self.condition(part.condition);
        self.out.push_str("</dt>\n");
        self.description(part.section, view.entity);
    }

    /// Starts a term; a member and a feature of one name share the first one's anchor.
    fn term(&mut self, anchor: &str) {
        if self.take_id(anchor) {
            self.out.push_str("<dt id=\"");
            push_text(&mut self.out, anchor);
            self.out.push_str("\">");
        } else {
            self.out.push_str("<dt>");
        }
    }

    fn condition(&mut self, condition: &Condition) {
        if !condition.is_always() {
            self.out.push_str(" <span class=\"if\">if ");
            push_text(&mut self.out, &condition_text(condition));
            self.out.push_str("</span>");
        }
    }

    fn description(&mut self, section: Option<&DocSection>, scope: Entity) {
        self.out.push_str("<dd>");
        match section {
            Some(section) => self.section(section, Some(scope)),
            None => self
                .out
                .push_str("<p class=\"undocumented\">Not documented</p>\n"),
        }
        self.out.push_str("</dd>\n");
    }

    fn union(&mut self, view: &View<'_>, union: &Union<'_>, level: u8) {
        self.heading(level, "Branches");
        self.out.push_str("<p>What else there is depends on <code>");
        push_text(&mut self.out, union.tag);
        self.out.push_str("</code>:</p>\n<dl class=\"branches\">\n");
        for branch in &union.branches {
            self.branch(view, union.tag, branch);
        }
        if union.has_others {
            self.out.push_str("<dt><code class=\"tag\">");
            push_text(&mut self.out, union.tag);
            self.out.push_str("</code> = any other value</dt>\n<dd>");
            self.out.push_str(NOTHING);
            self.out.push_str("</dd>\n");
        }
        self.out.push_str("</dl>\n");
    }

    fn branch(&mut self, view: &View<'_>, tag: &str, branch: &UnionBranch<'_>) {
        self.term(&self.manual.branch_anchor(view.name, branch.value));
        self.out.push_str("<code class=\"tag\">");
        push_text(&mut self.out, tag);
        self.out.push_str("</code> = <code class=\"name\">");
        push_text(&mut self.out, branch.value);
        self.out.push_str("</code>");
        if let Some(id) = branch.type_id {
            self.out.push_str(" <span class=\"type\">");
            self.ty(id);
            self.out.push_str("</span>");
        }
        self.condition(branch.condition);
        self.out.push_str("</dt>\n<dd>");
        if let Some(section) = branch.section {
            self.section(section, Some(view.entity));
        }
        let inherited = &branch.inherited;
        if branch.type_id.is_none() || (inherited.members.is_empty() && inherited.rest().is_none())
        {
            self.out.push_str(NOTHING);
            self.out.push_str("</dd>\n");
            return;
        }
        self.out.push_str("<ul class=\"signature\">\n");
        for (owner, member) in &inherited.members {
            self.out.push_str("<li><span class=\"name\">");
            self.link(Target::Part(owner, member.name()), member.name());
            self.out.push_str("</span> <span class=\"type\">");
            self.ty(member.type_id());
            self.out.push_str("</span>");
            if member.is_optional() {
                self.out
                    .push_str(" <span class=\"optional\">optional</span>");
            }
            self.out.push_str("</li>\n");
        }
        if let Some(rest) = inherited.rest() {
            self.out.push_str(&format!("<li>{rest}</li>\n"));
        }
        self.out.push_str("</ul>\n</dd>\n");
    }

    fn outcome(&mut self, view: &View<'_>, level: u8) {
        if let Some(returns) = &view.returns {
            self.heading(level, "Returns");
            let mut lead = String::new();
            if let Some(id) = returns.type_id {
                let before = std::mem::take(&mut self.out);
                self.ty(id);
                lead = std::mem::replace(&mut self.out, before);
                lead = format!("<span class=\"type\">{lead}</span>");
            }
            match returns.section {
                Some(section) if lead.is_empty() => self.section(section, Some(view.entity)),
                Some(section) => self.section_behind(&lead, section, view.entity),
                None => self.out.push_str(&format!("<p>{lead}</p>\n")),
            }
        }
        if let Some(errors) = view.errors {
            self.heading(level, "Errors");
            self.section(errors, Some(view.entity));
        }
    }

    fn features(&mut self, view: &View<'_>, level: u8) {
        if view.features.is_empty() {
            return;
        }
        self.heading(level, "Features");
        self.out.push_str("<dl class=\"parts\">\n");
        for (feature, section) in &view.features {
            self.term(&self.manual.anchor(view.name, feature.name()));
            self.out.push_str("<code class=\"name\">");
            push_text(&mut self.out, feature.name());
            self.out.push_str("</code>");
            self.condition(feature.condition());
            self.out.push_str("</dt>\n");
            self.description(*section, view.entity);
        }
        self.out.push_str("</dl>\n");
    }

    fn users(&mut self, view: &View<'_>, level: u8) {
        if view.users.is_empty() || view.kind == Kind::Builtin {
            return;
        }
        self.heading(level, "Used by");
        self.out.push_str("<ul class=\"users\">\n");
        for user in view.users {
            self.out.push_str("<li>");
            self.link(Target::Entity(user), user);
            self.out.push_str("</li>\n");
        }
        self.out.push_str("</ul>\n");
    }

    fn heading(&mut self, level: u8, text: &str) {
        self.out
            .push_str(&format!("<h{level} class=\"part\">{text}</h{level}>\n"));
    }

    /// A link to a definition, shown as `name`.
    pub(super) fn link(&mut self, target: Target<'_>, name: &str) {
        let address = address_of(self.manual, self.file, target);
        if let Some(address) = &address {
            self.out.push_str("<a href=\"");
            self.out.push_str(address);
            self.out.push_str("\">");
        }
        self.out.push_str("<code>");
        push_text(&mut self.out, name);
        self.out.push_str("</code>");
        if address.is_some() {
            self.out.push_str("</a>");
        }
    }

    /// The name of a type, an array by its element.
    pub(super) fn ty(&mut self, id: TypeId) {
        let mut id = id;
        while let TypeKind::Array(element) = self.manual.schema.ty(id).kind() {
            self.out.push_str("array of ");
            id = *element;
        }
        let name = self.manual.schema.ty(id).name();
        self.link(Target::Entity(name), name);
    }
}
