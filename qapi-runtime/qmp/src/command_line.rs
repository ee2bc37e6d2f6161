//! The command line: one command on a server, or a tool for sessions.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qapi_runtime::client::Address;

use crate::options::Options;

/// Executes a command on a QMP server or guest agent; without a command it is a shell. Records and replays sessions of others.
///
/// Arguments are KEY=VALUE, where VALUE is read by the type that the argument has in the server's own schema; KEY.KEY=VALUE is a
/// member of a member, KEY:=JSON is JSON, and an object of JSON has all arguments. They are checked before anything is sent.
///
/// The exit status is 0 if the command was executed; 1 if the server refused it, or 10 for CommandNotFound, 11 for
/// DeviceNotFound, 12 for DeviceNotActive, 13 for KVMMissingCap, 19 for another class; 2 if nothing was sent, since the command
/// line or the arguments are wrong; 3 if there is no server; 4 if the connection was lost and 5 if the time was up, after the
/// command was sent; 6 if the event did not come; 7 for files, output, and sockets that listen; 8 if a client did something else
/// than it should.
///
/// A first word that is the name of a tool is the tool; a socket of that name is `./record`.
#[derive(Debug, Parser)]
#[command(
    name = "qmp",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) tool: Option<Tool>,

    #[command(flatten)]
    pub(crate) options: Option<Options>,
}

/// A tool for sessions of others.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Pass on what clients and a server say to each other, and write it down: a line a message, with time, connection and
    /// direction, JSON as it was sent. Runs until it is ended; every line that was written is complete.
    Record(Record),
    /// Be a server that answers as a log says. Ids are free. Where a client does something else than was recorded, a line says
    /// so, and the exit status is 8. Ends when as many clients have come and gone as the log has connections.
    Replay(Replay),
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub(crate) struct Record {
    /// Where the server is.
    #[arg(value_name = "SERVER")]
    pub(crate) server: Address,

    /// Where clients connect: unix:PATH, a path, tcp:HOST:PORT, or fd:NUMBER for a socket that listens.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Address,

    /// The log, which must not be there yet. Otherwise it is standard output.
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,

    /// A secret, of which the log has only `***`: NAME is a member of any message, COMMAND.NAME one of this command's arguments
    /// or result, or of an event, NAME.NAME one in another one. May be given several times.
    #[arg(long, value_name = "MEMBER")]
    pub(crate) mask: Vec<String>,

    /// End after so many clients.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) clients: Option<usize>,

    /// The server is a QEMU guest agent.
    #[arg(long)]
    pub(crate) agent: bool,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The log.
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,

    /// Where clients connect: unix:PATH, a path, tcp:HOST:PORT, or fd:NUMBER for a socket that listens.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Address,

    /// Check commands by this answer to query-qmp-schema, a file, and not by the one that the log may have.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
}
