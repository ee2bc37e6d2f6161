//! A checked schema as text, in the form of the reference test suite's `.out` files.

use std::fmt::{self, Write as _};

use crate::ir::{
    Branch, Command, Condition, Doc, DocSection, DocSectionKind, Entity, Event, Feature, Module,
    Schema, Type, TypeId, TypeKind,
};

/// Renders `schema`: modules in order, in each its entities; then all documentation.
///
/// Built-in types and arrays of them are left out, except `q_empty` and `QType`.
#[must_use]
pub fn dump(schema: &Schema) -> String {
    let mut dumper = Dumper {
        schema,
        out: String::new(),
    };
    // Writing to a string cannot fail.
    let _ = dumper.write_all();
    dumper.out
}

struct Dumper<'a> {
    schema: &'a Schema,
    out: String,
}

impl Dumper<'_> {
    fn write_all(&mut self) -> fmt::Result {
        let schema = self.schema;
        for module in schema.modules() {
            self.write_module(module)?;
        }
        for doc in schema.docs() {
            self.write_doc(doc)?;
        }
        Ok(())
    }

    fn write_module(&mut self, module: &Module) -> fmt::Result {
        writeln!(self.out, "module {}", module.name())?;
        for entity in module.entities() {
            match *entity {
                Entity::Include(id) => {
                    writeln!(self.out, "include {}", self.schema.module(id).name())?;
                }
                Entity::Type(id) => self.write_type(self.schema.ty(id))?,
                Entity::Command(id) => self.write_command(self.schema.command(id))?,
                Entity::Event(id) => self.write_event(self.schema.event(id))?,
            }
        }
        Ok(())
    }

    fn name(&self, id: Option<TypeId>) -> &str {
        id.map_or("None", |id| self.schema.ty(id).name())
    }

    fn write_type(&mut self, ty: &Type) -> fmt::Result {
        let schema = self.schema;
        match ty.kind() {
            TypeKind::Builtin(_) => return Ok(()),
            TypeKind::Array(_) if ty.span().is_none() => return Ok(()),
            TypeKind::Array(element) => {
                let element = schema.ty(*element).name();
                writeln!(self.out, "array {} {element}", ty.name())?;
                return self.write_condition(ty.condition(), 4);
            }
            TypeKind::Enum(values) => {
                writeln!(self.out, "enum {}", ty.name())?;
                if let Some(prefix) = values.prefix().filter(|_| ty.span().is_some()) {
                    writeln!(self.out, "    prefix {prefix}")?;
                }
                for value in values.values() {
                    writeln!(self.out, "    member {}", value.name())?;
                    self.write_condition(value.condition(), 8)?;
                    self.write_features(value.features(), 8)?;
                }
            }
            TypeKind::Object(object) => {
                writeln!(self.out, "object {}", ty.name())?;
                if let Some(base) = object.base() {
                    writeln!(self.out, "    base {}", schema.ty(base).name())?;
                }
                for member in object.local_members() {
                    let optional = python_bool(member.is_optional());
                    let type_name = schema.ty(member.type_id()).name();
                    let name = member.name();
                    writeln!(
                        self.out,
                        "    member {name}: {type_name} optional={optional}"
                    )?;
                    self.write_condition(member.condition(), 8)?;
                    self.write_features(member.features(), 8)?;
                }
                if let Some(variants) = object.variants() {
                    self.write_branches(variants.tag(), variants.branches())?;
                }
            }
            TypeKind::Alternate(alternate) => {
                writeln!(self.out, "alternate {}", ty.name())?;
                self.write_branches("type", alternate.branches())?;
            }
        }
        self.write_condition(ty.condition(), 4)?;
        self.write_features(ty.features(), 4)
    }

    fn write_branches(&mut self, tag: &str, branches: &[Branch]) -> fmt::Result {
        writeln!(self.out, "    tag {tag}")?;
        for branch in branches {
            let type_name = self.schema.ty(branch.type_id()).name();
            writeln!(self.out, "    case {}: {type_name}", branch.name())?;
            self.write_condition(branch.condition(), 8)?;
        }
        Ok(())
    }

    fn write_command(&mut self, command: &Command) -> fmt::Result {
        let arguments = self.name(command.arguments()).to_owned();
        let returns = self.name(command.returns()).to_owned();
        writeln!(
            self.out,
            "command {} {arguments} -> {returns}",
            command.name()
        )?;
        write!(
            self.out,
            "    gen={} success_response={} boxed={} oob={} preconfig={}",
            python_bool(command.is_generated()),
            python_bool(command.has_success_response()),
            python_bool(command.is_boxed()),
            python_bool(command.allows_oob()),
            python_bool(command.allows_preconfig()),
        )?;
        if command.is_coroutine() {
            self.out.push_str(" coroutine=True");
        }
        self.out.push('\n');
        self.write_condition(command.condition(), 4)?;
        self.write_features(command.features(), 4)
    }

    fn write_event(&mut self, event: &Event) -> fmt::Result {
        let arguments = self.name(event.arguments()).to_owned();
        writeln!(self.out, "event {} {arguments}", event.name())?;
        writeln!(self.out, "    boxed={}", python_bool(event.is_boxed()))?;
        self.write_condition(event.condition(), 4)?;
        self.write_features(event.features(), 4)
    }

    fn write_condition(&mut self, condition: &Condition, indent: usize) -> fmt::Result {
        if condition.is_always() {
            return Ok(());
        }
        writeln!(self.out, "{:indent$}if {condition}", "")
    }

    fn write_features(&mut self, features: &[Feature], indent: usize) -> fmt::Result {
        for feature in features {
            writeln!(self.out, "{:indent$}feature {}", "", feature.name())?;
            self.write_condition(feature.condition(), indent + 4)?;
        }
        Ok(())
    }

    fn write_doc(&mut self, doc: &Doc) -> fmt::Result {
        match doc.symbol() {
            Some(symbol) => writeln!(self.out, "doc symbol={symbol}")?,
            None => writeln!(self.out, "doc freeform")?,
        }
        let (body, rest) = match doc.sections().split_first() {
            Some((first, rest)) => (Some(first), rest),
            None => (None, &[][..]),
        };
        let body = body.map_or_else(String::new, |body| body.text(self.schema.sources()));
        writeln!(self.out, "    body=\n{body}")?;
        let of_kind = |kind| rest.iter().filter(move |section| section.kind() == kind);
        for section in of_kind(DocSectionKind::Member) {
            self.write_section("arg", section.name().unwrap_or_default(), section)?;
        }
        for section in of_kind(DocSectionKind::Feature) {
            self.write_section("feature", section.name().unwrap_or_default(), section)?;
        }
        for section in rest {
            let kind = match section.kind() {
                DocSectionKind::Member | DocSectionKind::Feature => continue,
                DocSectionKind::Plain => "Plain",
                DocSectionKind::Returns => "Returns",
                DocSectionKind::Errors => "Errors",
                DocSectionKind::Since => "Since",
                DocSectionKind::Todo => "Todo",
            };
            self.write_section("section", kind, section)?;
        }
        Ok(())
    }

    fn write_section(&mut self, key: &str, value: &str, section: &DocSection) -> fmt::Result {
        let text = section.text(self.schema.sources());
        writeln!(self.out, "    {key}={value}\n{text}")
    }
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
