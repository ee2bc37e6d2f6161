//! A driver for a client that is written by hand, with one fault of each kind on request.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Under this name, with a dash and the name of a profile behind it, this program is the driver with the fault that the profile
/// finds; with `none` it has no fault.
pub(crate) const NAME: &str = "planted";

/// Runs the driver.
pub(crate) fn main(fault: &str) -> ExitCode {
    let mut client = Client::new(fault.to_owned());
    for line in io::stdin().lines() {
        let step: Value = serde_json::from_str(&line.unwrap()).unwrap();
        println!("{}", client.take(&step));
    }
    ExitCode::SUCCESS
}

/// Why there is no message.
enum Nothing {
    Timeout,
    Lost,
}

struct Client {
    fault: String,
    address: String,
    stream: Option<UnixStream>,
    unread: Vec<u8>,
    events: VecDeque<Value>,
    next_id: u64,
}

impl Client {
    fn new(fault: String) -> Self {
        Self {
            fault,
            address: String::new(),
            stream: None,
            unread: Vec::new(),
            events: VecDeque::new(),
            next_id: 1,
        }
    }

    fn has(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn take(&mut self, step: &Value) -> Value {
        let deadline = Instant::now() + Duration::from_secs_f64(step["within"].as_f64().unwrap());
        match step["do"].as_str().unwrap() {
            "connect" => {
                self.address = step["address"].as_str().unwrap().to_owned();
                self.connect(deadline)
            }
            "execute" => self.execute(step, deadline),
            "execute-together" => {
                let commands = step["commands"].as_array().unwrap();
                let ids: Vec<u64> = commands.iter().map(|it| self.send(it)).collect();
                let mut answers: Vec<Option<Value>> = vec![None; ids.len()];
                while answers.iter().any(Option::is_none) {
                    let Ok(message) = self.message(deadline) else {
                        return json!({"outcome": "lost"});
                    };
                    // The fault: the first answer is to the first command.
                    let place = match self.has("ids-reordered") {
                        true => answers.iter().position(Option::is_none),
                        false => ids.iter().position(|id| message["id"] == *id),
                    };
                    match place {
                        Some(place) => answers[place] = Some(outcome(&message)),
                        None => self.keep(message),
                    }
                }
                json!({"outcome": "together", "outcomes": answers})
            }
            "event" => loop {
                if let Some(event) = self.events.pop_front() {
                    return json!({"outcome": "event", "data": event["data"]});
                }
                match self.message(deadline) {
                    Ok(message) => self.keep(message),
                    Err(Nothing::Timeout) => return json!({"outcome": "timeout"}),
                    Err(Nothing::Lost) => return json!({"outcome": "lost"}),
                }
            },
            _ => json!({"outcome": "cannot"}),
        }
    }

    fn connect(&mut self, deadline: Instant) -> Value {
        self.unread.clear();
        self.stream = Some(UnixStream::connect(&self.address).unwrap());
        let deadline = match self.has("silence") {
            // The fault: it waits for ever.
            true => deadline + Duration::from_secs(3600),
            false => deadline,
        };
        loop {
            match self.message(deadline) {
                Ok(message) if message.get("QMP").is_some() => break,
                // The fault: the first message has to be the greeting.
                Ok(_) if self.has("event-before-greeting") => return json!({"outcome": "refused"}),
                Ok(message) => self.keep(message),
                Err(Nothing::Timeout) => return json!({"outcome": "timeout"}),
                Err(Nothing::Lost) => return json!({"outcome": "refused"}),
            }
        }
        let id = self.send(&json!({"command": "qmp_capabilities"}));
        match self.answer(id, deadline) {
            Ok(answer) if answer.get("return").is_some() => json!({"outcome": "connected"}),
            // The fault: whatever the answer is.
            Ok(_) if self.has("refused-negotiation") => json!({"outcome": "connected"}),
            Ok(_) | Err(Nothing::Lost) => json!({"outcome": "refused"}),
            Err(Nothing::Timeout) => json!({"outcome": "timeout"}),
        }
    }

    fn execute(&mut self, step: &Value, deadline: Instant) -> Value {
        let id = self.send(step);
        match self.answer(id, deadline) {
            Ok(message) => outcome(&message),
            Err(Nothing::Timeout) => json!({"outcome": "timeout"}),
            // The fault: it connects and sends once more by itself.
            Err(Nothing::Lost) if self.has("duplicate-after-retry") => {
                self.connect(deadline);
                let id = self.send(step);
                let answer = self.answer(id, deadline);
                answer.map_or(json!({"outcome": "lost"}), |answer| outcome(&answer))
            }
            // The fault: the end is as good as an empty answer.
            Err(Nothing::Lost) if self.has("end-in-the-middle") => {
                json!({"outcome": "returned", "value": null})
            }
            Err(Nothing::Lost) => json!({"outcome": "lost"}),
        }
    }

    fn answer(&mut self, id: u64, deadline: Instant) -> Result<Value, Nothing> {
        loop {
            let message = self.message(deadline)?;
            let is_event = message.get("event").is_some();
            // The faults: whatever comes is the answer; any answer is the one.
            let is_taken =
                self.has("event-before-reply") || (self.has("late-replies") && !is_event);
            if message["id"] == id || is_taken {
                return Ok(message);
            }
            self.keep(message);
        }
    }

    fn send(&mut self, command: &Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"execute": command["command"], "id": id});
        if let Some(arguments) = command.get("arguments") {
            message["arguments"] = arguments.clone();
        }
        // It may be over; that is seen when an answer is waited for.
        let _ = self
            .stream
            .as_ref()
            .unwrap()
            .write_all(format!("{message}\n").as_bytes());
        id
    }

    fn keep(&mut self, message: Value) {
        if message.get("event").is_some() {
            self.events.push_back(message);
        }
    }

    fn message(&mut self, deadline: Instant) -> Result<Value, Nothing> {
        // The fault: a message has to fit into a buffer.
        let most = if self.has("large-reply") {
            64 << 10
        } else {
            usize::MAX
        };
        let mut buffer = vec![0; 1 << 16];
        let mut looked = 0;
        loop {
            let end = self.unread[looked..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end.map(|end| looked + end) {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line).unwrap());
            }
            looked = self.unread.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Nothing::Timeout);
            }
            let stream = self.stream.as_mut().unwrap();
            stream.set_read_timeout(Some(left)).unwrap();
            match stream.read(&mut buffer) {
                Ok(0) => return Err(Nothing::Lost),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Nothing::Timeout);
                }
                Err(_) => return Err(Nothing::Lost),
            }
            // The fault: what is read at once is a message.
            let is_cut = self.has("trickle") && !self.unread.ends_with(b"\n");
            if is_cut || self.unread.len() > most {
                return Err(Nothing::Lost);
            }
        }
    }
}

fn outcome(message: &Value) -> Value {
    if let Some(error) = message.get("error") {
        return json!({"outcome": "error", "class": error["class"], "desc": error["desc"]});
    }
    match message["return"].as_str() {
        Some(text) if text.len() > 1000 => json!({"outcome": "returned", "length": text.len()}),
        _ => json!({"outcome": "returned", "value": message["return"]}),
    }
}
