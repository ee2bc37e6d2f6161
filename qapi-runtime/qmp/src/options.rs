//! What is to be executed on a server, and how.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use qapi_runtime::client::Address;

/// Where the server is, what is to be executed, and how.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the server is: unix:PATH, a path, tcp:HOST:PORT, vsock:CID:PORT, fd:NUMBER, or exec:COMMAND.
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: Address,

    /// The command. Without one it is a shell on a terminal, and elsewhere a script on standard input.
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,

    /// Its arguments: KEY=VALUE, KEY.KEY=VALUE, KEY:=JSON, or one object of JSON.
    #[arg(value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,

    /// Execute a line of the human monitor and print what it says.
    #[arg(long, value_name = "LINE", conflicts_with_all = ["command", "script", "agent"])]
    pub(crate) hmp: Option<String>,

    /// Execute the commands in a file, one per line, up to the first that fails; `-` is standard input. A line has a command and
    /// its arguments, with quotes as a shell has them, or .hmp and a line of the human monitor, or is empty, or begins with `#`.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "command")]
    pub(crate) script: Option<PathBuf>,

    /// The server is a QEMU guest agent.
    #[arg(long)]
    pub(crate) agent: bool,

    /// Execute the command out of band.
    #[arg(long)]
    pub(crate) oob: bool,

    /// Send a descriptor along that this program was started with, for getfd and add-fd. May be given several times.
    #[arg(long, value_name = "NUMBER", requires = "command")]
    pub(crate) fd: Vec<i32>,

    /// After the command, wait for an event: NAME, or NAME,MEMBER=VALUE,... for one with these strings in its data. It is
    /// printed after the result. May be given several times: the first of them counts.
    #[arg(
        long,
        value_name = "EVENT",
        requires = "command",
        conflicts_with = "agent"
    )]
    pub(crate) wait_event: Vec<String>,

    /// Seconds that the command may take, with the event that is waited for; 0 means no limit.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,

    /// Seconds that greeting and negotiation may take. A monitor of QEMU that serves another client says nothing.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    pub(crate) connect_timeout: Duration,

    /// Seconds to wait for the socket to be there and accept, and for a server that closes the connection at once, as
    /// QEMU may while it parts from another client.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    pub(crate) retry: Duration,

    /// Send arguments without a check against the server's schema. VALUE is JSON if it reads as JSON, otherwise a
    /// string.
    #[arg(long)]
    pub(crate) no_check: bool,

    /// In the shell, show the documentation of this QAPI schema with `.help`: `qapi-schema.json` of QEMU's source, for example.
    #[arg(long, value_name = "SCHEMA", conflicts_with_all = ["command", "hmp", "script"])]
    pub(crate) docs: Option<PathBuf>,

    /// Print JSON, one value a line. This is also done if the output is no terminal.
    #[arg(long, conflicts_with = "human")]
    pub(crate) json: bool,

    /// Print for people, as is done on a terminal anyway.
    #[arg(long)]
    pub(crate) human: bool,
}

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Options {
    /// The time that a command may take; `None` for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (!self.timeout.is_zero()).then_some(self.timeout)
    }
}
