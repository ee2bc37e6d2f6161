//! What `query-qmp-schema` returns (QAPI: section 'Client JSON Protocol introspection').
//!
//! Commands and events come first, in order of definition, then types in the order of their first
//! use. A type's name is the number of its first use, so that no client relies on names; numbers
//! are given out whatever conditions say, so that they are the reference's.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use thiserror::Error;

use crate::ir::{
    Alternate, Branch, Builtin, Command, Condition, Configuration, Entity, Enum, Event, Feature,
    Member, Object, Schema, ToldNames, Type, TypeId, TypeKind, Variants,
};
use crate::source::Span;
use crate::steps::step;

/// How introspection data is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Show the names of types, and the types that nothing uses. All integer types are `int` on the wire, and here.
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
    Introspector::new(schema, configuration, options).whole()
}

/// A piece of the array's text.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    /// What has to hold for it to be there.
    pub(super) conditions: Vec<Condition>,
}

/// The same in pieces, of which conditions that `configuration` leaves open may take some away. Each element is a part or
/// more; one that begins with a comma loses it where it becomes the first of its list.
pub(super) fn introspect_in_pieces(schema: &Schema, configuration: &Configuration) -> Vec<Piece> {
    let mut introspector = Introspector::new(schema, configuration, Options::default());
    introspector.takes_open = true;
    // What is open is taken, so nothing fails.
    let _ = introspector.write_all();
    introspector.pieces()
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
    /// Whether an open condition is noted, in place of being an error.
    takes_open: bool,
    /// What is there under an open condition: from where to where in the text.
    open: Vec<(Range<usize>, Condition)>,
    /// Where a part may begin.
    starts: Vec<usize>,
}

/// Whether something is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    /// A condition leaves it open.
    Open,
    Certain,
}

type Result<T, E = OpenCondition> = std::result::Result<T, E>;

impl<'a> Introspector<'a> {
    fn new(schema: &'a Schema, configuration: &'a Configuration, options: Options) -> Self {
        Self {
            schema,
            configuration,
            options,
            out: String::from("["),
            names: HashMap::new(),
            used: Vec::new(),
            is_used: HashSet::new(),
            takes_open: false,
            open: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// The text, where no condition is open.
    fn whole(mut self) -> Result<String> {
        self.write_all()?;
        Ok(self.out)
    }

    /// Cuts the text where anything begins or ends that may be absent.
    fn pieces(self) -> Vec<Piece> {
        let mut cuts: BTreeSet<usize> = self.starts.iter().copied().collect();
        cuts.extend([0, self.out.len()]);
        cuts.extend(
            self.open
                .iter()
                .flat_map(|(range, _)| [range.start, range.end]),
        );
        let cuts: Vec<usize> = cuts.into_iter().collect();
        // Ranges lie in each other or apart. What holds others was noted after them.
        let mut ranges: Vec<_> = self.open.iter().rev().collect();
        ranges.sort_by_key(|(range, _)| (range.start, Reverse(range.end)));
        let mut ranges = ranges.into_iter().peekable();
        let mut around: Vec<&(Range<usize>, Condition)> = Vec::new();
        let mut parts = Vec::new();
        for pair in cuts.windows(2) {
            step();
            while around.pop_if(|(range, _)| range.end < pair[1]).is_some() {}
            while let Some(next) = ranges.next_if(|(range, _)| range.start <= pair[0]) {
                if next.0.end >= pair[1] {
                    around.push(next);
                }
            }
            let conditions = around.iter().rev();
            parts.push(Piece {
                text: self.out[pair[0]..pair[1]].to_owned(),
                conditions: conditions.map(|(_, condition)| condition.clone()).collect(),
            });
        }
        parts
    }

    fn write_all(&mut self) -> Result<()> {
        let schema = self.schema;
        for entity in schema
            .modules()
            .iter()
            .flat_map(crate::ir::Module::entities)
        {
            match *entity {
                Entity::Command(id) => {
                    self.write_command(schema.command(id))?;
                }
                Entity::Event(id) => self.write_event(schema.event(id))?,
                // As elsewhere in the array, so that each name is there once: lists of integers are one type.
                Entity::Type(id) if self.options.unmask => self.use_id(self.plain_int(id)),
                Entity::Type(_) | Entity::Include(_) => {}
            }
        }
        let (end, n_starts) = (self.out.len(), self.starts.len());
        // Writing a type may use others.
        let mut next = 0;
        while let Some(id) = self.used.get(next).copied() {
            self.write_type(id)?;
            next += 1;
        }
        if let Some(told) = self.told() {
            // Now that all are known, they come in the order in which the server told of them.
            self.out.truncate(end);
            self.starts.truncate(n_starts);
            self.write_types_as_told(told)?;
        }
        self.out.push(']');
        Ok(())
    }

    /// What the types were called where the schema comes from, unless names of the schema's own are shown.
    fn told(&self) -> Option<&'a ToldNames> {
        self.schema.told.as_ref().filter(|_| !self.options.unmask)
    }

    fn write_types_as_told(&mut self, told: &'a ToldNames) -> Result<()> {
        let position = |id: &TypeId| told.types[id.index()].as_ref().map(|name| name.position);
        let used = self.used.iter().map(|id| (position(id), Ok(*id)));
        let unreached = told.unreached.iter();
        let unreached = unreached.map(|(position, element)| (Some(*position), Err(element)));
        let mut elements: Vec<_> = used.chain(unreached).collect();
        elements.sort_by_key(|(position, _)| position.unwrap_or(usize::MAX));
        for (_, element) in elements {
            match element {
                Ok(id) => self.write_type(id)?,
                Err(element) => {
                    self.starts.push(self.out.len());
                    if self.out.len() > 1 {
                        self.out.push_str(", ");
                    }
                    self.out.push_str(element);
                }
            }
        }
        Ok(())
    }

    /// Takes back what was written since `start` if `condition` does not hold.
    fn settle(
        &mut self,
        start: usize,
        condition: &Condition,
        span: Option<Span>,
    ) -> Result<Presence> {
        if self.takes_open && condition.resolve(self.configuration).is_none() {
            self.open.push((start..self.out.len(), condition.clone()));
            return Ok(Presence::Open);
        }
        let holds = condition.resolve(self.configuration).ok_or_else(|| {
            let name = self.configuration.first_open(condition);
            let name = name.unwrap_or_default().to_owned();
            OpenCondition { name, span }
        })?;
        if holds {
            return Ok(Presence::Certain);
        }
        // With it goes what was noted about its parts.
        while self
            .open
            .pop_if(|(range, _)| range.start >= start)
            .is_some()
        {}
        while self.starts.pop_if(|at| *at > start).is_some() {}
        self.out.truncate(start);
        Ok(Presence::Absent)
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
        if let Some(told) = self.told().and_then(|told| told.types[id.index()].as_ref()) {
            return told.name.clone();
        }
        let next = self.names.len();
        self.names.entry(id).or_insert(next).to_string()
    }

    /// Starts an element, and writes what it has in common with the others.
    fn start(&mut self, name: &str, meta_type: &str) {
        self.starts.push(self.out.len());
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
        self.settle(start, condition, span).map(|_| ())
    }

    fn string_member(&mut self, key: &str, value: &str) {
        self.out.push_str(", \"");
        self.out.push_str(key);
        self.out.push_str("\": \"");
        self.out.push_str(value);
        self.out.push('"');
    }

    /// The reference shows the list wherever the schema has one, empty or not.
    fn write_features(&mut self, features: &'a [Feature], span: Option<Span>) -> Result<()> {
        if features.is_empty() {
            return Ok(());
        }
        self.write_list("features", features.iter(), span, |this, feature| {
            this.out.push('"');
            this.out.push_str(feature.name());
            this.out.push('"');
            Ok(feature.condition())
        })
    }

    fn write_command(&mut self, command: &'a Command) -> Result<()> {
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

    fn write_event(&mut self, event: &'a Event) -> Result<()> {
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

    /// Writes `, "key": [...]`, an element for each of `items` that is there; `write` returns the
    /// condition of the element.
    fn write_list<T>(
        &mut self,
        key: &str,
        items: impl Iterator<Item = T>,
        span: Option<Span>,
        mut write: impl FnMut(&mut Self, T) -> Result<&'a Condition>,
    ) -> Result<()> {
        self.out.push_str(", \"");
        self.out.push_str(key);
        self.out.push_str("\": [");
        let mut before = Presence::Absent;
        for item in items {
            let start = self.out.len();
            if before == Presence::Open {
                // It may become the first.
                self.starts.push(start);
            }
            if before != Presence::Absent {
                self.out.push_str(", ");
            }
            let condition = write(self, item)?;
            before = match (before, self.settle(start, condition, span)?) {
                (before, Presence::Absent) => before,
                (Presence::Certain, Presence::Open) => Presence::Certain,
                (Presence::Absent | Presence::Open, Presence::Open) => Presence::Open,
                (_, Presence::Certain) => Presence::Certain,
            };
        }
        self.out.push(']');
        Ok(())
    }

    fn write_enum(&mut self, id: TypeId, ty: &'a Type, values: &'a Enum) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "enum");
        let span = ty.span();
        self.write_list("members", values.values().iter(), span, |this, value| {
            this.out.push_str("{\"name\": \"");
            this.out.push_str(value.name());
            this.out.push('"');
            this.write_features(value.features(), span)?;
            this.out.push('}');
            Ok(value.condition())
        })?;
        self.write_list("values", values.values().iter(), span, |this, value| {
            this.out.push('"');
            this.out.push_str(value.name());
            this.out.push('"');
            Ok(value.condition())
        })
    }

    fn write_object(&mut self, id: TypeId, ty: &'a Type, object: &'a Object) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "object");
        let members = self.schema.members(id);
        self.write_list("members", members, ty.span(), |this, member| {
            this.write_member(member, ty.span())
        })?;
        match object.variants() {
            Some(variants) => self.write_variants(id, variants, ty.span()),
            None => Ok(()),
        }
    }

    fn write_member(&mut self, member: &'a Member, span: Option<Span>) -> Result<&'a Condition> {
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
        Ok(member.condition())
    }

    fn write_variants(
        &mut self,
        id: TypeId,
        variants: &'a Variants,
        span: Option<Span>,
    ) -> Result<()> {
        self.string_member("tag", variants.tag());
        let told = self.told().and_then(|told| told.types[id.index()].as_ref());
        let missing = told.map_or(&[][..], |told| &told.missing_branches);
        let branches = variants.branches().iter();
        self.write_list(
            "variants",
            branches.filter(|branch| !missing.iter().any(|name| name == branch.name())),
            span,
            |this, branch: &'a Branch| {
                let type_name = this.use_type(branch.type_id());
                this.out.push_str("{\"case\": \"");
                this.out.push_str(branch.name());
                this.out.push('"');
                this.string_member("type", &type_name);
                this.out.push('}');
                Ok(branch.condition())
            },
        )
    }

    fn write_alternate(
        &mut self,
        id: TypeId,
        ty: &'a Type,
        alternate: &'a Alternate,
    ) -> Result<()> {
        let name = self.name(id, ty);
        self.start(&name, "alternate");
        self.write_list(
            "members",
            alternate.branches().iter(),
            ty.span(),
            |this, branch| {
                let type_name = this.use_type(branch.type_id());
                this.out.push_str("{\"type\": \"");
                this.out.push_str(&type_name);
                this.out.push_str("\"}");
                Ok(branch.condition())
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile;
    use crate::diagnostic::LintLevels;
    use crate::loader::MemoryLoader;

    const SCHEMA: &str = "
        { 'enum': 'En', 'data': [ { 'name': 'a', 'if': 'CONFIG_A' }, { 'name': 'b', 'if': 'CONFIG_B' }, 'c' ] }
        { 'struct': 'St', 'if': 'CONFIG_A',
          'data': { 'x': { 'type': 'En', 'if': 'CONFIG_B', 'features': [ { 'name': 'f', 'if': 'CONFIG_A' } ] },
                    'y': { 'type': 'int', 'if': { 'not': 'CONFIG_B' } } } }
        { 'command': 'one', 'data': { 'e': 'En' }, 'if': { 'any': [ 'CONFIG_A', 'CONFIG_B' ] } }
        { 'command': 'two', 'data': 'St', 'boxed': true, 'if': 'CONFIG_A' }
        { 'event': 'THREE', 'features': [ { 'name': 'f', 'if': 'CONFIG_B' }, 'g' ] }";

    /// What the conditions leave of the parts is what is rendered for them.
    #[test]
    fn parts_are_the_whole() {
        let loader = MemoryLoader::new().with("schema.json", SCHEMA);
        let compiled = compile("schema.json", &loader, LintLevels::allow_all());
        let schema = compiled.expect("a valid schema").into_schema();
        for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut configuration = Configuration::new();
            let parts = introspect_in_pieces(&schema, &configuration);
            configuration.set("CONFIG_A", a);
            configuration.set("CONFIG_B", b);
            let mut text = String::new();
            for part in parts {
                let mut conditions = part.conditions.iter();
                if conditions.all(|it| it.resolve(&configuration) == Some(true)) {
                    let element = part.text.strip_prefix(", ").filter(|_| text.ends_with('['));
                    text.push_str(element.unwrap_or(&part.text));
                }
            }
            let whole = introspect(&schema, &configuration, Options::default());
            assert_eq!(text, whole.expect("decided"));
        }
    }
}
