//! Events: the data of each as a server emits it, and the enum of all as a client receives them.

use crate::ir::Event;

use super::gate::Gate;
use super::layout;
use super::plan::{Arguments, DefinitionPlan, catch_all, header_policies};
use super::template::{lines, rust};
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// The data type of an event with its impls.
    pub(super) fn emit_event(&mut self, plan: &DefinitionPlan<'_, Event>) {
        let event = plan.definition;
        let (name, arguments) = (plan.name.as_str(), &plan.arguments);
        self.emit_arguments(name, event, "Event", arguments, event.doc());
        let policies = header_policies(self.plan, event.features());
        let policies = lines(|w| {
            for case in policies.iter() {
                w.under(&case.gate, |w| {
                    let Some(policy) = w.policy(case) else { return };
                    rust!(
                        w,
                        "
                        $cfg
                        const SPECIAL_FEATURES: $SpecialFeatures = $policy;
                        ",
                        policy,
                    );
                });
            }
        });
        let has_data = lines(|w| {
            if event.arguments().is_none() {
                rust!(w, "const HAS_DATA: bool = false;");
            }
        });
        rust!(
            self,
            "
            $cfg
            impl $EventData for $name {
                const NAME: &'static str = $event;
                $policies
                $has_data
            }

            ",
            name,
            event = layout::string(event.name()),
            policies,
            has_data,
        );
        self.emit_serde(name);
    }

    /// The enum of all events.
    pub(super) fn emit_event_enum(&mut self) {
        let plan = self.plan;
        let events: Vec<_> = plan.events.iter().flatten().collect();
        let name = plan.event_enum.as_str();
        let deprecated = events
            .iter()
            .filter_map(|event| Some(event.gate.and(&plan.header_deprecation(event.definition)?)));
        let deprecated: Vec<Gate> = deprecated.collect();
        let expect = lines(|w| {
            if !deprecated.is_empty() {
                w.expect_deprecated(&Gate::any(&deprecated));
            }
        });
        let unknown = &catch_all(|name| events.iter().any(|event| event.name == name));
        let variants = lines(|w| {
            for event in &events {
                w.under(&event.gate, |w| {
                    let payload = w.event_payload(event);
                    rust!(
                        w,
                        "
                        /// `$event`
                        $cfg
                        $name($payload),
                        ",
                        event = event.definition.name(),
                        name = &event.name,
                        payload,
                    );
                });
                w.relieve();
            }
        });
        rust!(
            self,
            "
            /// An event as a client receives it.
            $expect
            #[derive(Debug, Clone, PartialEq)]
            pub enum $name {
                $variants
                /// An event that this schema does not have.
                $unknown {
                    /// Its name.
                    name: $Box<str>,
                    /// Its data.
                    data: $Value,
                },
            }

            ",
            expect,
            name,
            variants,
            unknown,
        );
        if events.is_empty() {
            self.emit_no_event(name, unknown);
        } else {
            self.emit_some_event(name, unknown, &events);
        }
        for event in &events {
            self.under(&event.gate, |w| {
                if let Some(gate) = plan.header_deprecation(event.definition) {
                    w.expect_deprecated(&gate);
                }
                w.emit_from(name, &event.name, &event.name, w.is_event_boxed(event));
            });
        }
    }

    /// How the enum is read where the schema has events.
    fn emit_some_event(
        &mut self,
        name: &str,
        unknown: &str,
        events: &[&DefinitionPlan<'_, Event>],
    ) {
        let read = lines(|w| {
            for event in events {
                w.attribute(&event.gate);
                rust!(
                    w,
                    "$event => Self::$name($Visit::read(data)?),",
                    event = layout::string(event.definition.name()),
                    name = &event.name,
                );
                w.relieve();
            }
        });
        let names = lines(|w| {
            for event in events {
                w.attribute(&event.gate);
                rust!(
                    w,
                    "Self::$name(_) => $event,",
                    name = &event.name,
                    event = layout::string(event.definition.name()),
                );
                w.relieve();
            }
        });
        rust!(
            self,
            "
            impl $door::Event for $name {
                fn read_event(name: &str, data: &mut $Input<'_>) -> $Result<Self, $VisitError> {
                    Ok(match name {
                        $read
                        _ => Self::$unknown {
                            name: name.into(),
                            data: <$Value as $Visit>::read(data)?,
                        },
                    })
                }

                fn name(&self) -> &str {
                    match self {
                        $names
                        Self::$unknown { name, .. } => name,
                    }
                }
            }

            ",
            name,
            read,
            unknown,
            names,
        );
    }

    /// The same for an event without data.
    fn emit_no_event(&mut self, name: &str, unknown: &str) {
        rust!(
            self,
            "
            impl $door::Event for $name {
                fn read_event(name: &str, data: &mut $Input<'_>) -> $Result<Self, $VisitError> {
                    Ok(Self::$unknown {
                        name: name.into(),
                        data: <$Value as $Visit>::read(data)?,
                    })
                }

                fn name(&self) -> &str {
                    let Self::$unknown { name, .. } = self;
                    name
                }
            }

            ",
            name,
            unknown,
        );
    }

    fn event_payload(&mut self, event: &DefinitionPlan<'_, Event>) -> String {
        if self.is_event_boxed(event) {
            format!("{}<{}>", self.known("Box"), event.name)
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
