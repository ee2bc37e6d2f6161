//! The files and what stands in which.

use std::collections::HashSet;

use crate::backend::Emission;
use crate::ir::{Entity, Header, ModuleId};
use crate::output::{MARKER, WARNING};

use super::gate::Gate;
use super::introspection;
use super::layout;
use super::options::Part;
use super::plan::{Body, DefinitionPlan, Plan};
use super::server;
use super::structs::Struct;
use super::writer::{ModuleWriter, Place};

/// A module of one of the three folders.
struct FolderModule {
    name: String,
    gate: Gate,
    /// When it names something deprecated.
    deprecated: Option<Gate>,
    contents: String,
}

/// All files.
pub(super) fn emit(plan: &Plan<'_>) -> Emission {
    let mut types = Vec::new();
    let mut commands = Vec::new();
    let mut events = Vec::new();
    let has = |part| plan.options.has(part);
    for (index, module) in plan.schema.modules().iter().enumerate() {
        let rust = plan.modules[index].as_str();
        let part = |what: &str, writer: ModuleWriter<'_, '_>| {
            finish_part(
                plan,
                rust,
                &format!("{what} of `{}`.", module.name()),
                writer,
            )
        };
        types.extend(part("Types", types_of(plan, ModuleId::new(index))));
        let entities = module.entities();
        if has(Part::Commands) {
            commands.extend(part("Commands", commands_of(plan, entities)));
        }
        if has(Part::Events) {
            events.extend(part("Events", events_of(plan, entities)));
        }
    }
    let schema = has(Part::Introspection).then(|| introspection::data(plan));
    let server = schema.as_ref().filter(|_| has(Part::Server)).map(|schema| {
        let header = header(plan, "Serving the commands.");
        server::emit(plan, &header, schema.reference())
    });
    let mut emission = Emission::new();
    let server_deprecated = server.as_ref().and_then(|(_, gate)| gate.as_ref());
    emission.push("mod.rs", root(plan, server_deprecated));
    push_folder(
        plan,
        &mut emission,
        "types",
        "Types of the schema.",
        types,
        String::new(),
    );
    if has(Part::Commands) {
        push_folder(
            plan,
            &mut emission,
            "commands",
            "Commands as requests.",
            commands,
            String::new(),
        );
    }
    if has(Part::Events) {
        let event_enum = event_enum(plan);
        push_folder(plan, &mut emission, "events", "Events.", events, event_enum);
    }
    if let Some((server, _)) = server {
        emission.push("server.rs", server);
    }
    if let Some(schema) = schema {
        let header = header(plan, "What `query-qmp-schema` returns.");
        emission.push("introspection.rs", schema.emit(plan, header));
    }
    emission
}

/// The enum of all events.
fn event_enum(plan: &Plan<'_>) -> String {
    let names = plan
        .event_names
        .iter()
        .map(String::as_str)
        .chain([plan.event_enum.as_str()]);
    let mut writer = ModuleWriter::new(plan, Place::EventsRoot, names.collect());
    writer.blank();
    writer.emit_event_enum();
    writer.finish("")
}

/// The names that a module defines.
fn locals<'p>(plan: &'p Plan<'_>, entities: &[Entity], place: Place) -> HashSet<&'p str> {
    let mut names = HashSet::new();
    for entity in entities {
        match (entity, place) {
            (Entity::Type(id), Place::Types(_)) => {
                let ty = plan.ty(*id);
                names.extend(ty.map(|ty| ty.name.as_str()));
                names.extend(ty.and_then(|ty| ty.branches_name()));
            }
            (Entity::Command(id), Place::Commands) => {
                names.extend(
                    plan.commands[id.index()]
                        .as_ref()
                        .map(|plan| plan.name.as_str()),
                );
            }
            (Entity::Event(id), Place::Events) => {
                names.extend(
                    plan.events[id.index()]
                        .as_ref()
                        .map(|plan| plan.name.as_str()),
                );
            }
            _ => {}
        }
    }
    names
}

fn types_of<'p, 'a>(plan: &'p Plan<'a>, module: ModuleId) -> ModuleWriter<'p, 'a> {
    let mut writer = ModuleWriter::new(
        plan,
        Place::Types(module),
        locals(
            plan,
            plan.schema.module(module).entities(),
            Place::Types(module),
        ),
    );
    for entity in plan.schema.module(module).entities() {
        let Entity::Type(id) = entity else { continue };
        let Some(ty) = plan.ty(*id) else { continue };
        if matches!(ty.body, Body::Replaced(_)) {
            continue;
        }
        writer.begin_item(&ty.gate);
        writer.blank_before_item();
        match &ty.body {
            Body::Replaced(_) => {}
            Body::Enum(values, unknown) => writer.emit_enum(ty, values, unknown),
            Body::Union(union) => writer.emit_union(ty, union),
            Body::Alternate(variants) => writer.emit_alternate(ty, variants),
            Body::Struct(fields) => {
                writer.emit_struct(&Struct {
                    name: &ty.name,
                    schema_name: ty.ty.name(),
                    summary: format!("Struct `{}`.", ty.ty.name()),
                    doc: ty.ty.doc(),
                    fields,
                    id: Some(*id),
                    tag: None,
                    deprecated: None,
                });
                writer.emit_members(&ty.name, fields);
                writer.emit_serde(&ty.name);
            }
        }
    }
    writer
}

fn commands_of<'p, 'a>(plan: &'p Plan<'a>, entities: &[Entity]) -> ModuleWriter<'p, 'a> {
    let mut writer = ModuleWriter::new(
        plan,
        Place::Commands,
        locals(plan, entities, Place::Commands),
    );
    for entity in entities {
        let Entity::Command(id) = entity else {
            continue;
        };
        let Some(command) = &plan.commands[id.index()] else {
            continue;
        };
        writer.begin_item(&command.gate);
        writer.blank_before_item();
        writer.emit_command(command);
    }
    writer
}

fn events_of<'p, 'a>(plan: &'p Plan<'a>, entities: &[Entity]) -> ModuleWriter<'p, 'a> {
    let mut writer = ModuleWriter::new(plan, Place::Events, locals(plan, entities, Place::Events));
    for entity in entities {
        let Entity::Event(id) = entity else { continue };
        let Some(event) = &plan.events[id.index()] else {
            continue;
        };
        writer.begin_item(&event.gate);
        writer.blank_before_item();
        writer.emit_event(event);
    }
    writer
}

fn finish_part(
    plan: &Plan<'_>,
    rust: &str,
    title: &str,
    writer: ModuleWriter<'_, '_>,
) -> Option<FolderModule> {
    if writer.out.is_empty() {
        return None;
    }
    let gate = writer.module_gate();
    let deprecated = writer.deprecated_gate();
    let contents = end_with_one_newline(writer.finish(&header(plan, title)));
    Some(FolderModule {
        name: rust.to_owned(),
        gate,
        deprecated,
        contents,
    })
}

fn end_with_one_newline(mut text: String) -> String {
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The comment at the top of a file, and the doc of its module.
fn header(plan: &Plan<'_>, title: &str) -> String {
    let options = plan.options;
    let one_line = |text: &str| text.replace(|ch: char| ch.is_control(), " ");
    let mut header = format!("// {MARKER} `{}`{WARNING}\n", one_line(&options.command));
    if let Some(licence) = &options.licence {
        header.push_str("// SPDX-License-Identifier: ");
        header.push_str(&one_line(licence));
        header.push('\n');
    }
    header.push_str("\n//! ");
    header.push_str(&one_line(title));
    header.push('\n');
    header
}

/// `mod.rs` of a folder and the modules in it.
fn push_folder(
    plan: &Plan<'_>,
    emission: &mut Emission,
    folder: &str,
    title: &str,
    mut parts: Vec<FolderModule>,
    items: String,
) {
    parts.sort_by(|left, right| left.name.cmp(&right.name));
    let mut text = header(plan, title);
    let mapping = &plan.options.mapping;
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    for (n, part) in parts.iter().enumerate() {
        if n == 0 || keeps_apart(names[n - 1], names[n]) {
            text.push('\n');
        }
        mapping.attribute(&mut text, 0, &part.gate);
        if let Some(gate) = &part.deprecated {
            mapping.expect_deprecated(&mut text, 0, gate);
        }
        layout::line(&mut text, 0, &["mod ", &part.name, ";"]);
    }
    for (n, part) in parts.iter().enumerate() {
        if n == 0 || keeps_apart(names[n - 1], names[n]) {
            text.push('\n');
        }
        mapping.attribute(&mut text, 0, &part.gate);
        layout::line(&mut text, 0, &["pub use self::", &part.name, "::*;"]);
    }
    text.push_str(&items);
    emission.push(format!("{folder}/mod.rs"), end_with_one_newline(text));
    for part in parts {
        emission.push(format!("{folder}/{}.rs", part.name), part.contents);
    }
}

/// Whether a blank line must keep rustfmt from sorting two neighbours: its editions sort digits
/// and underscores in different ways.
fn keeps_apart(left: &str, right: &str) -> bool {
    let is_plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    };
    !is_plain(left) || !is_plain(right)
}

/// The root module.
fn root(plan: &Plan<'_>, server_deprecated: Option<&Gate>) -> String {
    let visibility = plan.options.visibility.as_str();
    let main = plan
        .schema
        .modules()
        .iter()
        .find(|module| !module.is_builtin());
    let title = match main {
        Some(main) => format!("The schema `{}`: types, commands and events.", main.name()),
        None => "A schema: types, commands and events.".to_owned(),
    };
    let mut text = header(plan, &title);
    text.push('\n');
    let parts = [
        (Part::Commands, None),
        (Part::Events, None),
        (Part::Introspection, None),
        (Part::Server, server_deprecated),
    ];
    for (part, deprecated) in parts {
        if !plan.options.has(part) {
            continue;
        }
        if let Some(gate) = deprecated {
            plan.options.mapping.expect_deprecated(&mut text, 0, gate);
        }
        layout::line(&mut text, 0, &[visibility, " mod ", part.as_str(), ";"]);
    }
    layout::line(&mut text, 0, &["mod types;"]);
    text.push('\n');
    let types: HashSet<&str> = plan
        .types
        .iter()
        .flatten()
        .filter(|ty| !matches!(ty.body, Body::Replaced(_)))
        .flat_map(|ty| std::iter::once(ty.name.as_str()).chain(ty.branches_name()))
        .collect();
    let commands = match plan.options.has(Part::Commands) {
        true => exports(plan, &plan.commands),
        false => Vec::new(),
    };
    let events = match plan.options.has(Part::Events) {
        true => exports(plan, &plan.events),
        false => Vec::new(),
    };
    let command_names: HashSet<&str> = commands.iter().map(|export| export.name).collect();
    let event_names: HashSet<&str> = events.iter().map(|export| export.name).collect();
    let is_known = |name: &str| {
        types.contains(name) || command_names.contains(name) || event_names.contains(name)
    };
    let always = |name| Export {
        name,
        gate: Gate::ALWAYS,
        deprecated: None,
    };
    let own_event = plan.event_enum.as_str();
    let own_event =
        (plan.options.has(Part::Events) && !is_known(own_event)).then(|| always(own_event));
    let server = ["Commands", "Dispatcher"].into_iter();
    let server = server
        .filter(|name| plan.options.has(Part::Server) && !is_known(name))
        .map(always);
    // What would mean two things is found in its own module alone; but for types, which are here.
    let commands = commands.into_iter();
    let commands = commands
        .filter(|export| !types.contains(export.name) && !event_names.contains(export.name));
    let events = events.into_iter();
    let events = events
        .filter(|export| !types.contains(export.name) && !command_names.contains(export.name));
    push_exports(plan, &mut text, "commands", commands.collect());
    push_exports(plan, &mut text, "events", events.chain(own_event).collect());
    push_exports(plan, &mut text, "server", server.collect());
    if !types.is_empty() {
        layout::line(&mut text, 0, &[visibility, " use self::types::*;"]);
    }
    end_with_one_newline(text)
}

/// A name that the root module shows.
struct Export<'p> {
    name: &'p str,
    gate: Gate,
    deprecated: Option<Gate>,
}

/// The Rust names of commands or events.
fn exports<'p, T: std::ops::Deref<Target = Header>>(
    plan: &Plan<'_>,
    definitions: &'p [Option<DefinitionPlan<'_, T>>],
) -> Vec<Export<'p>> {
    let export = |definition: &'p DefinitionPlan<'_, T>| Export {
        name: &definition.name,
        gate: definition.gate.clone(),
        deprecated: plan.header_deprecation(definition.definition),
    };
    definitions.iter().flatten().map(export).collect()
}

/// `pub use` of the names of one module: one list of those that are always there, the others alone.
fn push_exports(plan: &Plan<'_>, text: &mut String, module: &str, mut exports: Vec<Export<'_>>) {
    exports.sort_by_key(|export| export.name);
    let is_plain = |export: &Export<'_>| {
        export.gate.is_always()
            && export.deprecated.is_none()
            && export.name.bytes().all(|byte| byte.is_ascii_alphabetic())
            // One edition of rustfmt takes it for a constant, which goes last.
            && export.name.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    let (plain, others): (Vec<_>, Vec<_>) = exports.into_iter().partition(is_plain);
    let head = format!("{} use ", plan.options.visibility);
    let path = format!("self::{module}");
    if !plain.is_empty() {
        let plain: Vec<String> = plain.iter().map(|export| export.name.to_owned()).collect();
        layout::use_list(text, &head, &path, &plain);
        text.push('\n');
    }
    for export in others {
        let mapping = &plan.options.mapping;
        mapping.attribute(text, 0, &export.gate);
        if let Some(gate) = &export.deprecated {
            mapping.expect_deprecated(text, 0, gate);
        }
        layout::use_list(text, &head, &path, &[export.name.to_owned()]);
        text.push('\n');
    }
}
