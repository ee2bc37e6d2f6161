//! A graph without mistakes becomes a schema.

use hashbrown::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::draft::{DraftBranch, DraftMember};
use super::graph::{DocSlot, Graph, Node, NodeId, NodeKind};
use super::resolve::Resolved;
use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{
    Alternate, Attributes, Branch, Command, CommandId, Doc, DocId, DocSection, DocSectionKind,
    Entity, Enum, Event, EventId, Header, Member, Module, ModuleId, Names, Object, Pragmas, Schema,
    Type, TypeId, TypeKind, Variants,
};
use crate::loader::Loader;
use crate::name::Name;
use crate::path::{self, Syntax};
use crate::source::{FileId, SourceMap, Span};
use crate::steps::step;
use crate::syntax::ast::{self, SectionKind};
use crate::text::ByName;

/// The place of a name that has no type although it was not reported: a mistake of ours.
#[derive(Debug)]
pub(super) struct Unresolved(Option<Span>);

impl Unresolved {
    pub(super) fn diagnostic(&self) -> Diagnostic {
        let message = "internal error: a name was neither resolved nor reported".to_owned();
        Diagnostic::new(Code::Internal, message, self.0)
    }
}

/// The files of a schema.
pub(super) struct Files<'a> {
    pub(super) sources: Arc<SourceMap>,
    pub(super) loader: &'a dyn Loader,
    pub(super) root: Option<FileId>,
}

impl Files<'_> {
    /// The path seen from the folder of the main file.
    fn module_name(&self, root_folder: &str, path: &str) -> String {
        if let Some(name) = path::relative(root_folder, path, Syntax::HOST) {
            return name;
        }
        // One of the two says where it is, so that both are seen from there.
        let folder = match root_folder {
            "" => ".",
            folder => folder,
        };
        let absolute = |path: &str| {
            let path = self.loader.identity(Path::new(path));
            path.to_string_lossy().into_owned()
        };
        let (folder, path) = (absolute(folder), absolute(path));
        // Nothing leads from one drive of Windows to another.
        path::relative(&folder, &path, Syntax::HOST)
            .unwrap_or_else(|| path::whole(&path, Syntax::HOST))
    }
}

/// Makes the schema.
///
/// # Errors
///
/// The definition with an unresolved name, which the report would say.
pub(super) fn finish(
    graph: Graph,
    resolved: Resolved,
    files: &Files<'_>,
    pragmas: Pragmas,
) -> Result<Schema, Unresolved> {
    let root = files.root.ok_or(Unresolved(None))?;
    let root_name = files.sources.file(root).name();
    let root_folder = path::folder(root_name, Syntax::HOST).to_owned();
    Finisher::new(&graph, resolved, files, root_folder).finish(pragmas)
}

struct Finisher<'a> {
    graph: &'a Graph,
    resolved: Resolved,
    files: &'a Files<'a>,
    sources: &'a SourceMap,
    root_folder: String,
    /// For each node the entity it becomes.
    entities: Vec<Option<Entity>>,
    modules: Vec<Module>,
    module_ids: HashMap<String, ModuleId>,
    file_modules: HashMap<FileId, ModuleId>,
    docs: Vec<Doc>,
    doc_ids: HashMap<NodeId, DocId>,
}

impl<'a> Finisher<'a> {
    fn new(
        graph: &'a Graph,
        resolved: Resolved,
        files: &'a Files<'a>,
        root_folder: String,
    ) -> Self {
        let (mut n_types, mut n_commands, mut n_events) = (0, 0, 0);
        let entities = graph.nodes.iter().map(|node| {
            let count = |counter: &mut usize| std::mem::replace(counter, *counter + 1);
            match node.kind {
                NodeKind::Include(_) => None,
                NodeKind::Command { .. } => {
                    Some(Entity::Command(CommandId::new(count(&mut n_commands))))
                }
                NodeKind::Event { .. } => Some(Entity::Event(EventId::new(count(&mut n_events)))),
                NodeKind::Builtin(_)
                | NodeKind::Enum { .. }
                | NodeKind::Array { .. }
                | NodeKind::Object { .. }
                | NodeKind::Alternate { .. } => {
                    Some(Entity::Type(TypeId::new(count(&mut n_types))))
                }
            }
        });
        let entities = entities.collect();
        let (modules, module_ids, file_modules) = (Vec::new(), HashMap::new(), HashMap::new());
        let (docs, doc_ids) = (Vec::new(), HashMap::new());
        Self {
            graph,
            resolved,
            files,
            sources: &files.sources,
            root_folder,
            entities,
            modules,
            module_ids,
            file_modules,
            docs,
            doc_ids,
        }
    }

    fn finish(mut self, pragmas: Pragmas) -> Result<Schema, Unresolved> {
        self.module_id(Module::BUILTIN.to_owned());
        if let Some(root) = self.sources.files().next() {
            self.module_of_path(root.name());
        }
        // Modules are in the order in which they are included, whatever is mentioned first.
        for node in &self.graph.nodes {
            if let NodeKind::Include(path) = &node.kind {
                self.module_of_path(path);
            }
        }
        for slot in &self.graph.free_docs {
            self.add_doc(slot);
        }
        let count = |is_one: fn(&Entity) -> bool| {
            let entities = self.entities.iter().flatten();
            entities.filter(|entity| is_one(entity)).count()
        };
        let mut types = Vec::with_capacity(count(|it| matches!(it, Entity::Type(_))));
        let mut commands = Vec::with_capacity(count(|it| matches!(it, Entity::Command(_))));
        let mut events = Vec::with_capacity(count(|it| matches!(it, Entity::Event(_))));
        let mut entities = Vec::with_capacity(self.graph.nodes.len());
        for (id, node) in self.graph.nodes.iter().enumerate() {
            let module = self.module_of_node(node);
            let unresolved = || Unresolved(node.span);
            let entity = match &node.kind {
                NodeKind::Include(path) => Entity::Include(self.module_of_path(path)),
                _ => self.entities[id].ok_or_else(unresolved)?,
            };
            let header = self.header(id, node, module);
            match &node.kind {
                NodeKind::Include(_) => {}
                NodeKind::Command { flags, .. } => commands.push(Command {
                    header,
                    arguments: self.type_of(self.resolved.bases.get(id)),
                    returns: self.type_of(self.resolved.returns.get(id)),
                    boxed: flags.boxed,
                    gen_: flags.gen_,
                    success_response: flags.success_response,
                    allow_oob: flags.allow_oob,
                    allow_preconfig: flags.allow_preconfig,
                    coroutine: flags.coroutine,
                }),
                NodeKind::Event { boxed, .. } => {
                    let arguments = self.type_of(self.resolved.bases.get(id));
                    events.push(Event {
                        header,
                        arguments,
                        boxed: *boxed,
                    });
                }
                NodeKind::Builtin(_)
                | NodeKind::Enum { .. }
                | NodeKind::Array { .. }
                | NodeKind::Object { .. }
                | NodeKind::Alternate { .. } => {
                    let kind = self.type_kind(id, node).ok_or_else(unresolved)?;
                    types.push(Type { header, kind });
                }
            }
            self.modules[module.index()].entities.push(entity);
            entities.push(entity);
        }
        let empty = self.type_of(Some(self.graph.empty));
        let empty = empty.ok_or(Unresolved(None))?;
        let names = Names::of(&entities, |entity| match entity {
            Entity::Include(_) => None,
            Entity::Type(id) => types.get(id.index()).map(|ty: &Type| &*ty.header.name),
            Entity::Command(id) => commands
                .get(id.index())
                .map(|it: &Command| &*it.header.name),
            Entity::Event(id) => events.get(id.index()).map(|it: &Event| &*it.header.name),
        });
        Ok(Schema {
            sources: Arc::clone(&self.files.sources),
            modules: self.modules,
            types,
            commands,
            events,
            docs: self.docs,
            pragmas,
            entities,
            names,
            empty,
            told: None,
        })
    }

    fn type_of(&self, id: Option<NodeId>) -> Option<TypeId> {
        match self.entities[id?]? {
            Entity::Type(id) => Some(id),
            Entity::Include(_) | Entity::Command(_) | Entity::Event(_) => None,
        }
    }

    fn module_id(&mut self, name: String) -> ModuleId {
        if let Some(id) = self.module_ids.get(&name) {
            return *id;
        }
        let id = ModuleId::new(self.modules.len());
        self.module_ids.insert(name.clone(), id);
        self.modules.push(Module {
            name,
            entities: Vec::new(),
        });
        id
    }

    /// The module of a file is its path seen from the folder of the main file.
    fn module_of_path(&mut self, path: &str) -> ModuleId {
        let name = self.files.module_name(&self.root_folder, path);
        self.module_id(name)
    }

    fn module_of_node(&mut self, node: &Node) -> ModuleId {
        let origin = match &node.kind {
            // An array lives with its element.
            NodeKind::Array { element, .. } => self
                .graph
                .find(element)
                .and_then(|id| self.graph.nodes[id].span),
            _ => node.span,
        };
        match origin {
            Some(span) => {
                let sources = self.sources;
                let file = sources.file_of(span);
                match self.file_modules.get(&file) {
                    Some(module) => *module,
                    None => {
                        let module = self.module_of_path(sources.file(file).name());
                        self.file_modules.insert(file, module);
                        module
                    }
                }
            }
            None => self.module_id(Module::BUILTIN.to_owned()),
        }
    }

    fn header(&self, id: NodeId, node: &Node, module: ModuleId) -> Header {
        Header {
            name: node.name.clone(),
            span: node.span,
            name_span: node.name_span,
            module,
            attributes: self.attributes(node),
            doc: self.doc_ids.get(&id).copied(),
        }
    }

    /// An array is there when its element is.
    fn attributes(&self, node: &Node) -> Attributes {
        let element = match &node.kind {
            NodeKind::Array { element, .. } => self.graph.find(element),
            _ => None,
        };
        match element {
            Some(id) => self.graph.nodes[id].attributes.without_features(),
            None => node.attributes.clone(),
        }
    }

    fn type_kind(&self, id: NodeId, node: &Node) -> Option<TypeKind> {
        let type_at = |index: usize| self.type_of(self.resolved.part(id, index));
        Some(match &node.kind {
            NodeKind::Builtin(builtin) => TypeKind::Builtin(*builtin),
            NodeKind::Enum { values, prefix } => TypeKind::Enum(Enum {
                values: values.clone(),
                prefix: prefix.clone(),
                by_name: ByName::default(),
            }),
            NodeKind::Array { .. } => TypeKind::Array(type_at(0)?),
            NodeKind::Object {
                kind,
                members,
                variants,
                ..
            } => {
                let members = members.iter().enumerate();
                let members = members
                    .map(|(index, member)| Some(object_member(member, type_at(index)?)))
                    .collect::<Option<_>>()?;
                let variants = match variants {
                    Some(variants) => {
                        let tag = variants.discriminator.as_ref()?.name.clone();
                        Some(Box::new(self.variants(id, tag, &variants.branches)?))
                    }
                    None => None,
                };
                let base = self.type_of(self.resolved.bases.get(id));
                TypeKind::Object(Object {
                    kind: *kind,
                    base,
                    members,
                    variants,
                })
            }
            NodeKind::Alternate { branches } => {
                let branches = branches.iter().enumerate();
                let branches = branches
                    .map(|(index, branch)| Some(listed_branch(branch, type_at(index)?)))
                    .collect::<Option<_>>()?;
                TypeKind::Alternate(Alternate { branches })
            }
            NodeKind::Include(_) | NodeKind::Command { .. } | NodeKind::Event { .. } => {
                return None;
            }
        })
    }

    /// Branches that the schema lists, then an empty one for every other value.
    fn variants(&self, id: NodeId, tag: Name, drafts: &[DraftBranch]) -> Option<Variants> {
        let tag_node = self.resolved.tags.get(id)?;
        let mut branches = Vec::new();
        for (index, draft) in drafts.iter().enumerate() {
            let type_id = self.resolved.part(id, index);
            branches.push(listed_branch(draft, self.type_of(type_id)?));
        }
        if let NodeKind::Enum { values, .. } = &self.graph.nodes[tag_node].kind {
            let empty = self.type_of(Some(self.graph.empty))?;
            let listed: HashSet<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
            for value in values {
                step();
                if !listed.contains(value.name.as_str()) {
                    branches.push(Branch {
                        name: value.name.clone(),
                        type_id: empty,
                        attributes: value.attributes.without_features(),
                        span: None,
                    });
                }
            }
        }
        Some(Variants {
            tag,
            tag_type: self.type_of(Some(tag_node))?,
            branches: branches.into(),
            by_name: ByName::default(),
        })
    }

    fn add_doc(&mut self, slot: &DocSlot) {
        let (doc, node_id) = match slot {
            DocSlot::Free(doc) => (&**doc, None),
            DocSlot::Of(id) => match self.graph.nodes[*id].doc.as_deref() {
                Some(doc) => (doc, Some(*id)),
                None => return,
            },
        };
        let mut sections: Vec<_> = doc
            .sections
            .iter()
            .map(|section| doc_section(doc, section, self.sources))
            .collect();
        if let Some(id) = node_id {
            self.add_undocumented(id, &mut sections);
            self.doc_ids.insert(id, DocId::new(self.docs.len()));
        }
        let symbol = doc.symbol.map(|symbol| self.sources.name(symbol));
        self.docs.push(Doc::new(symbol, doc.span, sections.into()));
    }

    /// A member without a description gets an empty section.
    fn add_undocumented(&self, id: NodeId, sections: &mut Vec<DocSection>) {
        let members = self.member_names(id);
        let described: HashSet<Name> = sections
            .iter()
            .filter(|section| section.kind == DocSectionKind::Member)
            .filter_map(|section| section.name.clone())
            .collect();
        for name in members {
            step();
            if !described.contains(name.as_str()) {
                let name = Some(name.clone());
                let kind = DocSectionKind::Member;
                sections.push(DocSection {
                    kind,
                    name,
                    span: None,
                    lines: Box::default(),
                    is_below_name: false,
                });
            }
        }
    }

    fn member_names(&self, id: NodeId) -> Vec<&'a Name> {
        let implicit = |id: Option<NodeId>| match id {
            Some(id) if self.graph.nodes[id].is_in_place() => self.member_names(id),
            Some(_) | None => Vec::new(),
        };
        match &self.graph.nodes[id].kind {
            NodeKind::Enum { values, .. } => values.iter().map(|value| &value.name).collect(),
            NodeKind::Object { members, .. } => {
                let mut names = implicit(self.resolved.bases.get(id));
                names.extend(members.iter().map(|member| &member.name));
                names
            }
            NodeKind::Alternate { branches } => {
                branches.iter().map(|branch| &branch.name).collect()
            }
            NodeKind::Command { .. } | NodeKind::Event { .. } => {
                implicit(self.resolved.bases.get(id))
            }
            NodeKind::Include(_) | NodeKind::Builtin(_) | NodeKind::Array { .. } => Vec::new(),
        }
    }
}

fn object_member(draft: &DraftMember, type_id: TypeId) -> Member {
    Member {
        name: draft.name.clone(),
        type_id,
        optional: draft.optional,
        attributes: draft.attributes.clone(),
        span: draft.span,
    }
}

fn listed_branch(draft: &DraftBranch, type_id: TypeId) -> Branch {
    Branch {
        name: draft.name.clone(),
        type_id,
        attributes: draft.attributes.clone(),
        span: Some(draft.span),
    }
}

fn doc_section(doc: &ast::Doc, section: &ast::Section, sources: &SourceMap) -> DocSection {
    let (kind, name) = match section.kind {
        SectionKind::Plain => (DocSectionKind::Plain, None),
        SectionKind::Member(name) => (DocSectionKind::Member, Some(name)),
        SectionKind::Feature(name) => (DocSectionKind::Feature, Some(name)),
        SectionKind::Returns => (DocSectionKind::Returns, None),
        SectionKind::Errors => (DocSectionKind::Errors, None),
        SectionKind::Since => (DocSectionKind::Since, None),
        SectionKind::Todo => (DocSectionKind::Todo, None),
    };
    DocSection {
        kind,
        name: name.map(|name| sources.name(name)),
        span: Some(section.span),
        lines: doc.lines(section).into(),
        is_below_name: doc.symbol.is_some()
            && doc
                .sections
                .first()
                .is_some_and(|first| std::ptr::eq(first, section)),
    }
}
