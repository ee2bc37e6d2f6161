//! Where the figures come from: the server tells threads and holders, the kernel how long threads ran.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use qapi_runtime::address::Address;
use qapi_runtime::client::blocking::Client;
use qapi_runtime::client::{CallOptions, ClientError, ClientErrorKind, ConnectOptions};
use qapi_runtime::{Object, Value};

/// How long the server may take to greet, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// An IOThread as it is at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Thread {
    pub(crate) id: String,
    pub(crate) thread_id: i64,
    /// The part of one processor that it used since the last look; `None` at the first, and where it cannot be known.
    pub(crate) busy: Option<f64>,
    /// `None` if the server does not tell.
    pub(crate) holders: Option<Vec<Holder>>,
    pub(crate) poll_max_ns: Option<i64>,
    pub(crate) is_internal: bool,
}

/// Who has the context of an IOThread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holder {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// All IOThreads of a server at a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) threads: Vec<Thread>,
}

/// A server that is looked at again and again.
pub(crate) struct Source {
    address: Address,
    client: Client,
    pub(crate) shows_internal: bool,
    /// When each thread was looked at, and how long it had run.
    runtimes: HashMap<i64, (Instant, Duration)>,
}

impl Source {
    pub(crate) fn connect(address: &Address, shows_internal: bool) -> Result<Self, ClientError> {
        Ok(Self {
            address: address.clone(),
            client: connect(address)?,
            shows_internal,
            runtimes: HashMap::new(),
        })
    }

    /// The server's address.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether there is a connection, on which the server may be late.
    pub(crate) fn is_connected(&self) -> bool {
        !self.client.is_closed()
    }

    /// Looks at all threads, of another server if the last one is gone. Internal ones come last, where the server has a
    /// command for them.
    pub(crate) fn look(&mut self) -> Result<Snapshot, ClientError> {
        if self.client.is_closed() {
            // Another process may have the numbers of the last one.
            self.runtimes.clear();
            self.client = connect(&self.address)?;
        }
        let mut threads = self.query("query-iothreads", false)?;
        if self.shows_internal {
            match self.query("x-query-internal-iothreads", true) {
                Ok(internal) => threads.extend(internal),
                // QEMU has no such command.
                Err(error) if matches!(error.kind(), ClientErrorKind::Server(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let process = self.client.peer_credentials().and_then(|it| it.process);
        let mut runtimes = HashMap::with_capacity(threads.len());
        for thread in &mut threads {
            let ran = process.and_then(|process| runtime(process, thread.thread_id));
            let Some(ran) = ran else {
                continue;
            };
            let now = Instant::now();
            if let Some((then, before)) = self.runtimes.get(&thread.thread_id) {
                let ran = ran.saturating_sub(*before).as_secs_f64();
                thread.busy = Some(ran / now.duration_since(*then).as_secs_f64());
            }
            runtimes.insert(thread.thread_id, (now, ran));
        }
        self.runtimes = runtimes;
        Ok(Snapshot { threads })
    }

    fn query(&self, command: &str, is_internal: bool) -> Result<Vec<Thread>, ClientError> {
        let answer = self.client.execute_raw(command, None, CallOptions::new())?;
        let Value::Array(elements) = answer else {
            return Ok(Vec::new());
        };
        let thread = |element: &Value| match element {
            Value::Object(members) => Some(thread(members, is_internal)),
            _ => None,
        };
        Ok(elements.iter().filter_map(thread).collect())
    }
}

/// What an element of the answer says. Servers differ in what they tell, so nothing but the id is relied on.
fn thread(members: &Object, is_internal: bool) -> Thread {
    let holders = match members.get("holders") {
        Some(Value::Array(holders)) => Some(holders.iter().filter_map(holder).collect()),
        _ => None,
    };
    Thread {
        id: text(members.get("id")),
        thread_id: members
            .get("thread-id")
            .and_then(Value::as_i64)
            .unwrap_or(0),
        busy: None,
        holders,
        poll_max_ns: members.get("poll-max-ns").and_then(Value::as_i64),
        is_internal,
    }
}

fn connect(address: &Address) -> Result<Client, ClientError> {
    let options = ConnectOptions::new(address.clone());
    Client::connect(options.timeout(PATIENCE).handshake_timeout(PATIENCE))
}

/// A holder of any kind: beside its type it has one member, its name.
fn holder(value: &Value) -> Option<Holder> {
    let Value::Object(members) = value else {
        return None;
    };
    let name = members.iter().find(|(key, _)| *key != "type");
    Some(Holder {
        kind: text(members.get("type")),
        name: text(name.map(|(_, name)| name)),
    })
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or("?").to_owned()
}

/// How long a thread of a process has run. Nothing if the process has no such thread, or calls it by a number of another
/// namespace: then the number is that of something else here.
fn runtime(process: u32, thread_id: i64) -> Option<Duration> {
    let folder = format!("/proc/{process}/task/{thread_id}");
    let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
    if !is_of_this_namespace(&status, thread_id) {
        return None;
    }
    // The first number is nanoseconds on a processor.
    let text = std::fs::read_to_string(format!("{folder}/schedstat")).ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Whether a thread has one number only, and this one: the kernel tells its numbers in all namespaces from this one down.
fn is_of_this_namespace(status: &str, thread_id: i64) -> bool {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Option<Vec<i64>> = numbers.and_then(|numbers| {
        let numbers = numbers.split_whitespace();
        numbers.map(|number| number.parse().ok()).collect()
    });
    numbers == Some(vec![thread_id])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
        members
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    #[test]
    fn servers_that_tell_more_or_less() {
        let holder = object([("type", "block-node".into()), ("node-name", "n0".into())]);
        let full = object([
            ("id", "io0".into()),
            ("thread-id", Value::Int(7)),
            ("holders", Value::Array(vec![holder])),
            ("poll-max-ns", Value::Int(32)),
        ]);
        let Value::Object(members) = &full else {
            panic!()
        };
        let expected = Holder {
            kind: "block-node".to_owned(),
            name: "n0".to_owned(),
        };
        let read = thread(members, false);
        assert_eq!(read.holders, Some(vec![expected]));
        assert_eq!((read.thread_id, read.poll_max_ns), (7, Some(32)));
        let bare = thread(&Object::new(), true);
        assert_eq!((bare.id.as_str(), bare.holders), ("?", None));
    }

    #[test]
    fn a_thread_that_runs_gets_older() {
        let process = std::process::id();
        let own = rustix::thread::gettid().as_raw_nonzero().get().into();
        let before = runtime(process, own).unwrap();
        while runtime(process, own).unwrap() == before {}
        assert!(runtime(process, own).unwrap() > before);
        assert_eq!(runtime(process, -1), None);
    }

    #[test]
    fn threads_of_others_are_not_taken_for_the_servers() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = std::process::id();
        let other = i64::from(child.id());
        assert_eq!(runtime(process, other), None);
        let own = runtime(child.id(), other);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own.is_some());
        for (numbers, is_ours) in [
            ("NSpid:\t7\n", true),
            ("NSpid:\t4242\t7\n", false),
            ("NSpid:\t7\t7\n", false),
            ("", false),
        ] {
            assert_eq!(
                is_of_this_namespace(&format!("Name:\tx\n{numbers}"), 7),
                is_ours
            );
        }
    }
}
