//! Requests: each command as a client sends it.

use crate::ir::{Command, DocId, Header, TypeId};

use super::gate::Gate;
use super::layout;
use super::plan::{Arguments, DefinitionPlan};
use super::structs::Struct;
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// The request type of a command with its impls.
    pub(super) fn emit_command(&mut self, plan: &DefinitionPlan<'_, Command>) {
        let command = plan.definition;
        self.emit_arguments(
            &plan.name,
            command,
            "Command",
            &plan.arguments,
            command.doc(),
        );
        let request = self.dispatch("Request");
        self.item_attribute();
        layout::impl_of(&mut self.out, &request, &plan.name);
        let name = layout::string(command.name());
        layout::constant(&mut self.out, 4, "COMMAND", &name);
        let allow_oob = if command.allows_oob() {
            "true"
        } else {
            "false"
        };
        self.line(4, &["const ALLOW_OOB: bool = ", allow_oob, ";"]);
        if !command.has_success_response() {
            self.line(4, &["const SUCCESS_RESPONSE: bool = false;"]);
        }
        let returns = match command.returns() {
            Some(id) => self.type_ref(id, &Gate::ALWAYS),
            None => "()".to_owned(),
        };
        self.line(4, &["type Returns = ", &returns, ";"]);
        self.line(0, &["}"]);
        self.blank();
        self.emit_serde(&plan.name);
    }

    /// The struct for arguments or data, with `Members`.
    pub(super) fn emit_arguments(
        &mut self,
        name: &str,
        header: &Header,
        kind: &str,
        arguments: &Arguments<'_>,
        doc: Option<DocId>,
    ) {
        let summary = format!("{kind} `{}`.", header.name());
        match arguments {
            Arguments::Members(fields) => {
                self.emit_struct(&Struct {
                    name,
                    schema_name: header.name(),
                    summary,
                    doc,
                    fields,
                    id: None,
                    tag: None,
                    deprecated: self.plan.header_deprecation(header),
                });
                self.emit_members(name, fields);
            }
            Arguments::Type(id) => {
                self.definition_doc(doc, &summary);
                let content = self.type_ref(*id, &Gate::ALWAYS);
                self.emit_newtype(name, header, &content, Some(*id));
            }
            Arguments::Raw => {
                self.definition_doc(doc, &summary);
                let content = self.runtime("", "Object").into_owned();
                self.emit_newtype(name, header, &content, None);
            }
        }
    }

    /// `struct Name(pub Content)` behind its doc.
    fn emit_newtype(&mut self, name: &str, header: &Header, content: &str, id: Option<TypeId>) {
        self.item_attribute();
        let has_default = id.is_none_or(|id| self.plan.shapes.has_default(id));
        let derives: &[&str] = if has_default {
            &["Debug", "Clone", "PartialEq", "Default"]
        } else {
            &["Debug", "Clone", "PartialEq"]
        };
        self.derives(derives, header.name());
        if let Some(gate) = self.plan.header_deprecation(header) {
            self.deprecated_attribute(0, &gate);
            self.note_deprecated(&gate);
        }
        let one_line = format!("pub struct {name}(pub {content});");
        if one_line.len() <= layout::MAX_WIDTH {
            self.line(0, &[&one_line]);
        } else {
            self.line(0, &["pub struct ", name, "("]);
            self.line(4, &["pub ", content, ","]);
            self.line(0, &[");"]);
        }
        self.blank();
        self.emit_from(name, content, "", false);
        self.begin_members(name);
        self.begin_read(true);
        let members = self.visit("Members");
        self.line(8, &["Ok(Self(", &members, "::read_members(object)?))"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_write(true);
        self.line(8, &["self.0.write_members(object);"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }
}
