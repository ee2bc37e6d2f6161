//! Requests: each command as a client sends it.

use crate::ir::{Command, DocId, Header, TypeId};

use super::layout;
use super::plan::{Arguments, DefinitionPlan};
use super::structs::Struct;
use super::template::{lines, rust};
use super::writer::ModuleWriter;

impl ModuleWriter<'_, '_> {
    /// The request type of a command with its impls.
    pub(super) fn emit_command(&mut self, plan: &DefinitionPlan<'_, Command>) {
        let command = plan.definition;
        let (name, arguments) = (plan.name.as_str(), &plan.arguments);
        self.emit_arguments(name, command, "Command", arguments, command.doc());
        let allow_oob = if command.allows_oob() {
            "true"
        } else {
            "false"
        };
        let success_response = lines(|w| {
            if !command.has_success_response() {
                rust!(w, "const SUCCESS_RESPONSE: bool = false;");
            }
        });
        let returns = match command.returns() {
            Some(id) => self.type_ref(id),
            None => "()".to_owned(),
        };
        rust!(
            self,
            "
            $cfg
            impl $Request for $name {
                const COMMAND: &'static str = $command;
                const ALLOW_OOB: bool = $allow_oob;
                $success_response
                type Returns = $returns;
            }

            ",
            name,
            command = layout::string(command.name()),
            allow_oob,
            success_response,
            returns,
        );
        self.emit_serde(name);
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
                let content = self.type_ref(*id);
                self.emit_newtype(name, header, &content, Some(*id));
            }
            Arguments::Raw => {
                self.definition_doc(doc, &summary);
                let content = self.known("Object");
                self.emit_newtype(name, header, &content, None);
            }
        }
    }

    /// A struct around the content, after its doc.
    fn emit_newtype(&mut self, name: &str, header: &Header, content: &str, id: Option<TypeId>) {
        rust!(self, "$cfg");
        let has_default = id.is_none_or(|id| self.plan.shapes.has_default(id));
        let derives: &[&str] = if has_default {
            &["Debug", "Clone", "PartialEq", "Default"]
        } else {
            &["Debug", "Clone", "PartialEq"]
        };
        self.derives(derives, header.name());
        if let Some(gate) = self.plan.header_deprecation(header) {
            self.deprecated_attribute(&gate, header.doc());
            self.note_deprecated(&gate);
        }
        rust!(
            self,
            "
            pub struct $name(pub $content);

            ",
            name,
            content,
        );
        self.emit_from(name, content, "", false);
        rust!(
            self,
            "
            $cfg
            impl $Members for $name {
                fn read_members(object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                    Ok(Self($Members::read_members(object)?))
                }

                fn write_members(&self, object: &mut $ObjectOutput<'_>) {
                    self.0.write_members(object);
                }
            }

            ",
            name,
        );
    }
}
