//! Enumerations.

use super::layout::{self, List};
use super::plan::{TypePlan, Value, deprecation};
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// An enumeration with all its impls.
    pub(super) fn emit_enum(&mut self, ty: &TypePlan<'_>, values: &[Value<'_>], unknown: &str) {
        let name = ty.name.as_str();
        self.definition_doc(ty.ty.doc(), &format!("Enumeration `{}`.", ty.ty.name()));
        self.item_attribute();
        self.derives(&["Debug", "Clone", "PartialEq", "Eq", "Hash"], ty.ty.name());
        self.line(0, &["pub enum ", name, " {"]);
        for value in values {
            self.part_doc(4, ty.ty.doc(), value.value.name(), "Value");
            self.attribute(4, &value.gate);
            if let Some(gate) = deprecation(&value.policies) {
                self.deprecated_attribute(4, &gate);
                self.note_deprecated(&value.gate.and(&gate));
            }
            self.part_attributes(ty.ty.name(), value.value.name());
            self.line(4, &[&value.ident, ","]);
        }
        self.line(
            4,
            &["/// A value that this schema does not have, in what a peer sent."],
        );
        let box_ = self.std("Box");
        self.line(4, &[unknown, "(", &box_, "<str>),"]);
        self.line(0, &["}"]);
        self.blank();
        self.emit_names(name, values, unknown);
        self.emit_enumeration(name, ty.ty.name(), values, unknown);
        self.emit_enum_visit(name);
        self.emit_macro("impl_enum", name);
        self.emit_serde(name);
    }

    fn emit_names(&mut self, name: &str, values: &[Value<'_>], unknown: &str) {
        self.item_attribute();
        self.line(0, &["impl ", name, " {"]);
        self.line(4, &["/// All values in the order of the schema."]);
        let items: Vec<_> = values
            .iter()
            .map(|value| {
                (
                    self.attribute_text(8, &value.gate),
                    format!("Self::{}", value.ident),
                )
            })
            .collect();
        let head = "pub const ALL: &'static [Self] =";
        let list = List {
            head,
            open: "&[",
            close: "]",
            tail: ";",
        };
        list.print(&mut self.out, 4, &items);
        self.blank();
        self.line(4, &["/// The name in the schema."]);
        self.line(4, &["pub fn as_str(&self) -> &str {"]);
        if values.is_empty() {
            self.line(8, &["let Self::", unknown, "(name) = self;"]);
            self.line(8, &["name"]);
            self.line(4, &["}"]);
            self.line(0, &["}"]);
            self.blank();
            return;
        }
        self.line(8, &["match self {"]);
        for value in values {
            self.attribute(12, &value.gate);
            let text = layout::string(value.value.name());
            layout::arm(&mut self.out, 12, &format!("Self::{}", value.ident), &text);
        }
        layout::arm(&mut self.out, 12, &format!("Self::{unknown}(name)"), "name");
        self.line(8, &["}"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    fn emit_enumeration(
        &mut self,
        name: &str,
        schema_name: &str,
        values: &[Value<'_>],
        unknown: &str,
    ) {
        let enumeration = self.visit("Enumeration");
        self.item_attribute();
        layout::impl_of(&mut self.out, &enumeration, name);
        layout::constant(&mut self.out, 4, "NAME", &layout::string(schema_name));
        self.line(4, &["const ALL: &'static [Self] = Self::ALL;"]);
        self.blank();
        let option = self.std("Option");
        let is_open = values.iter().all(|value| !value.gate.is_always());
        let parameter = if values.is_empty() { "_name" } else { "name" };
        self.line(
            4,
            &[
                "fn from_name(",
                parameter,
                ": &str) -> ",
                &option,
                "<Self> {",
            ],
        );
        if values.is_empty() {
            self.line(8, &["None"]);
        } else if is_open {
            // A match whose arms are all conditional may be left with none.
            self.line(8, &["let mut values = Self::ALL.iter();"]);
            self.line(8, &["values.find(|value| value.as_str() == name).cloned()"]);
        } else {
            self.line(8, &["Some(match name {"]);
            for value in values {
                self.attribute(12, &value.gate);
                let text = layout::string(value.value.name());
                layout::arm(&mut self.out, 12, &text, &format!("Self::{}", value.ident));
            }
            self.line(12, &["_ => return None,"]);
            self.line(8, &["})"]);
        }
        self.line(4, &["}"]);
        self.blank();
        self.line(4, &["fn as_str(&self) -> &str {"]);
        self.line(8, &["self.as_str()"]);
        self.line(4, &["}"]);
        self.blank();
        let box_ = self.std("Box");
        self.line(4, &["fn unknown(name: ", &box_, "<str>) -> Self {"]);
        self.line(8, &["Self::", unknown, "(name)"]);
        self.line(4, &["}"]);
        self.blank();
        self.line(4, &["fn is_unknown(&self) -> bool {"]);
        self.line(8, &["matches!(self, Self::", unknown, "(_))"]);
        self.line(4, &["}"]);
        self.emit_value_policy(values);
        self.line(0, &["}"]);
        self.blank();
    }

    /// `special_features`, if any value has special features.
    fn emit_value_policy(&mut self, values: &[Value<'_>]) {
        let mut arms = Vec::new();
        for value in values {
            for case in &value.policies {
                if let Some(policy) = self.policy(case, &value.gate.and(&case.gate)) {
                    arms.push((value.gate.and(&case.gate), &value.ident, policy));
                }
            }
        }
        if arms.is_empty() {
            return;
        }
        let policy = self.visit("SpecialFeatures");
        self.blank();
        self.line(4, &["fn special_features(&self) -> ", &policy, " {"]);
        if arms.iter().all(|(gate, ..)| !gate.is_always()) {
            for (gate, ident, constant) in &arms {
                self.attribute(8, gate);
                self.line(8, &["if matches!(self, Self::", ident, ") {"]);
                self.line(12, &["return ", constant, ";"]);
                self.line(8, &["}"]);
            }
            self.line(8, &[&policy, "::NONE"]);
        } else {
            self.line(8, &["match self {"]);
            for (gate, ident, constant) in &arms {
                self.attribute(12, gate);
                layout::arm(&mut self.out, 12, &format!("Self::{ident}"), constant);
            }
            self.line(12, &["_ => ", &policy, "::NONE,"]);
            self.line(8, &["}"]);
        }
        self.line(4, &["}"]);
    }

    fn emit_enum_visit(&mut self, name: &str) {
        self.begin_visit(name);
        // Functions are not imported: the editions of rustfmt sort them in different ways.
        let door = self.plan.options.door.as_str();
        self.line(8, &[door, "::read_enum(input)"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_visit_write();
        self.line(8, &[door, "::write_enum(self, output)"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    /// `impl Visit` up to the body of `read`.
    pub(super) fn begin_visit(&mut self, name: &str) {
        let visit = self.visit("Visit");
        self.item_attribute();
        layout::impl_of(&mut self.out, &visit, name);
        let parameter = format!("input: &mut {}<'_>", self.visit("Input"));
        let result = format!(
            " -> {}<Self, {}>",
            self.std("Result"),
            self.visit("VisitError")
        );
        layout::signature(&mut self.out, 4, "fn read", &[&parameter], &result, " {");
    }

    pub(super) fn begin_visit_write(&mut self) {
        let parameter = format!("output: &mut {}", self.visit("Output"));
        let result = format!(
            " -> {}<(), {}>",
            self.std("Result"),
            self.visit("VisitError")
        );
        layout::signature(
            &mut self.out,
            4,
            "fn write",
            &["&self", &parameter],
            &result,
            " {",
        );
    }
}
