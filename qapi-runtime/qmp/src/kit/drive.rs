//! A driver for our own client.

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use qapi_runtime::address::Address;
use qapi_runtime::client::blocking::{Client, Events};
use qapi_runtime::client::{
    CallOptions, ClientError, ClientErrorKind, ConnectOptions, EventFilter,
};
use serde_json::{Value, json};

use super::member;

/// A text that is told by its length.
const MAX_TEXT: usize = 1000;

/// Takes the steps that come as lines with the blocking client, and tells what comes of each in a line.
///
/// # Errors
///
/// What reading and writing refuse, and a line that is no step.
pub fn drive(steps: impl BufRead, mut told: impl Write) -> io::Result<()> {
    let mut driven = Driven::default();
    for line in steps.lines() {
        let step: Value = serde_json::from_str(&line?)?;
        writeln!(told, "{}", driven.take(&step))?;
        told.flush()?;
    }
    Ok(())
}

/// The client and its events.
#[derive(Default)]
struct Driven {
    client: Option<(Client, Events)>,
}

impl Driven {
    fn take(&mut self, step: &Value) -> Value {
        let within = Duration::try_from_secs_f64(step["within"].as_f64().unwrap_or(0.0));
        let within = within.unwrap_or_default();
        if member(step, "do") == "connect" {
            return self.connect(member(step, "address"), within);
        }
        let Some((client, events)) = &self.client else {
            return json!({"outcome": "lost"});
        };
        match member(step, "do") {
            "execute" => execute(client, step, within),
            "execute-together" => together(client, step, within),
            "event" => next_event(events, member(step, "name"), within),
            _ => json!({"outcome": "cannot"}),
        }
    }

    fn connect(&mut self, address: &str, within: Duration) -> Value {
        self.client = None;
        let options = ConnectOptions::new(Address::unix(address)).handshake_timeout(within);
        match Client::connect_and_listen(options, EventFilter::all()) {
            Ok(client) => {
                self.client = Some(client);
                json!({"outcome": "connected"})
            }
            Err(error) => match error.kind() {
                ClientErrorKind::TimedOut(_) => json!({"outcome": "timeout"}),
                _ => json!({"outcome": "refused", "desc": error.to_string()}),
            },
        }
    }
}

fn execute(client: &Client, step: &Value, within: Duration) -> Value {
    let arguments: Result<qapi_runtime::Value, _> =
        serde_json::from_value(step["arguments"].clone());
    let call = CallOptions::new().timeout(within);
    match client.execute_raw(member(step, "command"), arguments.ok().as_ref(), call) {
        Ok(value) => match value.as_str() {
            Some(text) if text.len() > MAX_TEXT => {
                json!({"outcome": "returned", "length": text.len()})
            }
            _ => json!({"outcome": "returned", "value": value}),
        },
        Err(error) => failed(&error),
    }
}

fn failed(error: &ClientError) -> Value {
    if let Some(error) = error.server_error() {
        return json!({"outcome": "error", "class": error.class.as_str(), "desc": error.desc});
    }
    match error.kind() {
        ClientErrorKind::TimedOut(_) => json!({"outcome": "timeout"}),
        _ => json!({"outcome": "lost", "desc": error.to_string()}),
    }
}

/// Each on a thread of its own, begun in their order.
fn together(client: &Client, step: &Value, within: Duration) -> Value {
    let commands = step["commands"].as_array().cloned().unwrap_or_default();
    let outcomes: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = commands
            .iter()
            .map(|command| scope.spawn(move || execute(client, command, within)))
            .collect();
        let outcome = |thread: std::thread::ScopedJoinHandle<'_, Value>| thread.join();
        let cannot = json!({"outcome": "cannot"});
        let outcomes = threads.into_iter().map(outcome);
        outcomes
            .map(|it| it.unwrap_or_else(|_| cannot.clone()))
            .collect()
    });
    json!({"outcome": "together", "outcomes": outcomes})
}

fn next_event(events: &Events, name: &str, within: Duration) -> Value {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.next(Some(left)) {
            Ok(event) if event.name() == name => {
                return json!({"outcome": "event", "data": event.data().to_value()});
            }
            Ok(_) => {}
            Err(error) => return failed(&error),
        }
    }
}
