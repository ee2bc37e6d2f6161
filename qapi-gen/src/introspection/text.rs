//! From elements to QAPI source.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Element, ElementId, Introspection, JsonType, Kind, Member, Variants};
use crate::ir::ExceptionKind;
use crate::print::list;

/// Commands that QEMU gives arguments beyond those that it tells of: `'gen': false` in its schema. The arguments of
/// `netdev_add` were so until 5.1, which made a union of them.
const TAKES_ANYTHING: [&str; 2] = ["device_add", "netdev_add"];

/// Whether a command has arguments beyond those that it tells of.
pub(crate) fn takes_anything(elements: &[Element], element: &Element) -> bool {
    let Kind::Command { arguments, .. } = &element.kind else {
        return false;
    };
    let is_union = match &elements[*arguments].kind {
        Kind::Object { variants, .. } => variants.is_some(),
        Kind::Command { .. }
        | Kind::Event { .. }
        | Kind::Builtin(_)
        | Kind::Enum(_)
        | Kind::Array(_)
        | Kind::Alternate(_) => false,
    };
    !is_union && TAKES_ANYTHING.contains(&&*element.name)
}

/// How elements are called in source.
pub(super) struct Plan {
    /// Those of types that are defined; `None` for what is built in, arrays, and what nothing leads to.
    pub(super) names: Vec<Option<String>>,
    /// The built-in object without members.
    pub(super) empty: Option<ElementId>,
    /// The command or event whose arguments an object is, where these are written in place.
    pub(super) in_place_of: Vec<Option<ElementId>>,
}

impl Plan {
    pub(super) fn new(introspection: &Introspection) -> Self {
        let elements = &introspection.elements;
        let mut names = super::names::name_types(introspection);
        let empty = find_empty(elements);
        let n_uses = count_uses(elements);
        let mut in_place_of = vec![None; elements.len()];
        for (owner, element) in elements.iter().enumerate() {
            let arguments = match &element.kind {
                Kind::Command { arguments, .. } => *arguments,
                Kind::Event { data } => *data,
                Kind::Builtin(_)
                | Kind::Enum(_)
                | Kind::Array(_)
                | Kind::Object { .. }
                | Kind::Alternate(_) => continue,
            };
            if n_uses[arguments] == 1 && may_stand_in_place(&elements[arguments]) {
                in_place_of[arguments] = Some(owner);
            }
        }
        for (id, name) in names.iter_mut().enumerate() {
            if Some(id) == empty || in_place_of[id].is_some() {
                *name = None;
            }
        }
        Self {
            names,
            empty,
            in_place_of,
        }
    }
}

/// The object without members that stands for no arguments, no result and no further members: the one that most have.
fn find_empty(elements: &[Element]) -> Option<ElementId> {
    let is_empty = |element: &Element| match &element.kind {
        Kind::Object { members, variants } => {
            members.is_empty() && variants.is_none() && element.features.is_empty()
        }
        Kind::Command { .. }
        | Kind::Event { .. }
        | Kind::Builtin(_)
        | Kind::Enum(_)
        | Kind::Array(_)
        | Kind::Alternate(_) => false,
    };
    let mut n_uses = vec![0_usize; elements.len()];
    for element in elements {
        let used = match &element.kind {
            Kind::Object { variants, .. } => {
                let branches = variants.iter().flat_map(|variants| &variants.branches);
                branches.map(|(_, ty)| *ty).collect()
            }
            Kind::Command { .. } | Kind::Event { .. } => element.kind.uses(),
            Kind::Builtin(_) | Kind::Enum(_) | Kind::Array(_) | Kind::Alternate(_) => Vec::new(),
        };
        used.into_iter().for_each(|id| n_uses[id] += 1);
    }
    let candidates = (0..elements.len()).filter(|id| n_uses[*id] > 0 && is_empty(&elements[*id]));
    // Of several that are used as often it is the first.
    candidates.rev().max_by_key(|id| n_uses[*id])
}

/// How often each type is used.
fn count_uses(elements: &[Element]) -> Vec<usize> {
    let mut n_uses = vec![0; elements.len()];
    for used in elements.iter().flat_map(|element| element.kind.uses()) {
        n_uses[used] += 1;
    }
    n_uses
}

/// Whether arguments of this type can be written without a name for it.
fn may_stand_in_place(element: &Element) -> bool {
    match &element.kind {
        Kind::Object {
            members,
            variants: None,
        } => {
            let is_plain = |member: &Member| !needs_exception(&member.name);
            element.features.is_empty() && !members.is_empty() && members.iter().all(is_plain)
        }
        Kind::Object {
            variants: Some(_), ..
        }
        | Kind::Command { .. }
        | Kind::Event { .. }
        | Kind::Builtin(_)
        | Kind::Enum(_)
        | Kind::Array(_)
        | Kind::Alternate(_) => false,
    }
}

/// Whether QAPI has the name by way of an exception only.
fn needs_exception(name: &str) -> bool {
    name.contains(|ch: char| ch == '_' || ch.is_ascii_uppercase())
}

/// The whole schema as source: commands and events in the server's order, then types.
pub(super) fn write(introspection: &Introspection, plan: &Plan) -> String {
    let elements = &introspection.elements;
    let mut writer = Writer {
        elements,
        plan,
        out: String::from(
            "# What a server tells of itself: made from the answer to query-qmp-schema.\n",
        ),
    };
    writer.write_pragmas();
    for (id, element) in elements.iter().enumerate() {
        match &element.kind {
            Kind::Command {
                arguments,
                returns,
                allows_oob,
            } => writer.write_command(element, *arguments, *returns, *allows_oob),
            Kind::Event { data } => writer.write_event(element, *data),
            Kind::Builtin(_)
            | Kind::Enum(_)
            | Kind::Array(_)
            | Kind::Object { .. }
            | Kind::Alternate(_) => {
                if let Some(name) = &plan.names[id] {
                    writer.write_type(element, name);
                }
            }
        }
    }
    writer.out
}

struct Writer<'a> {
    elements: &'a [Element],
    plan: &'a Plan,
    out: String,
}

impl Writer<'_> {
    /// Permits what QEMU's own schema permits by lists of names.
    fn write_pragmas(&mut self) {
        let mut settings = Vec::new();
        for kind in ExceptionKind::ALL {
            let names: BTreeSet<&str> = self.exceptions(kind).into_iter().collect();
            if !names.is_empty() {
                let names: Vec<_> = names
                    .iter()
                    .map(|name| format!("\n        '{name}'"))
                    .collect();
                settings.push(format!("'{}': [{} ]", kind.as_str(), names.join(",")));
            }
        }
        if !settings.is_empty() {
            let settings = settings.join(",\n    ");
            self.push(&format!("{{ 'pragma': {{\n    {settings} }} }}"));
        }
    }

    fn exceptions(&self, kind: ExceptionKind) -> Vec<&str> {
        let mut names = Vec::new();
        for (id, element) in self.elements.iter().enumerate() {
            let (name, is_exception) = match (&element.kind, kind) {
                (Kind::Command { .. }, ExceptionKind::CommandName) => {
                    (&element.name, needs_exception(&element.name))
                }
                (Kind::Command { returns, .. }, ExceptionKind::CommandReturns) => {
                    (&element.name, !self.is_result(*returns))
                }
                (kind, ExceptionKind::MemberName) => match &self.plan.names[id] {
                    Some(name) => (name, part_names(kind).any(needs_exception)),
                    None => continue,
                },
                (_, ExceptionKind::CommandName | ExceptionKind::CommandReturns)
                | (_, ExceptionKind::Documentation) => continue,
            };
            if is_exception {
                names.push(name.as_str());
            }
        }
        names
    }

    /// Whether commands return the type without being an exception: an object or an array of objects.
    fn is_result(&self, id: ElementId) -> bool {
        let element = match &self.elements[id].kind {
            Kind::Array(element) => *element,
            _ => id,
        };
        matches!(self.elements[element].kind, Kind::Object { .. })
    }

    /// A definition, after a blank line.
    fn push(&mut self, definition: &str) {
        self.out.push('\n');
        self.out.push_str(definition);
        self.out.push('\n');
    }

    fn write_command(
        &mut self,
        element: &Element,
        arguments: ElementId,
        returns: ElementId,
        allows_oob: bool,
    ) {
        let mut text = format!("{{ 'command': '{}'", element.name);
        self.add_arguments(&mut text, arguments);
        if Some(returns) != self.plan.empty {
            let _ = write!(text, ",\n  'returns': {}", self.type_ref(returns));
        }
        if allows_oob {
            text.push_str(",\n  'allow-oob': true");
        }
        if takes_anything(self.elements, element) {
            text.push_str(",\n  'gen': false");
        }
        add_features(&mut text, &element.features);
        text.push_str(" }");
        self.push(&text);
    }

    fn write_event(&mut self, element: &Element, data: ElementId) {
        let mut text = format!("{{ 'event': '{}'", element.name);
        self.add_arguments(&mut text, data);
        add_features(&mut text, &element.features);
        text.push_str(" }");
        self.push(&text);
    }

    /// Says whether they are a union, which is one value.
    fn add_arguments(&self, text: &mut String, id: ElementId) {
        if Some(id) == self.plan.empty {
            return;
        }
        let element = &self.elements[id];
        match &element.kind {
            Kind::Object { members, .. } if self.plan.in_place_of[id].is_some() => {
                let _ = write!(text, ",\n  'data': {}", self.members(members));
            }
            Kind::Object { variants, .. } => {
                let _ = write!(text, ",\n  'data': {}", self.type_ref(id));
                if variants.is_some() {
                    text.push_str(",\n  'boxed': true");
                }
            }
            Kind::Command { .. }
            | Kind::Event { .. }
            | Kind::Builtin(_)
            | Kind::Enum(_)
            | Kind::Array(_)
            | Kind::Alternate(_) => {}
        }
    }

    fn write_type(&mut self, element: &Element, name: &str) {
        let mut text = match &element.kind {
            Kind::Enum(values) => {
                let values = values.iter().map(|value| {
                    with_features("name", &format!("'{}'", value.name), &value.features)
                });
                format!("{{ 'enum': '{name}',\n  'data': {}", list(values, '[', ']'))
            }
            Kind::Object {
                members,
                variants: None,
            } => format!(
                "{{ 'struct': '{name}',\n  'data': {}",
                self.members(members)
            ),
            Kind::Object {
                members,
                variants: Some(variants),
            } => self.union(name, members, variants),
            Kind::Alternate(branches) => {
                let branches = branches
                    .iter()
                    .map(|ty| format!("'{}': {}", self.branch_name(*ty), self.type_ref(*ty)));
                format!(
                    "{{ 'alternate': '{name}',\n  'data': {}",
                    list(branches, '{', '}')
                )
            }
            Kind::Command { .. } | Kind::Event { .. } | Kind::Builtin(_) | Kind::Array(_) => return,
        };
        add_features(&mut text, &element.features);
        text.push_str(" }");
        self.push(&text);
    }

    fn union(&self, name: &str, members: &[Member], variants: &Variants) -> String {
        // Values without further members are not listed.
        let listed = variants
            .branches
            .iter()
            .filter(|(_, ty)| Some(*ty) != self.plan.empty)
            .map(|(case, ty)| format!("'{case}': {}", self.type_ref(*ty)));
        format!(
            "{{ 'union': '{name}',\n  'base': {},\n  'discriminator': '{}',\n  'data': {}",
            self.members(members),
            variants.tag,
            list(listed, '{', '}')
        )
    }

    fn members(&self, members: &[Member]) -> String {
        let members = members.iter().map(|member| {
            let star = if member.is_optional { "*" } else { "" };
            let value = with_features("type", &self.type_ref(member.ty), &member.features);
            format!("'{star}{}': {value}", member.name)
        });
        list(members, '{', '}')
    }

    fn type_ref(&self, id: ElementId) -> String {
        if Some(id) == self.plan.empty {
            return "'q_empty'".to_owned();
        }
        match &self.elements[id].kind {
            Kind::Builtin(json) => format!("'{}'", builtin_name(*json)),
            Kind::Array(element) => format!("[ {} ]", self.type_ref(*element)),
            Kind::Enum(_)
            | Kind::Object { .. }
            | Kind::Alternate(_)
            | Kind::Command { .. }
            | Kind::Event { .. } => {
                let name = self.plan.names[id].as_deref();
                format!("'{}'", name.unwrap_or_default())
            }
        }
    }

    /// What the branch of an alternate is called, which a server does not tell: by its kind, of which there is one.
    fn branch_name(&self, id: ElementId) -> &'static str {
        match &self.elements[id].kind {
            Kind::Builtin(json) => builtin_name(*json),
            Kind::Enum(_) => "enum",
            Kind::Array(_) => "list",
            Kind::Object { .. } => "object",
            Kind::Alternate(_) | Kind::Command { .. } | Kind::Event { .. } => "other",
        }
    }
}

/// The names of members or values.
fn part_names(kind: &Kind) -> Box<dyn Iterator<Item = &str> + '_> {
    match kind {
        Kind::Enum(values) => Box::new(values.iter().map(|value| value.name.as_str())),
        Kind::Object { members, .. } => Box::new(members.iter().map(|member| member.name.as_str())),
        Kind::Command { .. }
        | Kind::Event { .. }
        | Kind::Builtin(_)
        | Kind::Array(_)
        | Kind::Alternate(_) => Box::new(std::iter::empty()),
    }
}

pub(super) fn builtin_name(json: JsonType) -> &'static str {
    match json {
        JsonType::String => "str",
        JsonType::Number => "number",
        JsonType::Int => "int",
        JsonType::Boolean => "bool",
        JsonType::Null => "null",
        JsonType::Value => "any",
    }
}

fn add_features(text: &mut String, features: &[String]) {
    if !features.is_empty() {
        let features: Vec<_> = features.iter().map(|name| format!("'{name}'")).collect();
        let _ = write!(text, ",\n  'features': [ {} ]", features.join(", "));
    }
}

/// `value`, or an object with it and its features.
fn with_features(key: &str, value: &str, features: &[String]) -> String {
    if features.is_empty() {
        return value.to_owned();
    }
    let features: Vec<_> = features.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "{{ '{key}': {value}, 'features': [ {} ] }}",
        features.join(", ")
    )
}
