//! Events: the data of each as a server emits it, and the enum of all as a client receives them.

use crate::ir::Event;

use super::gate::Gate;
use super::layout;
use super::plan::{Arguments, DefinitionPlan, catch_all};
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// The data type of an event with its impls.
    pub(super) fn emit_event(&mut self, plan: &DefinitionPlan<'_, Event>) {
        let event = plan.definition;
        self.emit_arguments(&plan.name, event, "Event", &plan.arguments, event.doc());
        let data = self.dispatch("EventData");
        self.item_attribute();
        layout::impl_of(&mut self.out, &data, &plan.name);
        let name = layout::string(event.name());
        layout::constant(&mut self.out, 4, "NAME", &name);
        for case in super::plan::header_policies(self.plan, event.features()) {
            if let Some(constant) = self.policy(&case, &case.gate) {
                let policy = self.runtime_under("", "SpecialFeatures", &case.gate);
                self.attribute(4, &case.gate);
                self.line(
                    4,
                    &["const SPECIAL_FEATURES: ", &policy, " = ", &constant, ";"],
                );
            }
        }
        if event.arguments().is_none() {
            self.line(4, &["const HAS_DATA: bool = false;"]);
        }
        self.line(0, &["}"]);
        self.blank();
        self.emit_serde(&plan.name);
    }

    /// The enum of all events.
    pub(super) fn emit_event_enum(&mut self) {
        let plan = self.plan;
        let events: Vec<_> = plan.events.iter().flatten().collect();
        let name = plan.event_enum.as_str();
        self.line(0, &["/// An event as a client receives it."]);
        let deprecated = events
            .iter()
            .filter_map(|event| Some(event.gate.and(&plan.header_deprecation(event.definition)?)));
        let deprecated: Vec<Gate> = deprecated.collect();
        let mapping = &plan.options.mapping;
        if !deprecated.is_empty() {
            mapping.expect_deprecated(&mut self.out, 0, &Gate::any(&deprecated));
        }
        self.line(0, &["#[derive(Debug, Clone, PartialEq)]"]);
        self.line(0, &["pub enum ", name, " {"]);
        let unknown = &catch_all(&events.iter().map(|event| event.name.as_str()).collect());
        for event in &events {
            let text = format!("`{}`", event.definition.name());
            self.line(4, &["/// ", &text]);
            self.attribute(4, &event.gate);
            let payload = self.event_payload(event);
            self.variant_line(&event.name, &payload, &format!("{}({payload})", event.name));
        }
        let value = self.runtime("", "Value");
        let box_ = self.std("Box");
        self.line(4, &["/// An event that this schema does not have."]);
        self.line(4, &[unknown, " {"]);
        self.line(8, &["/// Its name."]);
        self.line(8, &["name: ", &box_, "<str>,"]);
        self.line(8, &["/// Its data."]);
        self.line(8, &["data: ", &value, ","]);
        self.line(4, &["},"]);
        self.line(0, &["}"]);
        self.blank();
        self.emit_read_event(name, unknown, &events);
        for event in &events {
            self.gate = event.gate.clone();
            let is_boxed = self.is_event_boxed(event);
            if let Some(gate) = plan.header_deprecation(event.definition) {
                mapping.expect_deprecated(&mut self.out, 0, &gate);
            }
            self.emit_from(name, &event.name, &event.name, is_boxed);
        }
        self.gate = Gate::ALWAYS;
    }

    fn emit_read_event(
        &mut self,
        name: &str,
        unknown: &str,
        events: &[&DefinitionPlan<'_, Event>],
    ) {
        let visit = self.visit("Visit");
        let value = self.runtime("", "Value");
        let door = self.plan.options.door.as_str();
        self.line(0, &["impl ", door, "::Event for ", name, " {"]);
        let data = format!("data: &mut {}<'_>", self.visit("Input"));
        let result = format!(
            " -> {}<Self, {}>",
            self.std("Result"),
            self.visit("VisitError")
        );
        let parameters = ["name: &str", &data];
        layout::signature(
            &mut self.out,
            4,
            "fn read_event",
            &parameters,
            &result,
            " {",
        );
        let read = format!("<{value} as {visit}>::read(data)?");
        if events.is_empty() {
            self.line(8, &["Ok(Self::", unknown, " {"]);
            self.line(12, &["name: name.into(),"]);
            layout::field(&mut self.out, 12, "data:", &read);
            self.line(8, &["})"]);
        } else {
            self.line(8, &["Ok(match name {"]);
            for event in events {
                self.attribute(12, &event.gate);
                let pattern = layout::string(event.definition.name());
                let body = format!("Self::{}({visit}::read(data)?)", event.name);
                layout::arm(&mut self.out, 12, &pattern, &body);
            }
            self.line(12, &["_ => Self::", unknown, " {"]);
            self.line(16, &["name: name.into(),"]);
            layout::field(&mut self.out, 16, "data:", &read);
            self.line(12, &["},"]);
            self.line(8, &["})"]);
        }
        self.line(4, &["}"]);
        self.blank();
        self.emit_event_name(unknown, events);
        self.line(0, &["}"]);
        self.blank();
    }

    fn emit_event_name(&mut self, unknown: &str, events: &[&DefinitionPlan<'_, Event>]) {
        self.line(4, &["fn name(&self) -> &str {"]);
        if events.is_empty() {
            self.line(8, &["let Self::", unknown, " { name, .. } = self;"]);
            self.line(8, &["name"]);
            self.line(4, &["}"]);
            return;
        }
        self.line(8, &["match self {"]);
        for event in events {
            self.attribute(12, &event.gate);
            let pattern = format!("Self::{}(_)", event.name);
            let text = layout::string(event.definition.name());
            layout::arm(&mut self.out, 12, &pattern, &text);
        }
        self.line(12, &["Self::", unknown, " { name, .. } => name,"]);
        self.line(8, &["}"]);
        self.line(4, &["}"]);
    }

    fn event_payload(&mut self, event: &DefinitionPlan<'_, Event>) -> String {
        if self.is_event_boxed(event) {
            format!("{}<{}>", self.std_under("Box", &event.gate), event.name)
        } else {
            event.name.clone()
        }
    }

    fn is_event_boxed(&self, event: &DefinitionPlan<'_, Event>) -> bool {
        let shapes = &self.plan.shapes;
        match &event.arguments {
            Arguments::Members(fields) => shapes.is_large_struct(self.plan, fields),
            Arguments::Type(id) => shapes.is_large(*id),
            Arguments::Raw => false,
        }
    }
}
