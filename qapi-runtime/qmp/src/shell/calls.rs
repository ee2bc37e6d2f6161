//! Commands that can be left before they are answered.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use qapi_runtime::Value;
use qapi_runtime::client::{CallOptions, ClientError, Outcome};

use super::printer::Printer;
use crate::output::{Format, shown};
use crate::peer::Peer;
use crate::system::on_interrupt;
use crate::thread::not_started;

/// What the one who waits for an answer hears.
enum Told {
    Answer(Result<Value, ClientError>),
    Interrupt,
}

/// Where the answer of one command goes, as long as somebody waits for it.
type Slot = Arc<Mutex<Option<Sender<Told>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is never left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Executes commands on threads of their own, so that Ctrl-C can end the wait.
pub(super) struct Calls {
    /// The command that is waited for.
    current: Arc<Mutex<Slot>>,
    printer: Printer,
    format: Format,
}

impl Calls {
    /// Takes Ctrl-C for this process.
    pub(super) fn new(printer: Printer, format: Format) -> io::Result<Self> {
        let current = Arc::<Mutex<Slot>>::default();
        let interrupted = Arc::clone(&current);
        on_interrupt(move || {
            let slot = Arc::clone(&lock(&interrupted));
            if let Some(waiting) = &*lock(&slot) {
                // Who has the answer does not listen any more.
                let _ = waiting.send(Told::Interrupt);
            }
        })?;
        Ok(Self {
            current,
            printer,
            format,
        })
    }

    /// Executes a command. `None` is for a wait that was ended: the answer is printed when it comes.
    pub(super) fn call(
        &self,
        peer: &Arc<Peer>,
        command: &str,
        arguments: &Value,
        options: CallOptions,
    ) -> io::Result<Option<Result<Value, ClientError>>> {
        let (sender, told) = channel();
        let slot = Arc::new(Mutex::new(Some(sender)));
        *lock(&self.current) = Arc::clone(&slot);
        let late = Late {
            printer: self.printer.clone(),
            format: self.format,
            command: command.to_owned(),
        };
        let (peer, arguments, answered) = (Arc::clone(peer), arguments.clone(), Arc::clone(&slot));
        thread::Builder::new()
            .name("command".to_owned())
            .spawn(move || {
                let call = peer
                    .client
                    .execute_raw(&late.command, Some(&arguments), options);
                let unknown = call
                    .as_ref()
                    .err()
                    .and_then(|error| error.late_reply().cloned());
                match lock(&answered).take() {
                    Some(waiting) => {
                        // The receiver is there as long as the sender is in the slot.
                        let _ = waiting.send(Told::Answer(call));
                    }
                    None => late.print(call.map_err(|error| error.to_string())),
                }
                if let Some(unknown) = unknown {
                    late.print_outcome(unknown.wait(Duration::MAX));
                }
            })
            .map_err(not_started)?;
        loop {
            match told.recv() {
                Ok(Told::Answer(answer)) => return Ok(Some(answer)),
                // Otherwise the answer is on its way.
                Ok(Told::Interrupt) if lock(&slot).take().is_some() => return Ok(None),
                Ok(Told::Interrupt) => {}
                Err(_) => return Ok(None),
            }
        }
    }
}

/// Prints what comes after nobody waits for it any more.
struct Late {
    printer: Printer,
    format: Format,
    command: String,
}

impl Late {
    fn print(&self, answer: Result<Value, String>) {
        let command = shown(&self.command);
        self.printer.print(match answer {
            Ok(value) => {
                let text = self.format.text(&value);
                let text = if text.is_empty() { "done\n" } else { &text };
                format!("late answer to {command}:\n{text}")
            }
            Err(error) => format!("late answer to {command}: {}\n", shown(&error)),
        });
    }

    fn print_outcome(&self, outcome: Outcome) {
        match outcome {
            Outcome::Done(value) => self.print(Ok(value)),
            Outcome::Refused(error) => self.print(Err(error.to_string())),
            Outcome::ConnectionLost => self.print(Err("the connection was lost".to_owned())),
            // Nothing is known that has not been said.
            Outcome::NotSent | Outcome::Unknown | _ => {}
        }
    }
}
