//! Rust types, commands, events and a dispatcher.
//!
//! Everything is decided in a plan before the first line is printed. What is printed are templates,
//! pieces of Rust with placeholders, in rustfmt's layout; to parse and format it again would cost
//! many times as much.

mod alternates;
mod commands;
mod docs;
mod enums;
mod events;
mod gate;
mod introspection;
mod layout;
mod names;
mod options;
mod plan;
mod probes;
mod root;
mod server;
mod structs;
mod template;
mod unions;
mod writer;

pub use options::{Handlers, OptionError, Options, Part};

use std::fmt;

use crate::ir::{CommandId, Entity, EventId, Schema, TypeId};
use crate::outcome::Rejected;
use crate::output::Files;

use self::plan::Plan;

/// The Rust backend.
#[derive(Debug, Clone, Default)]
pub struct RustBackend {
    options: Options,
}

impl RustBackend {
    /// A backend with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Decides about everything that is generated for `schema`.
    ///
    /// # Errors
    ///
    /// All of the schema that Rust cannot express.
    pub fn generate<'s>(&'s self, schema: &'s Schema) -> Result<Generated<'s>, Rejected> {
        match plan::plan(schema, &self.options) {
            Ok(plan) => Ok(Generated { plan }),
            Err(diagnostics) => Err(Rejected::by_output(schema, diagnostics)),
        }
    }
}

/// What the definitions of a schema are called in Rust: paths below the root module, for those
/// who generate more code around it.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    /// Types that are generated.
    pub types: Vec<(TypeId, String)>,
    /// Requests.
    pub commands: Vec<(CommandId, String)>,
    /// The data of events.
    pub events: Vec<(EventId, String)>,
}

/// The code for a schema: nothing can go wrong with it any more, and nothing is printed yet.
pub struct Generated<'s> {
    plan: Plan<'s>,
}

impl fmt::Debug for Generated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generated").finish_non_exhaustive()
    }
}

impl Generated<'_> {
    /// The files.
    #[must_use]
    pub fn files(&self) -> Files<'_> {
        Files::new(&root::FOLDERS, |out| root::emit(&self.plan, out))
    }

    /// The Cargo features that the code is conditional on, sorted: those of conditions that the configuration leaves
    /// open and that have no predicate of their own.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        let options = self.plan.options;
        let mut names: Vec<String> = plan::open_names(&self.plan)
            .into_iter()
            .map(Into::into)
            .collect();
        // Conditions of features that mean nothing to Rust matter there alone.
        if options.has(Part::Introspection) {
            names.extend(introspection::open_names(&self.plan));
        }
        let mapped = &options.mapping.predicates;
        let mut features: Vec<String> = names
            .iter()
            .filter(|name| !mapped.contains_key(*name))
            .map(|name| gate::default_feature(name))
            .collect();
        features.sort_unstable();
        features.dedup();
        features
    }

    /// Where the definitions are, in the schema's order. What the configuration excludes is absent, what it leaves open
    /// is there.
    #[must_use]
    pub fn paths(&self) -> Paths {
        let plan = &self.plan;
        let mut paths = Paths::default();
        for entity in plan.schema.entities() {
            match *entity {
                Entity::Include(_) => {}
                Entity::Type(id) => {
                    let ty = plan.ty(id);
                    let ty = ty.filter(|ty| !matches!(ty.body, plan::Body::Replaced(_)));
                    paths.types.extend(ty.map(|ty| (id, ty.name.clone())));
                }
                Entity::Command(id) => {
                    let command = plan.commands[id.index()].as_ref();
                    let path = command.map(|command| format!("commands::{}", command.name));
                    paths.commands.extend(path.map(|path| (id, path)));
                }
                Entity::Event(id) => {
                    let event = plan.events[id.index()].as_ref();
                    let path = event.map(|event| format!("events::{}", event.name));
                    paths.events.extend(path.map(|path| (id, path)));
                }
            }
        }
        paths
    }
}
