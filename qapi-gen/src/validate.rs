//! QMP commands against a schema, without generated code.
//!
//! A [`Validator`] is a [`Service`] that has a schema's commands and no handlers: a session that
//! drives it answers what a server must answer, down to the text of every error, and success
//! where arguments fit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use qapi_runtime::dispatch::{CommandInfo, Outcome, Service};
use qapi_runtime::json::{Kind, ParseError, Parsed, Parser, ValueRef};
use qapi_runtime::session::{Session, SessionConfig};
use qapi_runtime::visit::{
    Input, ObjectInput, Output, SpecialFeatures, Visit, VisitError, VisitErrorKind,
};
use qapi_runtime::{Error, ErrorClass};

use crate::backend::introspect::OpenCondition;
use crate::ir::{
    Alternate, Builtin, Condition, Configuration, Enum, Feature, Schema, TypeId, TypeKind,
};

/// The commands of a schema, each accepting what its arguments' type accepts.
pub struct Validator<'s> {
    schema: &'s Schema,
    commands: Vec<CommandInfo>,
    /// For each command the type of its arguments; `None` for one that checks them itself.
    arguments: Vec<Option<TypeId>>,
    by_name: HashMap<&'static str, usize>,
    configuration: Configuration,
}

/// What a [`Validator`] says to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A server's error, or `{"return": {}}`, as wire JSON without a line end.
    pub reply: Vec<u8>,
    /// Whether the value is a command that the schema accepts.
    pub is_accepted: bool,
}

impl Answer {
    /// The value is not JSON.
    fn mistake(error: &ParseError) -> Self {
        let mut output = Output::new();
        let writer = output.writer();
        writer.begin_object();
        writer.key("error");
        writer.begin_object();
        writer.key("class");
        writer.string(ErrorClass::GenericError.as_str());
        writer.key("desc");
        writer.string(error.message());
        writer.end_object();
        writer.end_object();
        Self {
            reply: output.into_bytes(),
            is_accepted: false,
        }
    }
}

impl<'s> Validator<'s> {
    /// A validator for the part of `schema` that `configuration` leaves.
    ///
    /// Each name of a command is kept for as long as the process runs, once for all validators.
    ///
    /// # Errors
    ///
    /// The first condition that `configuration` leaves open.
    pub fn new(schema: &'s Schema, configuration: &Configuration) -> Result<Self, OpenCondition> {
        check_conditions(schema, configuration)?;
        let mut validator = Self {
            schema,
            commands: Vec::new(),
            arguments: Vec::new(),
            by_name: HashMap::new(),
            configuration: configuration.clone(),
        };
        for command in schema.commands() {
            if !validator.holds(command.condition()) {
                continue;
            }
            let mut info = CommandInfo::new(kept(command.name()));
            info.allow_oob = command.allows_oob();
            info.allow_preconfig = command.allows_preconfig();
            info.special_features = special_features(command.features());
            let arguments = command.arguments().unwrap_or(schema.empty_object());
            validator
                .by_name
                .insert(info.name, validator.commands.len());
            validator.commands.push(info);
            validator
                .arguments
                .push(command.is_generated().then_some(arguments));
        }
        Ok(validator)
    }

    /// Gives `take` an answer to each value in `text`, in their order: what a server must answer, or success. A value that
    /// `text` does not end is a mistake like any other.
    ///
    /// A command whose success a server does not report is answered as the others are.
    ///
    /// # Errors
    ///
    /// The first of `take`; then the rest of `text` is not looked at.
    pub fn answer<E>(
        &self,
        text: &[u8],
        mut take: impl FnMut(Answer) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut session = self.session();
        let mut parser = Parser::new(SessionConfig::default().limits);
        let mut rest = text;
        loop {
            match parser.feed(&mut rest) {
                Parsed::Incomplete => break,
                Parsed::Value => take(self.execute(&mut session, parser.document().root()))?,
                Parsed::Error(error) => take(Answer::mistake(&error))?,
            }
        }
        match parser.finish() {
            None | Some(Parsed::Incomplete) => Ok(()),
            Some(Parsed::Value) => take(self.execute(&mut session, parser.document().root())),
            Some(Parsed::Error(error)) => take(Answer::mistake(&error)),
        }
    }

    /// The answer to the first value in `text`, as wire JSON without a line end. Empty if `text` has no value.
    #[must_use]
    pub fn reply(&self, text: &[u8]) -> Vec<u8> {
        let mut first = Vec::new();
        let taken = self.answer(text, |answer| {
            first = answer.reply;
            Err(())
        });
        // An error is the end of the first one.
        let (Ok(()) | Err(())) = taken;
        first
    }

    /// A session that takes commands.
    fn session(&self) -> Session {
        let mut session = Session::new(SessionConfig {
            oob: true,
            ..SessionConfig::default()
        });
        let negotiation = br#"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#;
        self.drive(&mut session, negotiation);
        session.consume_output(session.output().len());
        session
    }

    fn execute(&self, session: &mut Session, value: ValueRef<'_>) -> Answer {
        let mut text = Output::new();
        text.value_ref(value);
        self.drive(session, text.as_bytes());
        self.drive(session, b"\n");
        let output = session.output();
        let reply = output.trim_ascii_end().to_vec();
        session.consume_output(output.len());
        // A reply begins with its kind; its id comes last.
        let is_accepted = reply.starts_with(b"{\"return\"");
        Answer { reply, is_accepted }
    }

    fn drive(&self, session: &mut Session, mut input: &[u8]) {
        // Every command runs inline, so none is handed out.
        while session.advance(&mut input, self, |_| true).is_some() {}
    }

    fn holds(&self, condition: &Condition) -> bool {
        condition.resolve(&self.configuration) == Some(true)
    }

    fn check(&self, id: TypeId, input: &mut Input<'_>) -> Result<(), VisitError> {
        match self.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => check_builtin(*builtin, input),
            TypeKind::Enum(values) => self.check_enum(values, input),
            TypeKind::Array(element) => self.check_array(*element, input),
            TypeKind::Object(_) => {
                let mut object = input.object()?;
                self.check_members(id, &mut object)?;
                object.finish()
            }
            TypeKind::Alternate(alternate) => {
                self.check_alternate(self.schema.ty(id).name(), alternate, input)
            }
        }
    }

    fn check_enum(&self, values: &Enum, input: &Input<'_>) -> Result<(), VisitError> {
        let name = input.string()?;
        let value = values.value(name);
        if value.is_some_and(|value| self.holds(value.condition())) {
            return Ok(());
        }
        input.unknown_name(name).map(|_| ())
    }

    fn check_array(&self, element: TypeId, input: &Input<'_>) -> Result<(), VisitError> {
        let mut array = input.array()?;
        while let Some(mut value) = array.next_element() {
            self.check(element, &mut value)
                .map_err(|error| array.locate(error))?;
        }
        Ok(())
    }

    fn check_members(
        &self,
        id: TypeId,
        object: &mut ObjectInput<'_, '_>,
    ) -> Result<(), VisitError> {
        for member in self.schema.members(id) {
            if !self.holds(member.condition()) {
                continue;
            }
            let name = member.name();
            match object.take_member(name) {
                Some(mut value) => {
                    self.check(member.type_id(), &mut value)
                        .map_err(|error| error.in_member(name.to_owned()))?;
                }
                None if member.is_optional() => {}
                None => {
                    let error = VisitError::new(VisitErrorKind::Missing);
                    return Err(error.in_member(name.to_owned()));
                }
            }
        }
        let variants = self
            .schema
            .ty(id)
            .as_object()
            .and_then(|object| object.variants());
        let Some(variants) = variants else {
            return Ok(());
        };
        // The tag is one of the members that were just checked.
        let tag = object
            .take_member(variants.tag())
            .map(|tag| tag.string())
            .transpose()?;
        let branch = tag
            .and_then(|tag| variants.branch(tag))
            .filter(|branch| self.holds(branch.condition()));
        match branch {
            Some(branch) => self.check_members(branch.type_id(), object),
            None => Ok(()),
        }
    }

    fn check_alternate(
        &self,
        name: &str,
        alternate: &Alternate,
        input: &mut Input<'_>,
    ) -> Result<(), VisitError> {
        let kind = input.kind();
        let branch = alternate.branches().iter().find(|branch| {
            self.holds(branch.condition()) && self.kind_of(branch.type_id()) == Some(kind)
        });
        match branch {
            Some(branch) => self.check(branch.type_id(), input),
            None => Err(input.invalid_type(name.to_owned())),
        }
    }

    /// The kind of JSON value that stands for the type in an alternate.
    fn kind_of(&self, id: TypeId) -> Option<Kind> {
        Some(match self.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => match builtin.json_type() {
                "string" => Kind::String,
                "boolean" => Kind::Bool,
                "null" => Kind::Null,
                "value" => return None,
                _ => Kind::Number,
            },
            TypeKind::Enum(_) => Kind::String,
            TypeKind::Array(_) => Kind::Array,
            TypeKind::Object(_) => Kind::Object,
            TypeKind::Alternate(_) => return None,
        })
    }
}

impl Service for Validator<'_> {
    fn commands(&self) -> &[CommandInfo] {
        &self.commands
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error> {
        if let Some(Some(arguments)) = self.arguments.get(index) {
            self.check(*arguments, input)?;
        }
        output.object().finish()?;
        Ok(Outcome::Done)
    }
}

fn check_builtin(builtin: Builtin, input: &mut Input<'_>) -> Result<(), VisitError> {
    match builtin {
        Builtin::Str => input.string().map(|_| ()),
        Builtin::Number => input.number().map(|_| ()),
        Builtin::Int | Builtin::Int64 => input.int64().map(|_| ()),
        Builtin::Int8 => i8::read(input).map(|_| ()),
        Builtin::Int16 => i16::read(input).map(|_| ()),
        Builtin::Int32 => i32::read(input).map(|_| ()),
        Builtin::Uint8 => u8::read(input).map(|_| ()),
        Builtin::Uint16 => u16::read(input).map(|_| ()),
        Builtin::Uint32 => u32::read(input).map(|_| ()),
        Builtin::Uint64 | Builtin::Size => input.uint64().map(|_| ()),
        Builtin::Bool => input.boolean().map(|_| ()),
        Builtin::Null => input.null(),
        Builtin::Any => Ok(()),
    }
}

fn special_features(features: &[Feature]) -> SpecialFeatures {
    features
        .iter()
        .fold(SpecialFeatures::NONE, |set, feature| match feature.name() {
            "deprecated" => set.union(SpecialFeatures::DEPRECATED),
            "unstable" => set.union(SpecialFeatures::UNSTABLE),
            _ => set,
        })
}

/// The name, for as long as the process runs: a row of a table of commands has no owner. Each name is
/// kept once, however many validators there are.
fn kept(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    // A panic elsewhere leaves the set as it was.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}

/// Every condition that validation asks about must be decided.
fn check_conditions(schema: &Schema, configuration: &Configuration) -> Result<(), OpenCondition> {
    let decided = |condition: &Condition, span| match condition.resolve(configuration) {
        Some(_) => Ok(()),
        None => {
            let name = configuration.first_open(condition).unwrap_or_default();
            Err(OpenCondition {
                name: name.to_owned(),
                span,
            })
        }
    };
    for command in schema.commands() {
        decided(command.condition(), command.span())?;
    }
    for (_, ty) in schema.types() {
        match ty.kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => {}
            TypeKind::Enum(values) => {
                for value in values.values() {
                    decided(value.condition(), ty.span())?;
                }
            }
            TypeKind::Object(object) => {
                for member in object.local_members() {
                    decided(member.condition(), ty.span())?;
                }
                for branch in object.branches() {
                    decided(branch.condition(), ty.span())?;
                }
            }
            TypeKind::Alternate(alternate) => {
                for branch in alternate.branches() {
                    decided(branch.condition(), ty.span())?;
                }
            }
        }
    }
    Ok(())
}
