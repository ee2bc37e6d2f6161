//! The shell: lines of a terminal, and what comes of them.

mod calls;
mod complete;
mod editor;
mod help;
mod history;
mod later;
mod place;
mod printer;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;

use qapi_gen::ir::Schema;
use qapi_runtime::Value;
use qapi_runtime::client::{CallOptions, EventFilter};
use rustyline::error::ReadlineError;

pub(crate) use self::help::read_docs;

use self::calls::Calls;
use self::editor::Editor;
use self::later::Later;
use self::printer::Printer;
use crate::failure::Failure;
use crate::line::{self, Call, Line, human_monitor};
use crate::options::Options;
use crate::output::{Format, print, print_lines, shown};
use crate::peer::Peer;
use crate::thread::not_started;

/// The longest name of a guest that is shown in front of each line.
const MAX_NAME: usize = 32;

/// Reads lines and executes them until the reader has enough.
///
/// # Errors
///
/// No server, or no terminal any more.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let docs = options.docs.as_deref().map(read_docs).transpose()?;
    let in_editor =
        |error: ReadlineError| Failure::Io("terminal".to_owned(), io::Error::other(error));
    let peer = Arc::new(Peer::connect(options)?);
    let mut editor = Editor::new().map_err(in_editor)?;
    let printer = editor.printer();
    let calls = Calls::new(printer.clone(), Format::of(options))
        .map_err(|error| Failure::Io("signals".to_owned(), error))?;
    let mut shell = Shell {
        options,
        docs,
        schema: Later::new(),
        peer,
        calls,
        printer,
    };
    shell.attend()?;
    editor.complete_by(shell.schema.clone());
    let mut prompt = shell.prompt();
    loop {
        let text = match editor.read(&prompt) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(in_editor(error)),
        };
        let done = match line::read(&text).map_err(Failure::Usage) {
            Ok(Line::Exit) => return Ok(()),
            Ok(Line::Connect) => shell.connect().map(|()| {
                editor.complete_by(shell.schema.clone());
                prompt = shell.prompt();
            }),
            Ok(line) => shell.execute(line),
            Err(failure) => Err(failure),
        };
        match done {
            // Who reads what is printed here has gone.
            Err(failure @ Failure::Io(..)) => return Err(failure),
            Err(failure) => {
                // As above; the next line tells.
                let _ = writeln!(io::stderr(), "{}", shown(&failure.to_string()));
            }
            Ok(()) => {}
        }
    }
}

struct Shell<'o> {
    options: &'o Options,
    /// With documentation.
    docs: Option<Schema>,
    /// What the server tells of itself; `None` if it does not.
    schema: Later<Option<Schema>>,
    peer: Arc<Peer>,
    calls: Calls,
    printer: Printer,
}

impl Shell<'_> {
    /// Begins to print events, and reads the server's schema meanwhile.
    fn attend(&mut self) -> Result<(), Failure> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
            spawned.map_err(|error| Failure::Io("the shell".to_owned(), not_started(error)))
        };
        let (events, printer) = (
            self.peer.client.listen(EventFilter::all()),
            self.printer.clone(),
        );
        let format = Format::of(self.options);
        let follow = move || {
            let mut n_missed = 0;
            loop {
                match events.next(None) {
                    Ok(event) => printer.print(format.event(&event.message().to_value())),
                    Err(error) => {
                        let error = shown(&error.to_string());
                        return printer.print(format!("{error}; .connect connects again\n"));
                    }
                }
                if events.n_missed() > n_missed {
                    let more = events.n_missed() - n_missed;
                    printer.print(format!("{more} events were missed\n"));
                    n_missed += more;
                }
            }
        };
        spawn("events", Box::new(follow))?;
        self.schema = Later::new();
        let (peer, schema) = (Arc::clone(&self.peer), self.schema.clone());
        spawn("schema", Box::new(move || schema.set(peer.schema())))?;
        Ok(())
    }

    /// Connects again after the connection was lost.
    fn connect(&mut self) -> Result<(), Failure> {
        if !self.peer.client.is_closed() {
            return Err(Failure::Usage("it is connected".to_owned()));
        }
        self.peer = Arc::new(Peer::connect(self.options)?);
        self.attend()
    }

    /// The guest's name, if it has one.
    fn prompt(&self) -> String {
        if self.options.agent {
            return "agent> ".to_owned();
        }
        let name = self
            .peer
            .client
            .execute_raw("query-name", None, CallOptions::new());
        let name = name
            .ok()
            .and_then(|answer| Some(answer.get("name")?.as_str()?.to_owned()));
        let name: String = name.unwrap_or_default().chars().take(MAX_NAME).collect();
        match name.as_str() {
            "" => "qmp> ".to_owned(),
            name => format!("{}> ", shown(name)),
        }
    }

    fn execute(&self, line: Line) -> Result<(), Failure> {
        match line {
            Line::Nothing | Line::Connect | Line::Exit => Ok(()),
            Line::Help(words) => {
                let text = match (words.is_empty(), self.schema.wait(editor::PATIENCE)) {
                    (true, _) => help::OVERVIEW.to_owned(),
                    (false, Some(schema)) => match &*schema {
                        Some(schema) => help::help(schema, self.docs.as_ref(), &words),
                        None => "the server does not tell its schema\n".to_owned(),
                    },
                    (false, None) => "the server's schema is not there yet\n".to_owned(),
                };
                print(&text)
            }
            Line::Human(line) => {
                let (command, arguments) = human_monitor(&line);
                match self.answer(command, &arguments, CallOptions::new())? {
                    Some(answer) => print_lines(answer.as_str().unwrap_or_default()),
                    None => Ok(()),
                }
            }
            Line::Command(call) => self.command(call),
        }
    }

    fn command(&self, call: Call) -> Result<(), Failure> {
        let options = call.options()?;
        let arguments = self
            .peer
            .arguments(&call.command, call.arguments, call.is_oob)?;
        match self.answer(&call.command, &arguments, options)? {
            Some(answer) => Format::of(self.options).print(&answer),
            None => Ok(()),
        }
    }

    /// The answer to a command; `None` if the reader does not want to wait for it.
    fn answer(
        &self,
        command: &str,
        arguments: &Value,
        options: CallOptions,
    ) -> Result<Option<Value>, Failure> {
        let answer = self.calls.call(&self.peer, command, arguments, options);
        match answer.map_err(|error| Failure::Io("the shell".to_owned(), error))? {
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(error)) => {
                if error.server_error().is_some() {
                    self.peer.was_refused();
                }
                Err(Failure::Client(error))
            }
            None => {
                let command = shown(command);
                print(&format!(
                    "\n{command} was sent; its answer is shown when it comes\n"
                ))?;
                Ok(None)
            }
        }
    }
}
