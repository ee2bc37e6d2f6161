//! The manual before it is written: chapters, what stands in them, and where each name leads.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::anchors::{Anchors, BRANCH, PART};
use super::options::Options;
use crate::ir::{Doc, DocSection, Entity, Module, Schema, TypeId, TypeKind};
use crate::markup::{self, Block, Place, Text, plain_text};
use crate::output::{MARKER, WARNING};
use crate::path::{self, Syntax, is_device};
use crate::references::{References, header, used_types};

/// A manual.
pub(super) struct Manual<'s> {
    pub(super) schema: &'s Schema,
    pub(super) references: References<'s>,
    pub(super) title: String,
    /// The chapters in the order of the schema; built-in types come last.
    pub(super) chapters: Vec<Chapter<'s>>,
    /// For each definition and built-in type its chapter.
    places: HashMap<&'s str, usize>,
    /// For each type what uses it, in order of definition.
    users: HashMap<TypeId, Vec<&'s str>>,
    anchors: Anchors<'s>,
    /// The command that made it.
    command: String,
    /// The date that man pages state.
    pub(super) date: String,
}

/// A module of the schema.
pub(super) struct Chapter<'s> {
    /// The name of its file, without an extension.
    pub(super) file: String,
    pub(super) title: String,
    pub(super) items: Vec<Item<'s>>,
    /// Whether it is the module of the main file.
    pub(super) is_root: bool,
}

/// What stands in a chapter.
#[derive(Clone, Copy)]
pub(super) enum Item<'s> {
    /// A free-form comment.
    Text(&'s Doc),
    /// A definition, or a built-in type.
    Entity(Entity),
}

impl<'s> Chapter<'s> {
    /// Its definitions in order.
    pub(super) fn entities(&self) -> impl Iterator<Item = Entity> + '_ {
        self.items.iter().filter_map(|item| match item {
            Item::Text(_) => None,
            Item::Entity(entity) => Some(*entity),
        })
    }

    /// Whether it stands on its own: what the main file says about the whole is on the first page.
    pub(super) fn has_page(&self) -> bool {
        !self.is_root || self.entities().next().is_some()
    }
}

/// File names that no chapter may have.
const RESERVED: [&str; 8] = [
    "index", "readme", "summary", "commands", "events", "types", "members", "search",
];

impl<'s> Manual<'s> {
    pub(super) fn new(schema: &'s Schema, options: &Options) -> Self {
        let wanted = wanted(schema, &options.only);
        let mut chapters = chapters(schema, wanted.as_ref());
        let root = chapters.iter().find(|chapter| chapter.is_root);
        let title = options.title.clone().unwrap_or_else(|| {
            let stem = root.map_or("QAPI", |chapter| chapter.file.as_str());
            format!("{stem} reference manual")
        });
        // What was asked for comes before what it uses.
        let is_asked_for = |item: &Item<'_>| match item {
            Item::Text(_) => false,
            Item::Entity(entity) => header(schema, *entity)
                .is_some_and(|header| options.only.iter().any(|name| name == header.name())),
        };
        for chapter in &mut chapters {
            if !options.only.is_empty() {
                chapter.items.sort_by_key(|item| !is_asked_for(item));
            }
        }
        // A chapter without anything has no page.
        chapters.retain(|chapter| !chapter.items.is_empty() || chapter.is_root);
        let mut places = HashMap::new();
        for (n, chapter) in chapters.iter().enumerate() {
            for entity in chapter.entities() {
                if let Some(header) = header(schema, entity) {
                    places.insert(header.name(), n);
                }
            }
        }
        let mut users: HashMap<TypeId, Vec<&'s str>> = HashMap::new();
        for &entity in schema.entities() {
            let Some(header) = header(schema, entity) else {
                continue;
            };
            if !places.contains_key(header.name()) {
                continue;
            }
            for id in used_types(schema, entity) {
                let users = users.entry(id).or_default();
                if users.last() != Some(&header.name()) {
                    users.push(header.name());
                }
            }
        }
        let references = References::new(schema);
        let anchors = Anchors::new(schema, &references);
        Self {
            schema,
            references,
            title,
            chapters,
            places,
            users,
            anchors,
            command: options.command.clone(),
            date: options.date.clone(),
        }
    }

    /// The line that says who made a file.
    pub(super) fn marker(&self) -> String {
        format!("{MARKER} {}{WARNING}", self.command)
    }

    /// The chapter that has the definition `name`.
    pub(super) fn chapter_of(&self, name: &str) -> Option<&Chapter<'s>> {
        self.places.get(name).map(|n| &self.chapters[*n])
    }

    /// The anchor of a member, value or feature of the definition `name`.
    pub(super) fn anchor(&self, name: &str, part: &str) -> String {
        if let Some(anchor) = self.anchors.of(name, part, false) {
            return anchor.to_owned();
        }
        if self.references.has_part(name, part) {
            return format!("{name}{PART}{part}");
        }
        name.to_owned()
    }

    /// The anchor of what the union `name` has for a value of its tag; the union's for a value without a branch of its own.
    pub(super) fn branch_anchor(&self, name: &str, value: &str) -> String {
        if let Some(anchor) = self.anchors.of(name, value, true) {
            return anchor.to_owned();
        }
        let object = match self.schema.entity(name) {
            Some(Entity::Type(id)) => self.schema.ty(id).as_object(),
            Some(Entity::Include(_) | Entity::Command(_) | Entity::Event(_)) | None => None,
        };
        let variants = object.and_then(|object| object.variants());
        let branch = variants.and_then(|variants| variants.branch(value));
        // Only what the schema lists is shown.
        if branch.is_some_and(|branch| branch.span().is_some()) {
            return format!("{name}{BRANCH}{value}");
        }
        name.to_owned()
    }

    /// What uses the type.
    pub(super) fn users(&self, id: TypeId) -> &[&'s str] {
        self.users.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The first sentence of a definition's documentation, as plain text.
    pub(super) fn summary(&self, entity: Entity) -> String {
        let sections = self.sections(entity);
        let Some(section) = sections.first() else {
            return String::new();
        };
        let text = self.text(section);
        let document = markup::parse(text.as_str(), Place::Definition);
        let paragraph = document.blocks.iter().find_map(|block| match block {
            Block::Paragraph(content) => Some(plain_text(content)),
            _ => None,
        });
        first_sentence(paragraph.unwrap_or_default())
    }

    /// The sections of a definition's documentation.
    pub(super) fn sections(&self, entity: Entity) -> &'s [DocSection] {
        let doc = header(self.schema, entity).and_then(|header| header.doc());
        doc.map_or(&[], |doc| self.schema.doc(doc).sections())
    }

    /// The text of a section.
    pub(super) fn text(&self, section: &DocSection) -> Text {
        Text::new(section, self.schema.sources())
    }
}

/// `text` up to the end of its first sentence.
fn first_sentence(mut text: String) -> String {
    // Two blanks were made one; a capital must follow, so that "e.g. this" goes on.
    let end = text.match_indices(". ").find(|(at, _)| {
        let before = &text[..*at];
        let after = text[at + 2..].chars().next();
        after.is_some_and(char::is_uppercase)
            && !before.ends_with("e.g")
            && !before.ends_with("i.e")
    });
    if let Some((at, _)) = end {
        text.truncate(at + 1);
    }
    text
}

/// The definitions of `only` and the types that they use; `None` means all.
fn wanted<'s>(schema: &'s Schema, only: &[String]) -> Option<HashSet<&'s str>> {
    if only.is_empty() {
        return None;
    }
    let mut wanted = HashSet::new();
    let mut queue: Vec<Entity> = only.iter().filter_map(|name| schema.entity(name)).collect();
    while let Some(entity) = queue.pop() {
        let Some(header) = header(schema, entity) else {
            continue;
        };
        if wanted.insert(header.name()) {
            queue.extend(used_types(schema, entity).map(Entity::Type));
        }
    }
    Some(wanted)
}

fn chapters<'s>(schema: &'s Schema, wanted: Option<&HashSet<&str>>) -> Vec<Chapter<'s>> {
    let sources = schema.sources();
    let root = sources.files().next().map_or("", |file| file.name());
    let root_folder = path::folder(root, Syntax::HOST);
    // Free-form comments by module.
    let mut texts: HashMap<String, Vec<&Doc>> = HashMap::new();
    for doc in schema.docs().iter().filter(|doc| doc.symbol().is_none()) {
        let file = sources.file(sources.file_of(doc.span())).name();
        let module = path::relative(root_folder, file, Syntax::HOST)
            .unwrap_or_else(|| path::whole(file, Syntax::HOST));
        texts.entry(module).or_default().push(doc);
    }
    let mut files = FileNames::default();
    let mut chapters = Vec::new();
    let (builtin, others): (Vec<&Module>, Vec<&Module>) = schema
        .modules()
        .iter()
        .partition(|module| module.is_builtin());
    for (n, module) in others.into_iter().chain(builtin).enumerate() {
        let mut items: Vec<(u32, Item<'s>)> = Vec::new();
        let texts = texts.remove(module.name()).unwrap_or_default();
        let heading = title_of(schema, &texts);
        if wanted.is_none() {
            items.extend(
                texts
                    .into_iter()
                    .map(|doc| (doc.span().start(), Item::Text(doc))),
            );
        }
        for &entity in module.entities() {
            if is_shown(schema, entity, wanted) {
                let span = header(schema, entity).and_then(|header| header.span());
                items.push((span.map_or(0, |span| span.start()), Item::Entity(entity)));
            }
        }
        // Built-in types have no place and stay in order.
        items.sort_by_key(|(at, _)| *at);
        let items: Vec<Item<'s>> = items.into_iter().map(|(_, item)| item).collect();
        let stem = if module.is_builtin() {
            "built-in-types".to_owned()
        } else {
            stem_of(module.name())
        };
        let title = if module.is_builtin() {
            "Built-in types".to_owned()
        } else {
            heading.unwrap_or_else(|| stem.clone())
        };
        let file = files.unique(stem);
        chapters.push(Chapter {
            file,
            title,
            items,
            is_root: n == 0,
        });
    }
    chapters
}

fn is_shown(schema: &Schema, entity: Entity, wanted: Option<&HashSet<&str>>) -> bool {
    let is_own = match entity {
        Entity::Include(_) => false,
        Entity::Command(_) | Entity::Event(_) => true,
        Entity::Type(id) => {
            let ty = schema.ty(id);
            match ty.kind() {
                TypeKind::Builtin(_) => true,
                TypeKind::Array(_) => false,
                // The built-in enumeration has no place either.
                TypeKind::Enum(_) => true,
                TypeKind::Object(_) | TypeKind::Alternate(_) => ty.is_named(),
            }
        }
    };
    is_own
        && wanted.is_none_or(|wanted| {
            header(schema, entity).is_some_and(|header| wanted.contains(header.name()))
        })
}

/// A name for the file of a module: `../qapi/block-core.json` is `block-core`.
fn stem_of(module: &str) -> String {
    let path = Path::new(module);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folders = path.parent().map(|parent| parent.components());
    let mut name = String::new();
    for folder in folders.into_iter().flatten() {
        if let std::path::Component::Normal(folder) = folder {
            let folder = folder.to_string_lossy();
            // Folders of another schema beside this one.
            if folder != "qapi" {
                name.push_str(&folder);
                name.push('-');
            }
        }
    }
    name.push_str(&stem);
    let is_plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_');
    let name: String = name
        .chars()
        .map(|ch| if is_plain(ch) { ch } else { '-' })
        .collect();
    if name.is_empty() {
        "module".to_owned()
    } else {
        name
    }
}

/// File names, no two alike.
#[derive(Default)]
struct FileNames {
    taken: HashSet<String>,
    /// The last number that was put after a name.
    numbers: HashMap<String, usize>,
}

impl FileNames {
    /// `name`, or `name` with a number if it is taken, or a device of Windows; upper and lower case are one, as on some
    /// file systems.
    fn unique(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        while RESERVED.contains(&candidate.to_lowercase().as_str())
            || is_device(&candidate)
            || !self.taken.insert(candidate.to_lowercase())
        {
            let n = self.numbers.entry(name.to_lowercase()).or_insert(1);
            *n += 1;
            candidate = format!("{name}-{n}");
        }
        candidate
    }
}

/// The first heading of a module's free-form comments, the largest level first.
fn title_of(schema: &Schema, texts: &[&Doc]) -> Option<String> {
    let mut best: Option<(u8, String)> = None;
    for doc in texts {
        let Some(section) = doc.sections().first() else {
            continue;
        };
        let text = Text::new(section, schema.sources());
        for block in &markup::parse(text.as_str(), Place::FreeForm).blocks {
            if let Block::Heading(level, content) = block
                && best.as_ref().is_none_or(|(best, _)| level < best)
            {
                best = Some((*level, plain_text(content)));
            }
        }
    }
    best.map(|(_, title)| title)
}
