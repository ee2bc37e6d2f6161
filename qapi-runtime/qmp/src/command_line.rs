//! The command line: one command on a server, or a tool for sessions.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use qapi_runtime::client::Address;

use crate::options::{Options, parse_seconds};
use crate::torment::Profile;

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
    /// Be a server that behaves as no server should, in front of one that does or of a log; or, with --run, a conformance kit:
    /// gives a driver the steps of each profile, and reports what was not right. CONFORMANCE.md describes profiles and drivers.
    Torment(Torment),
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

/// Arguments of `torment`.
#[derive(Debug, Args)]
pub(crate) struct Torment {
    /// Where the server is, or a file that is a log.
    #[arg(value_name = "SERVER|LOG", required_unless_present_any = ["run", "drive"])]
    pub(crate) server: Option<String>,

    /// Where clients connect: unix:PATH, a path, tcp:HOST:PORT, or fd:NUMBER for a socket that listens.
    #[arg(long, value_name = "ADDRESS", requires = "server", required_unless_present_any = ["run", "drive"])]
    pub(crate) listen: Option<Address>,

    /// What the server does. With --run it may be given several times, and is all of them unless it is.
    #[arg(
        long,
        value_name = "PROFILE",
        required_unless_present_any = ["run", "drive"],
        value_parser = PossibleValuesParser::new(Profile::ALL.map(Profile::name))
            .try_map(|name| name.parse::<Profile>()),
    )]
    pub(crate) profile: Vec<Profile>,

    /// How many seconds `late-replies` are late.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, conflicts_with = "run")]
    pub(crate) delay: Option<Duration>,

    /// The driver, a command for the shell. The exit status is 8 if something was not right.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["server", "listen"])]
    pub(crate) run: Option<String>,

    /// Print what came of each step, a line of JSON for each profile.
    #[arg(long, requires = "run")]
    pub(crate) json: bool,

    /// Be the driver of the client that this program uses.
    #[arg(long, exclusive = true)]
    pub(crate) drive: bool,
}
