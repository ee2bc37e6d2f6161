//! A part of a schema that stands on its own.

use std::collections::HashSet;

use super::{
    Branch, CommandId, Doc, DocId, Entity, EventId, Header, Module, ModuleId, Names, Object,
    Schema, ToldNames, TypeId, TypeKind,
};

/// Names that [`Schema::only`] was given and the schema does not define.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema does not define {}", quoted(.names))]
pub struct UndefinedNames {
    names: Vec<String>,
}

impl UndefinedNames {
    /// The names, in the order in which they were given.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

impl Schema {
    /// The commands, events and types of these names with everything that they reach: arguments and results, members,
    /// bases and branches, and so on.
    ///
    /// A definition stays as it is, with its documentation, features and conditions, in its module and in the order of
    /// the schema. Built-in types stay, and so does the main module. Free-form documentation goes, since it is about the
    /// whole.
    ///
    /// # Errors
    ///
    /// The names that are of no command, event or type of the schema's author, all of them.
    pub fn only<N: AsRef<str>>(self, names: &[N]) -> Result<Self, UndefinedNames> {
        let mut undefined = Vec::new();
        let mut roots = Vec::new();
        for name in names.iter().map(AsRef::as_ref) {
            match self
                .entity(name)
                .filter(|entity| self.is_definition(*entity))
            {
                Some(entity) => roots.push(entity),
                None => undefined.push(name.to_owned()),
            }
        }
        if !undefined.is_empty() {
            return Err(UndefinedNames { names: undefined });
        }
        let kept = Kept::reached_from(&self, roots);
        Ok(kept.cut(self))
    }

    /// Whether the schema's author wrote it and gave it a name.
    fn is_definition(&self, entity: Entity) -> bool {
        match entity {
            Entity::Include(_) => false,
            Entity::Type(id) => self.ty(id).is_named(),
            Entity::Command(_) | Entity::Event(_) => true,
        }
    }
}

/// What stays of a schema, by position in its arenas.
struct Kept {
    types: Vec<bool>,
    commands: Vec<bool>,
    events: Vec<bool>,
    modules: Vec<bool>,
    docs: Vec<bool>,
}

impl Kept {
    fn reached_from(schema: &Schema, mut pending: Vec<Entity>) -> Self {
        let mut kept = Self {
            types: vec![false; schema.types.len()],
            commands: vec![false; schema.commands.len()],
            events: vec![false; schema.events.len()],
            modules: vec![false; schema.modules.len()],
            docs: vec![false; schema.docs.len()],
        };
        let built_in = schema.modules.iter().filter(|module| module.is_builtin());
        pending.extend(built_in.flat_map(|module| &module.entities));
        while let Some(entity) = pending.pop() {
            let (is_kept, header): (&mut bool, &Header) = match entity {
                Entity::Include(_) => continue,
                Entity::Type(id) => (&mut kept.types[id.index()], schema.ty(id)),
                Entity::Command(id) => (&mut kept.commands[id.index()], schema.command(id)),
                Entity::Event(id) => (&mut kept.events[id.index()], schema.event(id)),
            };
            if std::mem::replace(is_kept, true) {
                continue;
            }
            kept.modules[header.module.index()] = true;
            if let Some(doc) = header.doc {
                kept.docs[doc.index()] = true;
            }
            for_each_use(schema, entity, |used| pending.push(Entity::Type(used)));
        }
        kept.keep_includers(schema);
        kept
    }

    /// Keeps the main module, and those by which a module that stays is included.
    fn keep_includers(&mut self, schema: &Schema) {
        let mut includers = vec![Vec::new(); schema.modules.len()];
        for (index, module) in schema.modules.iter().enumerate() {
            for entity in &module.entities {
                if let Entity::Include(included) = entity {
                    includers[included.index()].push(index);
                }
            }
        }
        let main = schema
            .modules
            .iter()
            .position(|module| !module.is_builtin());
        let mut pending: Vec<usize> = self.kept_modules().chain(main).collect();
        let mut seen: HashSet<usize> = HashSet::new();
        while let Some(index) = pending.pop() {
            if seen.insert(index) {
                self.modules[index] = true;
                pending.extend(&includers[index]);
            }
        }
    }

    fn kept_modules(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.modules.len()).filter(|index| self.modules[*index])
    }

    /// Takes everything else out and gives the rest new ids.
    fn cut(&self, schema: Schema) -> Schema {
        let ids = NewIds {
            types: new_positions(&self.types),
            commands: new_positions(&self.commands),
            events: new_positions(&self.events),
            modules: new_positions(&self.modules),
            docs: new_positions(&self.docs),
        };
        let mut types = retain(schema.types, &self.types);
        for ty in &mut types {
            ids.header(&mut ty.header);
            match &mut ty.kind {
                TypeKind::Builtin(_) | TypeKind::Enum(_) => {}
                TypeKind::Array(element) => ids.ty(element),
                TypeKind::Object(object) => ids.object(object),
                TypeKind::Alternate(alternate) => ids.branches(&mut alternate.branches),
            }
        }
        let mut commands = retain(schema.commands, &self.commands);
        for command in &mut commands {
            ids.header(&mut command.header);
            let used = command.arguments.iter_mut().chain(&mut command.returns);
            used.for_each(|id| ids.ty(id));
        }
        let mut events = retain(schema.events, &self.events);
        for event in &mut events {
            ids.header(&mut event.header);
            event.arguments.iter_mut().for_each(|id| ids.ty(id));
        }
        let mut modules: Vec<Module> = retain(schema.modules, &self.modules);
        for module in &mut modules {
            module.entities = ids.entities(&module.entities);
        }
        let docs: Vec<Doc> = retain(schema.docs, &self.docs);
        let entities = ids.entities(&schema.entities);
        let names = Names::of(&entities, |entity| match entity {
            Entity::Include(_) => None,
            Entity::Type(id) => Some(types[id.index()].name.as_str()),
            Entity::Command(id) => Some(commands[id.index()].name.as_str()),
            Entity::Event(id) => Some(events[id.index()].name.as_str()),
        });
        let mut empty = schema.empty;
        ids.ty(&mut empty);
        let told = schema.told.map(|told| ToldNames {
            types: retain(told.types, &self.types),
            unreached: Vec::new(),
        });
        Schema {
            sources: schema.sources,
            entities,
            names,
            modules,
            types,
            commands,
            events,
            docs,
            pragmas: schema.pragmas,
            empty,
            told,
        }
    }
}

/// Every type that the definition mentions.
fn for_each_use(schema: &Schema, entity: Entity, mut found: impl FnMut(TypeId)) {
    match entity {
        Entity::Include(_) => {}
        Entity::Command(id) => {
            let command = schema.command(id);
            command
                .arguments
                .into_iter()
                .chain(command.returns)
                .for_each(found);
        }
        Entity::Event(id) => schema.event(id).arguments.into_iter().for_each(found),
        Entity::Type(id) => match &schema.ty(id).kind {
            TypeKind::Builtin(_) | TypeKind::Enum(_) => {}
            TypeKind::Array(element) => found(*element),
            TypeKind::Object(object) => {
                object.base.into_iter().for_each(&mut found);
                let members = object.members.iter();
                members.for_each(|member| found(member.type_id));
                if let Some(variants) = &object.variants {
                    found(variants.tag_type);
                    let branches = variants.branches.iter();
                    branches.for_each(|branch| found(branch.type_id));
                }
            }
            TypeKind::Alternate(alternate) => {
                let branches = alternate.branches.iter();
                branches.for_each(|branch| found(branch.type_id));
            }
        },
    }
}

/// For each position the one that it has among those that stay.
fn new_positions(kept: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0..;
    let mut new_position = |is_kept: &bool| is_kept.then(|| next.next()).flatten();
    kept.iter().map(&mut new_position).collect()
}

fn retain<T>(all: Vec<T>, kept: &[bool]) -> Vec<T> {
    let pairs = all.into_iter().zip(kept);
    pairs
        .filter_map(|(item, is_kept)| is_kept.then_some(item))
        .collect()
}

/// The new positions of what stays.
struct NewIds {
    types: Vec<Option<usize>>,
    commands: Vec<Option<usize>>,
    events: Vec<Option<usize>>,
    modules: Vec<Option<usize>>,
    docs: Vec<Option<usize>>,
}

/// What stays mentions only what stays.
const REACHED: &str = "what is mentioned is reached";

impl NewIds {
    fn ty(&self, id: &mut TypeId) {
        *id = TypeId::new(self.types[id.index()].expect(REACHED));
    }

    fn header(&self, header: &mut Header) {
        header.module = ModuleId::new(self.modules[header.module.index()].expect(REACHED));
        if let Some(doc) = &mut header.doc {
            *doc = DocId::new(self.docs[doc.index()].expect(REACHED));
        }
    }

    fn object(&self, object: &mut Object) {
        object.base.iter_mut().for_each(|id| self.ty(id));
        for member in &mut object.members {
            self.ty(&mut member.type_id);
        }
        if let Some(variants) = &mut object.variants {
            self.ty(&mut variants.tag_type);
            self.branches(&mut variants.branches);
        }
    }

    fn branches(&self, branches: &mut [Branch]) {
        branches
            .iter_mut()
            .for_each(|branch| self.ty(&mut branch.type_id));
    }

    /// Its new id, if it stays.
    fn entity(&self, entity: Entity) -> Option<Entity> {
        Some(match entity {
            Entity::Include(id) => Entity::Include(ModuleId::new(self.modules[id.index()]?)),
            Entity::Type(id) => Entity::Type(TypeId::new(self.types[id.index()]?)),
            Entity::Command(id) => Entity::Command(CommandId::new(self.commands[id.index()]?)),
            Entity::Event(id) => Entity::Event(EventId::new(self.events[id.index()]?)),
        })
    }

    fn entities(&self, entities: &[Entity]) -> Vec<Entity> {
        let new = entities.iter().filter_map(|entity| self.entity(*entity));
        new.collect()
    }
}
