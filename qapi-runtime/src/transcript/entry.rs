//! Lines of a log.

use std::time::Duration;

use super::{Dialect, Ended, Entry, Recorded};
use crate::json::{Kind, ValueRef};
use crate::value::{Object, Value};

const QMP: &str = "qmp";
const GUEST_AGENT: &str = "guest-agent";
const CLIENT: &str = "client";
const SERVER: &str = "server";

impl Entry {
    /// The line, as JSON.
    #[must_use]
    pub fn to_line(&self) -> Value {
        let number = |name: &str, number: u128| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            (name.to_owned(), Value::Int(number))
        };
        let mut line = Object::from_iter([
            number("connection", self.connection.into()),
            number("at", self.at.as_micros()),
        ]);
        let (name, value) = match &self.what {
            Recorded::Opened { peer, .. } => ("opened", Value::from(peer.as_str())),
            Recorded::Sent(message) => ("sent", message.clone()),
            Recorded::Received(message) => ("received", message.clone()),
            Recorded::Closed(Ended::ByClient) => ("closed", Value::from(CLIENT)),
            Recorded::Closed(Ended::ByServer) => ("closed", Value::from(SERVER)),
        };
        line.insert(name.to_owned(), value);
        if self.descriptors > 0 {
            let (name, value) = number("descriptors", self.descriptors.into());
            line.insert(name, value);
        }
        if !self.masked.is_empty() {
            let masked = self.masked.iter().map(|way| Value::from(way.as_str()));
            line.insert("masked".to_owned(), masked.collect());
        }
        if let Recorded::Opened { dialect, .. } = self.what {
            let dialect = match dialect {
                Dialect::Qmp => QMP,
                Dialect::GuestAgent => GUEST_AGENT,
            };
            line.insert("dialect".to_owned(), Value::from(dialect));
        }
        Value::Object(line)
    }

    /// Nothing if the line has nothing that is known; the name of a member that is wrong.
    pub(super) fn from_line(
        line: ValueRef<'_>,
        number_of_line: usize,
    ) -> Result<Option<Self>, &'static str> {
        let what = if let Some(peer) = line.get("opened") {
            Recorded::Opened {
                peer: peer.as_str().ok_or("opened")?.to_owned(),
                dialect: match line.get("dialect").and_then(ValueRef::as_str) {
                    Some(QMP) | None => Dialect::Qmp,
                    Some(GUEST_AGENT) => Dialect::GuestAgent,
                    Some(_) => return Err("dialect"),
                },
            }
        } else if let Some(message) = line.get("sent") {
            Recorded::Sent(message.to_value())
        } else if let Some(message) = line.get("received") {
            Recorded::Received(message.to_value())
        } else if let Some(who) = line.get("closed") {
            Recorded::Closed(match who.as_str() {
                Some(CLIENT) => Ended::ByClient,
                Some(SERVER) => Ended::ByServer,
                _ => return Err("closed"),
            })
        } else {
            return Ok(None);
        };
        let number = |name: &'static str| line.get(name).map(|it| it.as_u64().ok_or(name));
        Ok(Some(Self {
            connection: number("connection").ok_or("connection")??,
            at: Duration::from_micros(number("at").unwrap_or(Ok(0))?),
            what,
            descriptors: number("descriptors").unwrap_or(Ok(0))?,
            masked: match line.get("masked") {
                Some(ways) if ways.kind() == Kind::Array => {
                    let ways = ways.elements().map(|way| way.as_str().map(str::to_owned));
                    ways.collect::<Option<_>>().ok_or("masked")?
                }
                Some(_) => return Err("masked"),
                None => Vec::new(),
            },
            line: number_of_line,
        }))
    }
}
