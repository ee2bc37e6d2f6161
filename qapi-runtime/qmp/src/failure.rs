//! Why a run fails, and the status with which it ends then.

use std::fmt;
use std::io;

use qapi_runtime::ErrorClass;
use qapi_runtime::client::{ClientError, ClientErrorKind, Outcome};

/// What a run ends with. Scripts rely on the numbers: `README.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// The server has refused the command, without a class of its own.
    Refused = 1,
    /// The command line, or arguments that do not fit the server's schema: nothing was sent.
    Usage = 2,
    /// Nobody serves there, or no QMP.
    NotConnected = 3,
    /// The connection was lost after the command was sent.
    Lost = 4,
    /// No answer in time; the command may still be executed.
    TimedOut = 5,
    /// The command was executed, and the event did not come in time.
    NoEvent = 6,
    /// A file, standard output, or a socket to listen on.
    Io = 7,
    /// A client has done something else than it should.
    Strayed = 8,
    CommandNotFound = 10,
    DeviceNotFound = 11,
    DeviceNotActive = 12,
    KvmMissingCap = 13,
    /// A class that there was not yet when this was written.
    OtherClass = 19,
}

impl From<Status> for std::process::ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a run fails.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Before anything was sent.
    Usage(String),
    /// The connection or the command.
    Client(ClientError),
    /// The event that was waited for.
    Event(ClientError),
    /// A file, or standard output.
    Io(String, io::Error),
    /// A socket to listen on.
    Listen(io::Error),
    /// A client did something else than the log says, so often.
    Strayed(String, usize),
    /// In so many profiles of all a client was not right.
    Wrong(usize, usize),
    /// A line of a script.
    Line(String, usize, Box<Failure>),
}

impl Failure {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Usage(_) => Status::Usage,
            Self::Client(error) => status_of(error),
            Self::Event(error) => match error.kind() {
                ClientErrorKind::TimedOut(_) => Status::NoEvent,
                _ => Status::Lost,
            },
            Self::Io(..) | Self::Listen(_) => Status::Io,
            Self::Strayed(..) | Self::Wrong(..) => Status::Strayed,
            Self::Line(_, _, failure) => failure.status(),
        }
    }
}

fn status_of(error: &ClientError) -> Status {
    if let Some(error) = error.server_error() {
        return match error.class {
            ErrorClass::GenericError => Status::Refused,
            ErrorClass::CommandNotFound => Status::CommandNotFound,
            ErrorClass::DeviceNotFound => Status::DeviceNotFound,
            ErrorClass::DeviceNotActive => Status::DeviceNotActive,
            ErrorClass::KvmMissingCap => Status::KvmMissingCap,
            // Other ones may come.
            _ => Status::OtherClass,
        };
    }
    match (error.kind(), error.outcome()) {
        (ClientErrorKind::OobNotEnabled | ClientErrorKind::Request(_), _) => Status::Usage,
        (_, Outcome::NotSent) => Status::NotConnected,
        (ClientErrorKind::TimedOut(_), _) => Status::TimedOut,
        _ => Status::Lost,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Client(error) => {
                error.fmt(f)?;
                // What is known by now may be no more than that this run has ended the connection.
                match status_of(error) {
                    Status::TimedOut => f.write_str("; it was sent, and may still be executed"),
                    Status::Lost => f.write_str("; it was sent, and may have been executed"),
                    Status::Refused
                    | Status::Usage
                    | Status::NotConnected
                    | Status::NoEvent
                    | Status::Io
                    | Status::Strayed
                    | Status::CommandNotFound
                    | Status::DeviceNotFound
                    | Status::DeviceNotActive
                    | Status::KvmMissingCap
                    | Status::OtherClass => Ok(()),
                }
            }
            Self::Event(error) => write!(f, "the command was executed, but: {error}"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Listen(error) => error.fmt(f),
            Self::Strayed(log, 1) => write!(f, "{log}: a client strayed in one place"),
            Self::Strayed(log, n) => write!(f, "{log}: clients strayed in {n} places"),
            Self::Wrong(n_wrong, n) => write!(f, "wrong in {n_wrong} of {n} profiles"),
            Self::Line(name, line, failure) => {
                let done = match line - 1 {
                    0 => "nothing was executed before it".to_owned(),
                    n => format!("lines up to {n} were executed"),
                };
                write!(f, "{name}:{line}: {failure} ({done})")
            }
        }
    }
}
