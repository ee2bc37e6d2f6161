//! A checked schema as QAPI source.
//!
//! What is printed parses to the same schema again: same modules, same order, same documentation.
//! Plain comments and layout are not part of a schema and are lost; all pragmas stand in the main
//! file, since their scope is the whole schema.

mod definition;
mod documentation;

pub(crate) use definition::list;

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use crate::ir::{
    DefinitionKind, Doc, Entity, ExceptionKind, Header, Module, ModuleId, ObjectKind, Schema,
    TypeKind,
};
use crate::output::Emission;
use crate::path::{self, Syntax};
use crate::source::Span;

/// Prints `schema`: one file for each module but the built-in one, the main file first, each at
/// its path relative to the folder of the main file.
#[must_use]
pub fn print(schema: &Schema) -> Emission {
    let mut emission = Emission::new();
    let mut is_main = true;
    let mut included = HashSet::new();
    for (index, module) in schema.modules().iter().enumerate() {
        if module.is_builtin() {
            continue;
        }
        let mut printer = Printer {
            schema,
            module,
            file: index.checked_sub(1),
            out: String::new(),
            free_docs: free_docs(schema, index),
            is_after_free_doc: false,
        };
        // Writing to a string cannot fail.
        let _ = printer.print_module(is_main, &mut included);
        is_main = false;
        emission.push(module.name(), printer.out);
    }
    emission
}

/// The free-form comments of the module at `index`, the last one first.
fn free_docs(schema: &Schema, index: usize) -> Vec<&Doc> {
    let file = schema.sources().files().nth(index.saturating_sub(1));
    let Some(file) = file else { return Vec::new() };
    let end = file.start() + file.text().len() as u32;
    let of_file = |doc: &&Doc| (file.start()..=end).contains(&doc.span().start());
    let docs = schema.docs().iter();
    docs.filter(|doc| doc.symbol().is_none())
        .filter(of_file)
        .rev()
        .collect()
}

struct Printer<'s> {
    schema: &'s Schema,
    module: &'s Module,
    /// The position of the module's file: modules and files are numbered in the order in which
    /// they are included, the built-in module has no file.
    file: Option<usize>,
    out: String,
    /// Free-form comments that are still to be printed, the last one first.
    free_docs: Vec<&'s Doc>,
    /// What was printed last is a free-form comment.
    is_after_free_doc: bool,
}

impl<'s> Printer<'s> {
    fn print_module(&mut self, is_main: bool, included: &mut HashSet<ModuleId>) -> fmt::Result {
        if is_main {
            self.print_pragmas()?;
        }
        for entity in self.module.entities() {
            match *entity {
                Entity::Include(id) => {
                    let is_first = included.insert(id);
                    if let Some(span) = self.included_at(id).filter(|_| is_first) {
                        self.print_free_docs(span)?;
                    }
                    self.separate();
                    let path = self.path_to(self.schema.module(id));
                    writeln!(self.out, "{{ 'include': {} }}", Quoted(&path))?;
                    self.is_after_free_doc = false;
                }
                Entity::Type(id) => self.print_definition(self.schema.ty(id), *entity)?,
                Entity::Command(id) => self.print_definition(self.schema.command(id), *entity)?,
                Entity::Event(id) => self.print_definition(self.schema.event(id), *entity)?,
            }
        }
        self.print_free_docs(Span::new(u32::MAX, u32::MAX))
    }

    /// The directive that included the module `id` first, if it stands in this module.
    fn included_at(&self, id: ModuleId) -> Option<Span> {
        let sources = self.schema.sources();
        let target = sources.files().nth(id.index().checked_sub(1)?)?;
        let span = target.included_at()?;
        let own = sources.files().nth(self.file?)?;
        let end = own.start() + own.text().len() as u32;
        (own.start()..=end).contains(&span.start()).then_some(span)
    }

    /// The path of `target` as this module has to write it.
    fn path_to(&self, target: &Module) -> String {
        let folder = path::folder(self.module.name(), Syntax::HOST);
        let path = path::relative(folder, target.name(), Syntax::HOST);
        path.unwrap_or_else(|| target.name().to_owned())
    }

    fn separate(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn print_pragmas(&mut self) -> fmt::Result {
        let pragmas = self.schema.pragmas();
        let mut settings = Vec::new();
        if pragmas.requires_docs() {
            settings.push("'doc-required': true".to_owned());
        }
        for kind in ExceptionKind::ALL {
            let exceptions = pragmas.exceptions();
            let names = exceptions
                .filter(|exception| exception.kind() == kind)
                .map(|exception| format!("\n        {}", Quoted(exception.name())));
            let names: Vec<_> = names.collect();
            if !names.is_empty() {
                settings.push(format!("'{}': [{} ]", kind.as_str(), names.join(",")));
            }
        }
        if settings.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "{{ 'pragma': {{\n    {} }} }}",
            settings.join(",\n    ")
        )
    }

    /// Prints the free-form comments in front of `before`.
    fn print_free_docs(&mut self, before: Span) -> fmt::Result {
        while let Some(doc) = self.free_docs.pop_if(|doc| doc.span() < before) {
            self.separate();
            documentation::print_free_form(&mut self.out, doc, self.schema)?;
            self.is_after_free_doc = true;
        }
        Ok(())
    }

    fn print_definition(&mut self, header: &'s Header, entity: Entity) -> fmt::Result {
        let (Some(kind), Some(span)) = (self.kind(entity), header.span()) else {
            return Ok(());
        };
        if header.name_span().is_none() {
            return Ok(());
        }
        let doc = header.doc().map(|id| self.schema.doc(id));
        self.print_free_docs(doc.map_or(span, |doc| doc.span()))?;
        self.separate();
        match doc {
            Some(doc) => documentation::print_definition(&mut self.out, doc, self.schema)?,
            // A comment right in front of a definition would be taken for its documentation.
            None if self.is_after_free_doc => self.out.push_str("{ 'pragma': {} }\n\n"),
            None => {}
        }
        self.is_after_free_doc = false;
        definition::print(&mut self.out, self.schema, kind, header, entity)
    }

    /// The kind of definition that an author wrote; `None` for what follows from others.
    fn kind(&self, entity: Entity) -> Option<DefinitionKind> {
        match entity {
            Entity::Include(_) => None,
            Entity::Command(_) => Some(DefinitionKind::Command),
            Entity::Event(_) => Some(DefinitionKind::Event),
            Entity::Type(id) => match self.schema.ty(id).kind() {
                TypeKind::Builtin(_) | TypeKind::Array(_) => None,
                TypeKind::Enum(_) => Some(DefinitionKind::Enum),
                TypeKind::Alternate(_) => Some(DefinitionKind::Alternate),
                TypeKind::Object(object) => match object.kind() {
                    ObjectKind::Struct => Some(DefinitionKind::Struct),
                    ObjectKind::Union => Some(DefinitionKind::Union),
                    ObjectKind::Empty | ObjectKind::Arguments | ObjectKind::Base => None,
                },
            },
        }
    }
}

/// A string of the schema language.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\\', "\\\\"))
    }
}
