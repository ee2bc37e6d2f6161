//! Whether a command fits the server's schema.

use qapi_gen::check::Options;
use qapi_gen::introspection::Introspection;
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::validate::Validator;
use qapi_runtime::Value;
use qapi_runtime::json::Document;

use crate::arguments::{self, Written};

/// The part of a server's schema that one command needs.
#[derive(Debug)]
pub(crate) struct Part {
    schema: Schema,
}

impl Part {
    /// The part for `command` of what the server told.
    ///
    /// # Errors
    ///
    /// What it told is not a schema, for people.
    pub(crate) fn read(told: &[u8], command: &str) -> Result<Self, String> {
        let told = Introspection::read(told).map_err(|error| error.to_string())?;
        let part = told.part(&[command]);
        let compiled = part.compile("query-qmp-schema", Options::default());
        let schema = compiled.map_err(|error| error.to_string())?.into_schema();
        Ok(Self { schema })
    }

    /// The arguments by their types.
    pub(crate) fn arguments(&self, written: Written, command: &str) -> Value {
        arguments::by_schema(written, &self.schema, command)
    }

    /// Checks a command as the server would.
    ///
    /// # Errors
    ///
    /// Why the server would refuse it, in QEMU's words.
    pub(crate) fn check(&self, command: &str, arguments: &Value, oob: bool) -> Result<(), String> {
        let execute = if oob { "exec-oob" } else { "execute" };
        let request = Value::from_iter([
            (execute.to_owned(), Value::from(command)),
            ("arguments".to_owned(), arguments.clone()),
        ]);
        self.check_message(&request)
    }

    /// Checks a command as it is sent.
    ///
    /// # Errors
    ///
    /// Why the server would refuse it, in QEMU's words.
    pub(crate) fn check_message(&self, request: &Value) -> Result<(), String> {
        // A server's schema has no conditions.
        let configuration = Configuration::with_default(true);
        let validator =
            Validator::new(&self.schema, &configuration).map_err(|it| it.to_string())?;
        let reply = validator.reply(request.to_string().as_bytes());
        let reply = Document::parse(&reply).map_err(|error| error.to_string())?;
        let error = reply.root().get("error");
        match error.and_then(|error| error.get("desc")?.as_str().map(str::to_owned)) {
            None => Ok(()),
            Some(text) => Err(text),
        }
    }
}
