//! Constants for all that a schema has: the paths by which `PeerSchema` of the runtime finds it.
//!
//! A type is in many places. Its members have the path of the one with the fewest steps, those of arguments first, then of events, then
//! of results. Conditions do not matter: who asks wants to know whether a thing is there.

use std::collections::{HashSet, VecDeque};

use crate::ir::{Feature, Header, Object, ObjectKind, Schema, TypeId, TypeKind};
use crate::output::Out;

use super::layout;
use super::names;

/// The longest way to a type, in members and branches. What is further away is found by name.
const MAX_STEPS: usize = 32;

/// A constant.
struct Constant {
    /// What it is, and its name.
    doc: String,
    name: String,
    path: String,
}

/// The constants of one definition, which has this name.
struct Group<'s> {
    name: &'s str,
    constants: Vec<Constant>,
}

/// A type to be looked at.
struct Place {
    ty: TypeId,
    path: String,
    n_steps: usize,
    /// Which command or event led there.
    root: usize,
}

struct Walk<'s> {
    schema: &'s Schema,
    is_met: Vec<bool>,
    queue: VecDeque<Place>,
    commands: Vec<Group<'s>>,
    events: Vec<Group<'s>>,
    types: Vec<Group<'s>>,
}

/// The module behind its header.
pub(super) fn emit(schema: &Schema, out: &mut Out<'_>) {
    let mut walk = Walk {
        schema,
        is_met: vec![false; schema.types().count()],
        queue: VecDeque::new(),
        commands: Vec::new(),
        events: Vec::new(),
        types: Vec::new(),
    };
    walk.run();
    let of_header = |kind: &str, header: &Header| Constant {
        doc: format!("{kind} `{}`.", header.name()),
        name: header.name().to_owned(),
        path: header.name().to_owned(),
    };
    let commands = schema.commands().iter();
    let commands: Vec<_> = commands.map(|it| of_header("Command", it)).collect();
    let events = schema.events().iter();
    let events: Vec<_> = events.map(|it| of_header("Event", it)).collect();
    let mut all = Vec::new();
    for (name, doc, constants, groups) in [
        ("commands", "Commands.", commands, walk.commands),
        ("events", "Events.", events, walk.events),
        (
            "types",
            "Types, each where it is found first.",
            Vec::new(),
            walk.types,
        ),
    ] {
        push_module(out, name, doc, constants, groups, &mut all);
    }
    push_all(out, &all);
}

impl<'s> Walk<'s> {
    fn run(&mut self) {
        for (root, command) in self.schema.commands().iter().enumerate() {
            let path = command.name().to_owned();
            self.commands.push(Group {
                name: command.name(),
                constants: features(command.features(), "", &path).collect(),
            });
            self.meet(command.arguments(), format!("{path}/arguments"), 0, root);
        }
        self.follow();
        for (root, event) in self.schema.events().iter().enumerate() {
            let path = event.name().to_owned();
            self.events.push(Group {
                name: event.name(),
                constants: features(event.features(), "", &path).collect(),
            });
            self.meet(event.arguments(), format!("{path}/data"), 0, root);
        }
        self.follow();
        for (root, command) in self.schema.commands().iter().enumerate() {
            self.meet(
                command.returns(),
                format!("{}/returns", command.name()),
                0,
                root,
            );
        }
        self.follow();
    }

    fn meet(&mut self, ty: Option<TypeId>, path: String, n_steps: usize, root: usize) {
        let Some(ty) = ty.filter(|_| n_steps <= MAX_STEPS) else {
            return;
        };
        if !std::mem::replace(&mut self.is_met[ty.index()], true) {
            self.queue.push_back(Place {
                ty,
                path,
                n_steps,
                root,
            });
        }
    }

    fn follow(&mut self) {
        while let Some(Place {
            ty: id,
            path,
            n_steps,
            root,
        }) = self.queue.pop_front()
        {
            let ty = self.schema.ty(id);
            let mut constants: Vec<_> = features(ty.features(), "", &path).collect();
            match ty.kind() {
                TypeKind::Builtin(_) => continue,
                TypeKind::Array(element) => {
                    self.meet(Some(*element), path, n_steps, root);
                    continue;
                }
                TypeKind::Enum(values) => {
                    for value in values.values() {
                        let path = format!("{path}={}", value.name());
                        let features = features(value.features(), value.name(), &path);
                        constants.push(Constant {
                            doc: format!("Value `{}`.", value.name()),
                            name: value.name().to_owned(),
                            path,
                        });
                        constants.extend(features);
                    }
                }
                TypeKind::Alternate(alternate) => {
                    for branch in alternate.branches() {
                        self.meet(Some(branch.type_id()), path.clone(), n_steps, root);
                    }
                }
                TypeKind::Object(object) => {
                    self.follow_object(object, &path, (n_steps, root), &mut constants);
                    if object.kind() == ObjectKind::Arguments {
                        // It has no name but that of the command or event.
                        let groups = match path.ends_with("/data") {
                            true => &mut self.events,
                            false => &mut self.commands,
                        };
                        groups[root].constants.extend(constants);
                        continue;
                    }
                }
            }
            self.types.push(Group {
                name: ty.name(),
                constants,
            });
        }
    }

    fn follow_object(
        &mut self,
        object: &Object,
        path: &str,
        (n_steps, root): (usize, usize),
        constants: &mut Vec<Constant>,
    ) {
        let schema = self.schema;
        let base = object.base().map(|id| (id, schema.ty(id).as_object()));
        // What is written in place has no name of its own.
        let in_place = base.and_then(|(_, base)| base.filter(|it| it.kind() == ObjectKind::Base));
        if in_place.is_none() {
            self.meet(object.base(), path.to_owned(), n_steps, root);
        }
        let of_base = in_place.into_iter().flat_map(|base| base.local_members());
        for member in of_base.chain(object.local_members()) {
            let path = format!("{path}/{}", member.name());
            constants.push(Constant {
                doc: format!("Member `{}`.", member.name()),
                name: member.name().to_owned(),
                path: path.clone(),
            });
            constants.extend(features(member.features(), member.name(), &path));
            self.meet(Some(member.type_id()), path, n_steps + 1, root);
        }
        let tag = object.variants().map_or("", |variants| variants.tag());
        for branch in object.branches() {
            let path = format!("{path}/{tag}={}", branch.name());
            self.meet(Some(branch.type_id()), path, n_steps + 1, root);
        }
    }
}

/// Constants for features of what is called `name`, or of the definition itself.
fn features(
    features: &[Feature],
    name: &str,
    path: &str,
) -> impl Iterator<Item = Constant> + use<> {
    let constant = |feature: &Feature| Constant {
        doc: match name {
            "" => format!("Feature `{}`.", feature.name()),
            name => format!("Feature `{}` of `{name}`.", feature.name()),
        },
        name: format!("{name}-feature-{}", feature.name()),
        path: format!("{path}#{}", feature.name()),
    };
    let constants: Vec<Constant> = features.iter().map(constant).collect();
    constants.into_iter()
}

/// A name that is not taken.
fn unique(taken: &mut HashSet<String>, name: String) -> String {
    let mut unique = name.clone();
    let mut n = 1;
    while !taken.insert(unique.clone()) {
        n += 1;
        unique = format!("{name}_{n}");
    }
    unique
}

/// One of the modules: constants of its own, and a module for each definition that has any. What they are called is added to
/// `all`.
fn push_module(
    out: &mut Out<'_>,
    name: &str,
    doc: &str,
    constants: Vec<Constant>,
    groups: Vec<Group<'_>>,
    all: &mut Vec<String>,
) {
    if constants.is_empty() && groups.is_empty() {
        return;
    }
    out.push(&format!("\n/// {doc}\npub mod {name} {{\n"));
    let mut is_first = constants.is_empty();
    push_constants(out, name, constants, all);
    let outer = name;
    // A module in one of the same name reads badly.
    let mut taken = HashSet::from([name.to_owned()]);
    for Group { name, constants } in groups {
        if constants.is_empty() {
            continue;
        }
        let module = unique(&mut taken, names::field(name));
        let blank = if std::mem::take(&mut is_first) {
            ""
        } else {
            "\n"
        };
        out.push(&format!(
            "{blank}    /// Of `{name}`.\n    pub mod {module} {{\n"
        ));
        push_constants(out, &format!("{outer}::{module}"), constants, all);
        out.push("    }\n");
    }
    out.push("}\n");
}

/// Constants in the module at this path.
fn push_constants(
    out: &mut Out<'_>,
    module: &str,
    constants: Vec<Constant>,
    all: &mut Vec<String>,
) {
    let width = 4 * (1 + module.matches("::").count());
    let mut taken = HashSet::new();
    let mut text = String::new();
    for Constant { doc, name, path } in constants {
        let name = unique(&mut taken, names::snake(&name).to_uppercase());
        all.push(format!("{module}::{name}"));
        layout::line(&mut text, width, &["/// ", &doc]);
        let head = format!("pub const {name}: &str =");
        let value = layout::string(&path);
        let fits = width + head.len() + value.len() + 2 <= layout::MAX_WIDTH;
        // What is too long for any line stays where it is.
        if fits || width + 4 + value.len() + 1 > layout::MAX_WIDTH {
            layout::line(&mut text, width, &[&head, " ", &value, ";"]);
        } else {
            layout::line(&mut text, width, &[&head]);
            layout::line(&mut text, width + 4, &[&value, ";"]);
        }
    }
    out.push(&text);
}

/// The list of all constants.
fn push_all(out: &mut Out<'_>, all: &[String]) {
    /// What is no longer stands in one line.
    const SHORT: usize = 60;
    let mut text = String::from(
        "\n/// Every path. On a line each they are a manifest for `qapi-gen compat`: what may be sent and read.\n",
    );
    let length: usize = all.iter().map(|name| name.len() + 2).sum();
    if length <= SHORT + 2 {
        layout::line(
            &mut text,
            0,
            &["pub const ALL: &[&str] = &[", &all.join(", "), "];"],
        );
    } else {
        layout::line(&mut text, 0, &["pub const ALL: &[&str] = &["]);
        for name in all {
            layout::line(&mut text, 4, &[name, ","]);
        }
        layout::line(&mut text, 0, &["];"]);
    }
    out.push(&text);
}
