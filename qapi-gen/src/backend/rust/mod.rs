//! Rust types, commands, events and a dispatcher.
//!
//! Everything is decided in a [`plan`] before the first line is printed; the text is printed in
//! rustfmt's layout directly, which costs a fraction of parsing and formatting it again.

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
mod reach;
mod root;
mod server;
mod shape;
mod structs;
mod unions;
mod writer;

pub use options::{OptionError, Options, Part};

use std::ops::ControlFlow;

use crate::backend::{Backend, Sink};
use crate::diagnostic::Diagnostic;
use crate::ir::{CommandId, Entity, EventId, Schema, TypeId};

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

    /// The Cargo features that the output for `schema` is conditional on, sorted: those of
    /// conditions that the configuration leaves open and that have no predicate of their own.
    ///
    /// # Errors
    ///
    /// As [`Backend::emit`].
    pub fn features(&self, schema: &Schema) -> Result<Vec<String>, Vec<Diagnostic>> {
        let plan = plan::plan(schema, &self.options)?;
        let mut names: Vec<String> = plan::open_names(&plan)
            .into_iter()
            .map(Into::into)
            .collect();
        // Conditions of features that mean nothing to Rust matter there alone.
        if self.options.has(Part::Introspection) {
            names.extend(introspection::open_names(&plan));
        }
        let mapped = &self.options.mapping.predicates;
        let mut features: Vec<String> = names
            .iter()
            .filter(|name| !mapped.contains_key(*name))
            .map(|name| gate::default_feature(name))
            .collect();
        features.sort_unstable();
        features.dedup();
        Ok(features)
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

impl RustBackend {
    /// Where the code for `schema` has its definitions, in the schema's order. What the
    /// configuration excludes is absent, what it leaves open is there.
    ///
    /// # Errors
    ///
    /// As [`Backend::emit`].
    pub fn paths(&self, schema: &Schema) -> Result<Paths, Vec<Diagnostic>> {
        let plan = plan::plan(schema, &self.options)?;
        let mut paths = Paths::default();
        for entity in schema.entities() {
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
        Ok(paths)
    }
}

impl Backend for RustBackend {
    fn emit_to(&self, schema: &Schema, sink: &mut Sink<'_>) -> Result<(), Vec<Diagnostic>> {
        let plan = plan::plan(schema, &self.options)?;
        // Whether all files were wanted is known to who wants them.
        let (ControlFlow::Continue(()) | ControlFlow::Break(())) = root::emit(&plan, sink);
        Ok(())
    }
}
