//! What `query-qmp-schema` returns (QAPI: section 'Client JSON Protocol introspection').
//!
//! Commands and events come first, in order of definition, then types in the order of their first
//! use. A type's name is the number of its first use, so that no client relies on names; numbers
//! are given out whatever conditions say, so that they are the reference's.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::ir::{
    Alternate, Branch, Builtin, Command, Condition, Configuration, Entity, Enum, Event, Feature,
    Member, Object, Schema, Type, TypeId, TypeKind, Variants,
};
use crate::source::Span;

/// How introspection data is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Show the names of types, and the types that nothing uses.
    pub unmask: bool,
}

/// A condition that the configuration leaves open: introspection cannot express it.
#[derive(Debug, Clone, Error)]
#[error("condition '{name}' is neither set nor unset by the configuration")]
pub struct OpenCondition {
    /// The name that would decide it.
    pub name: String,
    /// The definition that has it.
    pub span: Option<Span>,
}

/// Renders the array, on one line, in QMP's spacing.
///
/// # Errors
///
/// The first condition that `configuration` leaves open.
pub fn introspect(
    schema: &Schema,
    configuration: &Configuration,
    options: Options,
) -> Result<String, OpenCondition> {
    let mut introspector = Introspector {
        schema,
        configuration,
        options,
        out: String::from("["),
        names: HashMap::new(),
        used: Vec::new(),
        is_used: HashSet::new(),
    };
    introspector.write_all()?;
    Ok(introspector.out)
}

struct Introspector<'a> {
    schema: &'a Schema,
    configuration: &'a Configuration,
    options: Options,
    out: String,
    /// The numbers that stand for names of types.
    names: HashMap<TypeId, usize>,
    /// Types in the order of their first use.
    used: Vec<TypeId>,
    is_used: HashSet<TypeId>,
}

type Result<T, E = OpenCondition> = std::result::Result<T, E>;

impl<'a> Introspector<'a> {
    fn write_all(&mut self) -> Result<()> {
        let schema = self.schema;
        for entity in schema
            .modules()
            .iter()
            .flat_map(crate::ir::Module::entities)
        {
            match *entity {
                Entity::Command(id) => self.write_command(schema.command(id))?,
                Entity::Event(id) => self.write_event(schema.event(id))?,
                Entity::Type(id) if self.options.unmask => self.use_id(id),
                Entity::Type(_) | Entity::Include(_) => {}
            }
        }
        // Writing a type may use others.
        let mut next = 0;
        while let Some(id) = self.used.get(next).copied() {
            self.write_type(id)?;
            next += 1;
        }
        self.out.push(']');
        Ok(())
    }

    /// Whether what has `condition` is there.
    fn holds(&self, condition: &Condition, span: Option<Span>) -> Result<bool> {
        condition.resolve(self.configuration).ok_or_else(|| {
            let is_open = |name: &&str| self.configuration.get(name).is_none();
            let name = condition
                .names()
                .into_iter()
                .find(is_open)
                .unwrap_or_default()
                .to_owned();
            OpenCondition { name, span }
        })
    }

    fn use_id(&mut self, id: TypeId) {
        if self.is_used.insert(id) {
            self.used.push(id);
        }
    }

    /// Notes the use of a type and gives the name that stands for it.
    fn use_type(&mut self, id: TypeId) -> String {
        let schema = self.schema;
        let id = self.plain_int(id);
        self.use_id(id);
        let ty = schema.ty(id);
        match ty.kind() {
            TypeKind::Builtin(builtin) => builtin.as_str().to_owned(),
            TypeKind::Array(element) => format!("[{}]", self.use_type(*element)),
            TypeKind::Enum(_) | TypeKind::Object(_) | TypeKind::Alternate(_) => self.name(id, ty),
        }
    }

    /// All integer types look the same on the wire.
    fn plain_int(&self, id: TypeId) -> TypeId {
        let is_int = |id: TypeId| match self.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => builtin.json_type() == "int",
            TypeKind::Array(_)
            | TypeKind::Enum(_)
            | TypeKind::Object(_)
            | TypeKind::Alternate(_) => false,
        };
        let name = match self.schema.ty(id).kind() {
            TypeKind::Array(element) if is_int(*element) => "intList",
            _ if is_int(id) => Builtin::Int.as_str(),
            _ => return id,
        };
        match self.schema.entity(name) {
            Some(Entity::Type(int)) => int,
            Some(Entity::Include(_) | Entity::Command(_) | Entity::Event(_)) | None => id,
        }
    }

    fn name(&mut self, id: TypeId, ty: &Type) -> String {
        if self.options.unmask {
            return ty.name().to_owned();
        }
        let next = self.names.len();
        self.names.entry(id).or_insert(next).to_string()
    }

    /// Starts an element, and writes what it has in common with the others.
    fn start(&mut self, name: &str, meta_type: &str) {
        if self.out.len() > 1 {
            self.out.push_str(", ");
        }
        self.out.push_str("{\"name\": \"");
        self.out.push_str(name);
        self.out.push_str("\", \"meta-type\": \"");
        self.out.push_str(meta_type);
        self.out.push('"');
    }

    /// Takes back an element whose condition does not hold: its types count as used.
    fn finish(&mut self, start: usize, condition: &Condition, span: Option<Span>) -> Result<()> {
        self.out.push('}');
        if !self.holds(condition, span)? {
            self.out.truncate(start);
        }
        Ok(())
    }

    fn string_member(&mut self, key: &str, value: &str) {
        self.out.push_str(", \"");
        self.out.push_str(key);
        self.out.push_str("\": \"");
        self.out.push_str(value);
        self.out.push('"');
    }

    fn write_features(&mut self, features: &[Feature], span: Option<Span>) -> Result<()> {
        let mut is_first = true;
        for feature in features {
            if self.holds(feature.condition(), span)? {
                self.out.push_str(if is_first {
                    ", \"features\": [\""
                } else {
                    ", \""
                });
                self.out.push_str(feature.name());
                self.out.push('"');
                is_first = false;
            }
        }
        // The reference shows the list wherever the schema has one, empty or not.
        match (features.is_empty(), is_first) {
            (true, _) => {}
            (false, true) => self.out.push_str(", \"features\": []"),
            (false, false) => self.out.push(']'),
        }
        Ok(())
    }

    fn write_command(&mut self, command: &Command) -> Result<()> {
        let start = self.out.len();
        let empty = self.schema.empty_object();
        let arguments = self.use_type(command.arguments().unwrap_or(empty));
        let returns = self.use_type(command.returns().unwrap_or(empty));
        self.start(command.name(), "command");
        self.string_member("arg-type", &arguments);
        self.string_member("ret-type", &returns);
        if command.allows_oob() {
            self.out.push_str(", \"allow-oob\": true");
        }
        self.write_features(command.features(), command.span())?;
        self.finish(start, command.condition(), command.span())
    }

    fn write_event(&mut self, event: &Event) -> Result<()> {
        let start = self.out.len();
        let empty = self.schema.empty_object();
        let arguments = self.use_type(event.arguments().unwrap_or(empty));
        self.start(event.name(), "event");
        self.string_member("arg-type", &arguments);
        self.write_features(event.features(), event.span())?;
        self.finish(start, event.condition(), event.span())
    }

    fn write_type(&mut self, id: TypeId) -> Result<()> {
        let start = self.out.len();
        let ty = self.schema.ty(id);
        match ty.kind() {
            TypeKind::Builtin(builtin) => {
                self.start(builtin.as_str(), "builtin");
                self.string_member("json-type", builtin.json_type());
            }
            TypeKind::Array(element) => {
                let element = self.use_type(*element);
                self.start(&format!("[{element}]"), "array");
                self.string_member("element-type", &element);
            }
            TypeKind::Enum(values) => self.write_enum(id, ty, values)?,
            TypeKind::Object(object) => self.write_object(id, ty, object)?,
            TypeKind::Alternate(alternate) => self.write_alternate(id, ty, alternate)?,
        }
        self.write_features(ty.features(), ty.span())?;
        self.finish(start, ty.condition(), ty.span())
    }

    /// Writes `, "key": [...]`, an element for each of `items` that is there.
    fn write_list<T>(
        &mut self,
        key: &str,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<bool>,
    ) -> Result<()> {
        self.out.push_str(", \"");
        self.out.push_str(key);
        self.out.push_str("\": [");
        let mut is_first = true;
        for item in items {
            let start = self.out.len();
            if !is_first {
                self.out.push_str(", ");
            }
            if write(self, item)? {
                is_first = false;
            } else {
                self.out.truncate(start);
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn write_enum(&mut self, id: TypeId, ty: &Type, values: &Enum) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "enum");
        let span = ty.span();
        self.write_list("members", values.values().iter(), |this, value| {
            this.out.push_str("{\"name\": \"");
            this.out.push_str(value.name());
            this.out.push('"');
            this.write_features(value.features(), span)?;
            this.out.push('}');
            this.holds(value.condition(), span)
        })?;
        self.write_list("values", values.values().iter(), |this, value| {
            this.out.push('"');
            this.out.push_str(value.name());
            this.out.push('"');
            this.holds(value.condition(), span)
        })
    }

    fn write_object(&mut self, id: TypeId, ty: &Type, object: &Object) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "object");
        let members = self.schema.members(id);
        self.write_list("members", members.into_iter(), |this, member| {
            this.write_member(member, ty.span())
        })?;
        match object.variants() {
            Some(variants) => self.write_variants(variants, ty.span()),
            None => Ok(()),
        }
    }

    fn write_member(&mut self, member: &Member, span: Option<Span>) -> Result<bool> {
        let type_name = self.use_type(member.type_id());
        self.out.push_str("{\"name\": \"");
        self.out.push_str(member.name());
        self.out.push('"');
        self.string_member("type", &type_name);
        if member.is_optional() {
            self.out.push_str(", \"default\": null");
        }
        self.write_features(member.features(), span)?;
        self.out.push('}');
        self.holds(member.condition(), span)
    }

    fn write_variants(&mut self, variants: &Variants, span: Option<Span>) -> Result<()> {
        self.string_member("tag", variants.tag());
        self.write_list(
            "variants",
            variants.branches().iter(),
            |this, branch: &Branch| {
                let type_name = this.use_type(branch.type_id());
                this.out.push_str("{\"case\": \"");
                this.out.push_str(branch.name());
                this.out.push('"');
                this.string_member("type", &type_name);
                this.out.push('}');
                this.holds(branch.condition(), span)
            },
        )
    }

    fn write_alternate(&mut self, id: TypeId, ty: &Type, alternate: &Alternate) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "alternate");
        self.write_list("members", alternate.branches().iter(), |this, branch| {
            let type_name = this.use_type(branch.type_id());
            this.out.push_str("{\"type\": \"");
            this.out.push_str(&type_name);
            this.out.push_str("\"}");
            this.holds(branch.condition(), ty.span())
        })
    }
}
