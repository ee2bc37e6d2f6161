//! Clients of QMP servers and of the guest agent.
//!
//! - [`blocking::Client`] (feature `client-blocking`) for programs with threads; [`Client`] (feature `client-async`) for
//!   asynchronous ones. Both can be shared, have any number of commands in flight, match replies
//!   by `id`, and survive servers that are older or newer than the schema that they were
//!   generated from.
//! - [`protocol`] is the same without I/O, for everything else.
//! - [`mock`] (feature `mock`) is a server for tests of code that uses a client.
//! - [`Transcript`] is the log of a session, which clients write and mocks play.
//!
//! When the time of a command is up, [`ClientError::outcome`] tells whether it was sent, and [`ClientError::late_reply`] is the
//! answer that may still come: done, refused, or the connection was lost. Nothing is sent twice. [`ClientError::reason`] says
//! what the text of a `GenericError` means, where it is one that is known.
//!
//! Nothing slips between a command and what comes of it: `execute_until` waits for the event that completes a command, and
//! `start_job` follows a job to its end. Events are kept from the first word of the server on, for the first listener; a listener that
//! does not read misses events itself, is told how many, and does not keep others waiting.
//!
//! `peer_schema` has what the server tells of itself, for programs that have to know what it can do; with
//! [`ConnectOptions::refuse_unknown`] nothing is sent that it does not know. `plan` does several things as one, and undoes them if one
//! fails.
//!
//! How a server is can be told without asking it: `lifeline` of a client, and [`ClientError::lifeline`] where there is none.
//!
//! A server is at an [`Address`], or at the other end of a stream or descriptor that is there already (`connect_stream`,
//! `connect_descriptor`).
//!
//! Commands are typed ([`Request`](crate::message::Request), generated from a schema) or raw.
//! A result is read leniently: what the schema does not know is ignored or kept as unknown.

#[cfg(feature = "client-async")]
mod asynchronous;
mod backoff;
#[cfg(feature = "client-blocking")]
pub mod blocking;
mod core;
mod error;
mod establish;
mod event;
mod front;
mod hub;
mod job;
mod late;
mod lifeline;
mod listener;
#[cfg(feature = "mock")]
pub mod mock;
mod open;
mod options;
mod peer;
mod plan;
pub mod protocol;
mod reason;
mod request;
mod said;
mod silence;
#[cfg(feature = "client-blocking")]
mod stream;
mod thread;
mod trace;
mod transcript;
mod undo;

use std::time::Duration;

#[cfg(feature = "client-async")]
pub use self::asynchronous::{Client, Events, Job, Plan};
pub use self::core::Greeting;
pub use self::error::{ClientError, ClientErrorKind};
pub use self::event::{EventFilter, RawEvent};
pub use self::job::JobState;
pub use self::late::{LateReply, Outcome};
pub use self::lifeline::{Lifeline, LifelineState};
#[cfg(all(unix, feature = "client-blocking"))]
pub use self::open::open;
pub use self::options::{CallOptions, ConnectOptions};
pub use self::plan::PlanError;
pub use self::reason::Reason;
pub use self::transcript::Transcript;
pub use crate::address::{Address, AddressError};
pub use crate::dialect::Dialect;

/// Events that wait for a listener before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// Bytes read at a time.
const READ_SIZE: usize = 64 << 10;

/// How often a socket that is not there yet is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
