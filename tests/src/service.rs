//! A small service: what generated code would be, for a few commands.

use std::sync::Arc;

use qapi_runtime::codegen::{Command, Handler, Table};
use qapi_runtime::dispatch::{CommandInfo, Service};
use qapi_runtime::json::Kind;
use qapi_runtime::visit::{Input, Members, ObjectInput, ObjectOutput, Output, Visit, VisitError};
use qapi_runtime::{Error, ErrorClass, Object, Value};

/// Arguments of `human-monitor-command`.
struct HumanMonitorCommand {
    command_line: String,
    cpu_index: Option<i64>,
}

impl Members for HumanMonitorCommand {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self {
            command_line: object.required("command-line")?,
            cpu_index: object.optional("cpu-index")?,
        })
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        object.required("command-line", &self.command_line);
        object.optional("cpu-index", &self.cpu_index);
    }
}

/// An empty set of arguments.
struct NoArguments;

impl Members for NoArguments {
    fn read_members(_: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

/// Arguments of `set-numa-node`-like commands: integers of all widths, for range errors.
struct Integers;

impl Members for Integers {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        object.optional::<i8>("i8")?;
        object.optional::<i16>("i16")?;
        object.optional::<i32>("i32")?;
        object.optional::<i64>("i64")?;
        object.optional::<u8>("u8")?;
        object.optional::<u16>("u16")?;
        object.optional::<u32>("u32")?;
        object.optional::<u64>("u64")?;
        object.optional::<Vec<u8>>("list")?;
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

/// Arguments of `yank`.
struct Yank {
    n_instances: usize,
}

struct YankInstance;

impl Members for YankInstance {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        match object.tag("type")? {
            "block-node" => {
                object.required::<String>("node-name")?;
            }
            "chardev" => {
                object.required::<String>("id")?;
            }
            "migration" => {}
            tag => {
                object.unknown_tag("type", tag)?;
            }
        }
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

impl Members for Yank {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        let instances: Vec<YankInstance> = object.required("instances")?;
        Ok(Self {
            n_instances: instances.len(),
        })
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

fn empty(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    NoArguments::read(input)?;
    Ok(().write(output)?)
}

fn empty_list(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    NoArguments::read(input)?;
    Ok(Vec::<Value>::new().write(output)?)
}

fn human(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    let arguments = HumanMonitorCommand::read(input)?;
    let _ = arguments.command_line;
    if arguments.cpu_index.is_some() {
        return Err(Error::generic("Parameter 'cpu-index' expects a CPU number"));
    }
    Ok(String::new().write(output)?)
}

fn yank(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    if Yank::read(input)?.n_instances > 0 {
        return Err(Error::new(ErrorClass::DeviceNotFound, "Instance not found"));
    }
    Ok(().write(output)?)
}

fn integers(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Integers::read(input)?;
    Ok(().write(output)?)
}

fn echo(_: &(), input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    assert_eq!(input.kind(), Kind::Object);
    Ok(Object::read(input)?.write(output)?)
}

fn panics(_: &(), _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    output.string("half a reply");
    panic!("on purpose");
}

const fn inline(
    name: &'static str,
    call: fn(&(), &mut Input<'_>, &mut Output) -> Result<(), Error>,
) -> Command<()> {
    Command {
        info: CommandInfo::new(name),
        call: Handler::Sync(call),
    }
}

const fn out_of_band(mut command: Command<()>) -> Command<()> {
    command.info.allow_oob = true;
    command
}

static COMMANDS: [Command<()>; 9] = [
    inline("blocks", empty),
    inline("human-monitor-command", human),
    inline("panics", panics),
    inline("query-iothreads", empty_list),
    inline("query-name", empty),
    inline("quit", empty),
    inline("x-echo", echo),
    inline("x-integers", integers),
    out_of_band(inline("yank", yank)),
];

/// A service of a few commands, written by hand as a generator would.
#[must_use]
pub fn service() -> impl Service {
    Table::new(&COMMANDS, Arc::new(()))
}
