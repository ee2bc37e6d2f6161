//! Commands and events.

use crate::ir::{Command, DocId, Event, TypeId};

use super::super::names;
use super::{Arguments, DefinitionPlan, Holder, Planner};

impl<'a> Planner<'a> {
    pub(super) fn commands(&mut self) -> Vec<Option<DefinitionPlan<'a, Command>>> {
        let schema = self.schema;
        let mut plans = Vec::new();
        for command in schema.commands() {
            plans.push(self.reduce(command.condition()).map(|gate| {
                let arguments = if command.is_generated() {
                    self.arguments(command.arguments(), command.doc(), Holder::Command)
                } else {
                    Arguments::Raw
                };
                let name = names::definition(command.name());
                DefinitionPlan {
                    definition: command,
                    name,
                    gate,
                    arguments,
                }
            }));
        }
        let there: Vec<&DefinitionPlan<'_, Command>> = plans.iter().flatten().collect();
        self.check_distinct("command", there.len(), |index| {
            let DefinitionPlan {
                name, definition, ..
            } = there[index];
            (name.into(), definition.name(), definition.name_span())
        });
        if self.errors.is_empty() {
            self.check_distinct("command", there.len(), |index| {
                let definition = there[index].definition;
                let method = names::field(definition.name());
                (method.into(), definition.name(), definition.name_span())
            });
        }
        plans
    }

    pub(super) fn events(&mut self) -> Vec<Option<DefinitionPlan<'a, Event>>> {
        let schema = self.schema;
        let mut plans = Vec::new();
        for event in schema.events() {
            plans.push(self.reduce(event.condition()).map(|gate| DefinitionPlan {
                definition: event,
                name: names::definition(event.name()),
                gate,
                arguments: self.arguments(event.arguments(), event.doc(), Holder::Event(event)),
            }));
        }
        let there: Vec<&DefinitionPlan<'_, Event>> = plans.iter().flatten().collect();
        self.check_distinct("event", there.len(), |index| {
            let DefinitionPlan {
                name, definition, ..
            } = there[index];
            (name.into(), definition.name(), definition.name_span())
        });
        plans
    }

    fn arguments(
        &mut self,
        id: Option<TypeId>,
        doc: Option<DocId>,
        holder: Holder<'_>,
    ) -> Arguments<'a> {
        match id {
            None => Arguments::Members(Vec::new()),
            Some(id) if self.schema.ty(id).is_named() => Arguments::Type(id),
            Some(id) => Arguments::Members(self.fields(id, doc, holder)),
        }
    }
}
