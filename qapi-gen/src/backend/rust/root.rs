//! The files and what stands in which.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::ir::{Entity, Header, ModuleId};
use crate::output::{MARKER, Out, Relief, WARNING};

use super::gate::Gate;
use super::introspection;
use super::layout;
use super::names::is_imported;
use super::options::Part;
use super::plan::{Body, DefinitionPlan, Plan};
use super::probes;
use super::server;
use super::structs::Struct;
use super::writer::{ModuleWriter, Place};

/// The version of the runtime's module for generated code that the code is for.
const DOOR_VERSION: &str = "1";

/// A module of one of the three folders.
struct FolderModule<'p> {
    name: &'p str,
    gate: Gate,
    /// When it names something deprecated.
    deprecated: Option<Gate>,
}

/// A folder of modules, one for each module of the schema that has something for it.
struct Folder {
    path: &'static str,
    /// What is in it, as its modules say.
    what: &'static str,
    /// The same, as its root says.
    title: &'static str,
}

const TYPES: Folder = Folder {
    path: "types",
    what: "Types",
    title: "Types of the schema.",
};

const COMMANDS: Folder = Folder {
    path: "commands",
    what: "Commands",
    title: "Commands as requests.",
};

const EVENTS: Folder = Folder {
    path: "events",
    what: "Events",
    title: "Events.",
};

/// All folders that there may be.
pub(super) const FOLDERS: [&str; 3] = [TYPES.path, COMMANDS.path, EVENTS.path];

/// All files, each made when it is handed over; a folder's `mod.rs` after its modules, since it says when they are there.
pub(super) fn emit(plan: &Plan<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    let has = |part| plan.options.has(part);
    let mut server_deprecated = None;
    if has(Part::Introspection) {
        let schema = introspection::data(plan);
        let reference = schema.reference();
        out.begin("introspection.rs");
        out.push(&header(plan, "What `query-qmp-schema` returns."));
        schema.emit(plan, out);
        drop(schema);
        out.end()?;
        if has(Part::Server) {
            out.begin("server.rs");
            let header = header(plan, "Serving the commands.");
            let write = |writer: &mut ModuleWriter<'_, '_>| server::emit(writer, reference);
            let gates = print_module(plan, out, Place::Server, &[], &header, write);
            server_deprecated = gates.and_then(|gates| gates.deprecated);
            out.end()?;
        }
    }
    if plan.options.probes {
        out.begin("probes.rs");
        let title = "Paths of what the schema has, for `PeerSchema::has`.";
        out.push(&header(plan, title));
        probes::emit(plan.schema, out);
        out.end()?;
    }
    out.file("mod.rs", &root(plan, server_deprecated.as_ref()))?;
    emit_folder(plan, out, &TYPES, Place::Types, write_types)?;
    if has(Part::Commands) {
        emit_folder(plan, out, &COMMANDS, |_| Place::Commands, write_commands)?;
    }
    if has(Part::Events) {
        emit_folder(plan, out, &EVENTS, |_| Place::Events, write_events)?;
    }
    ControlFlow::Continue(())
}

/// The modules of a folder and its `mod.rs`.
fn emit_folder(
    plan: &Plan<'_>,
    out: &mut Out<'_>,
    folder: &Folder,
    place: impl Fn(ModuleId) -> Place,
    write: impl Fn(&mut ModuleWriter<'_, '_>, &[Entity]),
) -> ControlFlow<()> {
    let mut parts = Vec::new();
    for (index, module) in plan.schema.modules().iter().enumerate() {
        let name = plan.modules[index].as_str();
        out.begin(format!("{}/{name}.rs", folder.path));
        let header = header(plan, &format!("{} of `{}`.", folder.what, module.name()));
        let entities = module.entities();
        let write = |writer: &mut ModuleWriter<'_, '_>| write(writer, entities);
        let place = place(ModuleId::new(index));
        let gates = print_module(plan, out, place, entities, &header, write);
        let Some(Gates { all, deprecated }) = gates else {
            continue;
        };
        out.end()?;
        parts.push(FolderModule {
            name,
            gate: all,
            deprecated,
        });
    }
    parts.sort_by_key(|part| part.name);
    out.begin(format!("{}/mod.rs", folder.path));
    let root = folder_root(plan, folder.title, &parts);
    if folder.path == EVENTS.path {
        let write = |writer: &mut ModuleWriter<'_, '_>| {
            writer.begin_item(&Gate::ALWAYS);
            writer.emit_event_enum();
        };
        print_module(plan, out, Place::EventsRoot, &[], &root, write);
    } else {
        out.push(&root);
    }
    out.end()
}

/// When a module is there.
struct Gates {
    all: Gate,
    /// When it names something deprecated.
    deprecated: Option<Gate>,
}

/// A module after `header`; nothing if `write` writes nothing. `write` may be called twice.
fn print_module<'a>(
    plan: &Plan<'a>,
    out: &mut Out<'_>,
    place: Place,
    entities: &[Entity],
    header: &str,
    write: impl Fn(&mut ModuleWriter<'_, 'a>),
) -> Option<Gates> {
    let mut writer = ModuleWriter::new(plan, place, locals(plan, place, entities));
    write(&mut writer);
    if !writer.has_items() {
        return None;
    }
    let gates = Gates {
        all: writer.module_gate(),
        deprecated: writer.deprecated_gate(),
    };
    let (head, links) = writer.head();
    out.push(header);
    out.push(&head);
    // There is no blank line after the last item of the file.
    let mut blanks = String::new();
    let mut push = |text: &str| {
        let text = links.print(text);
        let trimmed = text.trim_end_matches('\n');
        out.push(&blanks);
        out.push(trimmed);
        blanks.clear();
        blanks.push_str(&text[trimmed.len()..]);
    };
    let rest = if writer.has_dropped() {
        drop(writer);
        let again = ModuleWriter::new(plan, place, locals(plan, place, entities));
        let mut again = again.with_relief(Relief::to(&mut push));
        write(&mut again);
        std::mem::take(&mut again.out)
    } else {
        writer.out
    };
    push(&rest);
    out.push("\n");
    Some(gates)
}

/// What a module defines of the names that it may import.
fn locals<'p>(plan: &'p Plan<'_>, place: Place, entities: &[Entity]) -> HashSet<&'p str> {
    let mut names = HashSet::new();
    let mut add = |name: Option<&'p str>| names.extend(name.filter(|name| is_imported(name)));
    for entity in entities {
        match (entity, place) {
            (Entity::Type(id), Place::Types(_)) => {
                let ty = plan.ty(*id);
                add(ty.map(|ty| ty.name.as_str()));
                add(ty.and_then(|ty| ty.branches_name()));
            }
            (Entity::Command(id), Place::Commands) => {
                let command = plan.commands[id.index()].as_ref();
                add(command.map(|plan| plan.name.as_str()));
            }
            (Entity::Event(id), Place::Events) => {
                let event = plan.events[id.index()].as_ref();
                add(event.map(|plan| plan.name.as_str()));
            }
            _ => {}
        }
    }
    if place == Place::EventsRoot {
        let events = plan.events.iter().flatten();
        events.for_each(|event| add(Some(&event.name)));
        add(Some(&plan.event_enum));
    }
    names
}

fn write_types(writer: &mut ModuleWriter<'_, '_>, entities: &[Entity]) {
    let plan = writer.plan;
    for entity in entities {
        let Entity::Type(id) = entity else { continue };
        let Some(ty) = plan.ty(*id) else { continue };
        if matches!(ty.body, Body::Replaced(_)) {
            continue;
        }
        writer.begin_item(&ty.gate);
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
}

fn write_commands(writer: &mut ModuleWriter<'_, '_>, entities: &[Entity]) {
    let plan = writer.plan;
    for entity in entities {
        let Entity::Command(id) = entity else {
            continue;
        };
        let Some(command) = &plan.commands[id.index()] else {
            continue;
        };
        writer.begin_item(&command.gate);
        writer.emit_command(command);
    }
}

fn write_events(writer: &mut ModuleWriter<'_, '_>, entities: &[Entity]) {
    let plan = writer.plan;
    for entity in entities {
        let Entity::Event(id) = entity else { continue };
        let Some(event) = &plan.events[id.index()] else {
            continue;
        };
        writer.begin_item(&event.gate);
        writer.emit_event(event);
    }
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
    // The last word is what other tools look for.
    let command = one_line(&options.command);
    let mut header = format!("// {MARKER} `{command}`{WARNING} @generated\n");
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

/// `mod.rs` of a folder.
fn folder_root(plan: &Plan<'_>, title: &str, parts: &[FolderModule<'_>]) -> String {
    let mut text = header(plan, title);
    let mapping = &plan.options.mapping;
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    for (n, part) in parts.iter().enumerate() {
        if n == 0 || keeps_apart(names[n - 1], names[n]) {
            text.push('\n');
        }
        mapping.attribute(&mut text, 0, &part.gate);
        if let Some(gate) = &part.deprecated {
            mapping.expect_deprecated(&mut text, 0, gate);
        }
        layout::line(&mut text, 0, &["mod ", part.name, ";"]);
    }
    for (n, part) in parts.iter().enumerate() {
        if n == 0 || keeps_apart(names[n - 1], names[n]) {
            text.push('\n');
        }
        mapping.attribute(&mut text, 0, &part.gate);
        layout::line(&mut text, 0, &["pub use self::", part.name, "::*;"]);
    }
    text
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
    let door = plan.options.door.as_str();
    layout::line(
        &mut text,
        0,
        &[door, "::generated_for!(", DOOR_VERSION, ");"],
    );
    text.push('\n');
    let has = |part| plan.options.has(part);
    let modules = [
        ("commands", has(Part::Commands), None),
        ("events", has(Part::Events), None),
        ("introspection", has(Part::Introspection), None),
        ("probes", plan.options.probes, None),
        ("server", has(Part::Server), server_deprecated),
    ];
    for (name, _, deprecated) in modules.into_iter().filter(|(_, is_there, _)| *is_there) {
        if let Some(gate) = deprecated {
            plan.options.mapping.expect_deprecated(&mut text, 0, gate);
        }
        layout::line(&mut text, 0, &[visibility, " mod ", name, ";"]);
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
    // A name that would mean two things is found in its own module alone; types stay in this one.
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
        let plain: Vec<&str> = plain.iter().map(|export| export.name).collect();
        layout::use_list(text, &head, &path, &plain);
        text.push('\n');
    }
    for export in others {
        let mapping = &plan.options.mapping;
        mapping.attribute(text, 0, &export.gate);
        if let Some(gate) = &export.deprecated {
            mapping.expect_deprecated(text, 0, gate);
        }
        layout::use_list(text, &head, &path, &[export.name]);
        text.push('\n');
    }
}
