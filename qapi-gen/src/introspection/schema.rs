//! From what a server told to a checked schema.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::BYTE_ORDER_MARK;
use super::text::{Plan, builtin_name, write};
use super::{Element, ElementId, Introspection, IntrospectionError, Kind, Variants};
use crate::check::{self, Options};
use crate::diagnostic::{Code, Diagnostic, LintLevels, Report};
use crate::ir::{Entity, Schema, ToldName, ToldNames, TypeId};
use crate::loader::{Loader, MemoryLoader};
use crate::outcome::{Compiled, Rejected};
use crate::source::SourceMap;

impl Introspection {
    /// The schema as QAPI source, which compiles to a schema with the same introspection, except for the numbers of types.
    ///
    /// # Errors
    ///
    /// The first thing that no schema can have.
    pub fn to_source(&self) -> Result<String, IntrospectionError> {
        self.check()?;
        Ok(write(self, &Plan::new(self)))
    }

    /// The checked schema. Its introspection is that of the server: the same numbers, in the same order.
    ///
    /// Messages call the schema `name`; places are in [`Introspection::to_source`].
    ///
    /// # Errors
    ///
    /// Every mistake.
    pub fn compile(&self, name: &str, options: impl Into<Options>) -> Result<Compiled, Rejected> {
        self.check().map_err(|error| reject(name, &error))?;
        let plan = Plan::new(self);
        let loader = MemoryLoader::new().with(name, write(self, &plan));
        let mut compiled = check::check(name, &loader, options.into())?;
        compiled.schema.told = Some(self.told_names(&plan, &compiled.schema));
        Ok(compiled)
    }

    /// Looks for what cannot be written down as source, or would be blamed on that.
    fn check(&self) -> Result<(), IntrospectionError> {
        for (id, element) in self.elements.iter().enumerate() {
            self.check_element(id, element)?;
        }
        self.check_circles()
    }

    fn check_element(&self, id: ElementId, element: &Element) -> Result<(), IntrospectionError> {
        check_names(id, &element.features)?;
        match &element.kind {
            Kind::Command {
                arguments, returns, ..
            } => {
                check_name(id, &element.name)?;
                self.check_object(id, "arguments", *arguments)?;
                // Whatever it returns has a name.
                self.check_element_type(*returns)
            }
            Kind::Event { data } => {
                check_name(id, &element.name)?;
                self.check_object(id, "data", *data)
            }
            Kind::Builtin(_) => Ok(()),
            Kind::Enum(values) => values.iter().try_for_each(|value| {
                check_name(id, &value.name)?;
                check_names(id, &value.features)
            }),
            Kind::Array(_) => self.check_element_type(id),
            Kind::Object { members, variants } => {
                for member in members {
                    check_name(id, &member.name)?;
                    check_names(id, &member.features)?;
                }
                variants
                    .as_ref()
                    .map_or(Ok(()), |variants| self.check_variants(id, variants))
            }
            Kind::Alternate(branches) => branches.iter().try_for_each(|ty| {
                let branch = &self.elements[*ty];
                match branch.kind {
                    Kind::Alternate(_) | Kind::Command { .. } | Kind::Event { .. } => {
                        Err(IntrospectionError::AlternateBranch(id, branch.name.clone()))
                    }
                    Kind::Builtin(_) | Kind::Enum(_) | Kind::Array(_) | Kind::Object { .. } => {
                        Ok(())
                    }
                }
            }),
        }
    }

    fn check_object(
        &self,
        id: ElementId,
        what: &'static str,
        ty: ElementId,
    ) -> Result<(), IntrospectionError> {
        let ty = &self.elements[ty];
        match ty.kind {
            Kind::Object { .. } => Ok(()),
            Kind::Command { .. }
            | Kind::Event { .. }
            | Kind::Builtin(_)
            | Kind::Enum(_)
            | Kind::Array(_)
            | Kind::Alternate(_) => Err(IntrospectionError::NotObject(id, what, ty.name.clone())),
        }
    }

    /// Arrays have elements, no arrays.
    fn check_element_type(&self, id: ElementId) -> Result<(), IntrospectionError> {
        match self.elements[id].kind {
            Kind::Array(element) if matches!(self.elements[element].kind, Kind::Array(_)) => {
                Err(IntrospectionError::ArrayOfArrays(id))
            }
            _ => Ok(()),
        }
    }

    fn check_variants(&self, id: ElementId, variants: &Variants) -> Result<(), IntrospectionError> {
        let tag = &variants.tag;
        let Kind::Object { members, .. } = &self.elements[id].kind else {
            return Ok(());
        };
        let member = members.iter().find(|member| member.name == *tag);
        let ty = member.filter(|member| !member.is_optional);
        let Some(Kind::Enum(values)) = ty.map(|member| &self.elements[member.ty].kind) else {
            return Err(IntrospectionError::Tag(id, tag.clone()));
        };
        let values: hashbrown::HashSet<&str> =
            values.iter().map(|value| value.name.as_str()).collect();
        for (case, ty) in &variants.branches {
            if !values.contains(case.as_str()) {
                return Err(IntrospectionError::Branch(id, case.clone()));
            }
            self.check_object(id, "a branch", *ty)?;
        }
        Ok(())
    }

    /// No union is a branch of itself. Each is looked at once, with a stack of our own.
    fn check_circles(&self) -> Result<(), IntrospectionError> {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let branches = |id: ElementId| match &self.elements[id].kind {
            Kind::Object {
                variants: Some(variants),
                ..
            } => &variants.branches[..],
            _ => &[],
        };
        let mut states = vec![State::New; self.elements.len()];
        for root in 0..self.elements.len() {
            let mut stack = vec![(root, 0)];
            while let Some((id, next)) = stack.pop() {
                if next == 0 {
                    match states[id] {
                        State::Done => continue,
                        State::Open => return Err(IntrospectionError::ContainsItself(id)),
                        State::New => states[id] = State::Open,
                    }
                }
                match branches(id).get(next) {
                    Some((_, branch)) => {
                        stack.push((id, next + 1));
                        stack.push((*branch, 0));
                    }
                    None => states[id] = State::Done,
                }
            }
        }
        Ok(())
    }

    /// What the types of `schema`, which was made of this, were called; and what it does not have.
    fn told_names(&self, plan: &Plan, schema: &Schema) -> ToldNames {
        let mut types: Vec<Option<ToldName>> = Vec::new();
        types.resize_with(schema.types.len(), || None);
        let mut unreached = Vec::new();
        let is_reached = self.reached();
        for (id, element) in self.elements.iter().enumerate() {
            if !element.kind.is_type() {
                continue;
            }
            match self.type_of(id, plan, schema).filter(|_| is_reached[id]) {
                Some(ty) => {
                    types[ty.index()] = Some(ToldName {
                        name: element.name.clone(),
                        position: id,
                        missing_branches: self.missing_branches(element),
                    });
                }
                None => unreached.push((id, self.told(id))),
            }
        }
        ToldNames { types, unreached }
    }

    /// Whether a command or an event leads to each element.
    fn reached(&self) -> Vec<bool> {
        let mut is_reached: Vec<bool> = self
            .elements
            .iter()
            .map(|element| !element.kind.is_type())
            .collect();
        let mut open: Vec<ElementId> = (0..is_reached.len()).filter(|id| is_reached[*id]).collect();
        while let Some(id) = open.pop() {
            for used in self.elements[id].kind.uses() {
                if !std::mem::replace(&mut is_reached[used], true) {
                    open.push(used);
                }
            }
        }
        is_reached
    }

    fn type_of(&self, id: ElementId, plan: &Plan, schema: &Schema) -> Option<TypeId> {
        let name = match &self.elements[id].kind {
            Kind::Builtin(json) => builtin_name(*json).to_owned(),
            Kind::Array(element) => {
                let element = self.type_of(*element, plan, schema)?;
                format!("{}List", schema.ty(element).name())
            }
            _ if Some(id) == plan.empty => return Some(schema.empty_object()),
            _ => match plan.in_place_of[id] {
                Some(owner) => format!("q_obj_{}-arg", self.elements[owner].name),
                None => plan.names[id].clone()?,
            },
        };
        match schema.entity(&name)? {
            Entity::Type(id) => Some(id),
            Entity::Include(_) | Entity::Command(_) | Entity::Event(_) => None,
        }
    }

    /// Values of the tag for which the server has no branch, not even an empty one.
    fn missing_branches(&self, element: &Element) -> Vec<String> {
        let Kind::Object {
            members,
            variants: Some(variants),
        } = &element.kind
        else {
            return Vec::new();
        };
        let tag = members.iter().find(|member| member.name == variants.tag);
        let Some(Kind::Enum(values)) = tag.map(|tag| &self.elements[tag.ty].kind) else {
            return Vec::new();
        };
        let branches = variants.branches.iter();
        let there: hashbrown::HashSet<&str> = branches.map(|(case, _)| case.as_str()).collect();
        let names = values.iter().map(|value| &value.name);
        names
            .filter(|name| !there.contains(name.as_str()))
            .cloned()
            .collect()
    }
}

/// Names become source, where a quote would end them. What else is wrong with them shows there.
fn check_name(id: ElementId, name: &str) -> Result<(), IntrospectionError> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_part) {
        return Err(IntrospectionError::Name(id, name.to_owned()));
    }
    Ok(())
}

fn check_names(id: ElementId, names: &[String]) -> Result<(), IntrospectionError> {
    names.iter().try_for_each(|name| check_name(id, name))
}

/// The one mistake of a text that is not an introspection.
fn reject(name: &str, error: &IntrospectionError) -> Rejected {
    let mut report = Report::new(LintLevels::default());
    let message = format!("{name}: {error}");
    report.push(Diagnostic::new(Code::IntrospectionForm, message, None));
    Rejected::new(report, Arc::new(SourceMap::new()))
}

/// The schema that follows from `bytes`, which a server told.
pub(crate) fn compile_told(
    name: &str,
    bytes: &[u8],
    options: Options,
) -> Result<Compiled, Rejected> {
    let told = Introspection::read(bytes).map_err(|error| reject(name, &error))?;
    told.compile(name, options)
}

/// Whether a file is JSON that a server told: an array of objects, or a message of QMP. A schema in double quotes, which is a
/// mistake of those who write one, is neither.
fn is_told(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = text.trim_ascii_start();
    let elements = text.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    let object = elements.unwrap_or(text).strip_prefix(b"{");
    let key = object.map(<[u8]>::trim_ascii_start);
    let Some(key) = key.and_then(|key| key.strip_prefix(b"\"")) else {
        return false;
    };
    let of_message: [&[u8]; 5] = [b"return\"", b"error\"", b"id\"", b"QMP\"", b"timestamp\""];
    elements.is_some() || of_message.iter().any(|name| key.starts_with(name))
}

/// A loader whose main file was read already, to see what it is.
pub(crate) struct Peeked<'a> {
    loader: &'a dyn Loader,
    path: PathBuf,
    content: RefCell<Option<io::Result<Vec<u8>>>>,
}

impl<'a> Peeked<'a> {
    /// Reads the main file; `Err` is what a server told.
    pub(crate) fn read(path: &str, loader: &'a dyn Loader) -> Result<Self, Vec<u8>> {
        let path = PathBuf::from(path);
        match loader.read(&path) {
            Ok(bytes) if is_told(&bytes) => Err(bytes),
            content => Ok(Self {
                loader,
                path,
                content: RefCell::new(Some(content)),
            }),
        }
    }
}

impl Loader for Peeked<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let peeked = self.content.borrow_mut().take();
        match peeked.filter(|_| path == self.path) {
            Some(content) => content,
            None => self.loader.read(path),
        }
    }

    fn read_include(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.loader.read_include(path)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        self.loader.identity(path)
    }
}
