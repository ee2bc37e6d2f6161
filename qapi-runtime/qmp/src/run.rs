//! Executes what was asked for.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use qapi_gen::internals::limits::MAX_FILE;
use qapi_gen::internals::read_input;
use qapi_runtime::Value;
use qapi_runtime::client::{CallOptions, EventFilter, Outcome};

use crate::arguments;
use crate::failure::Failure;
use crate::line::{self, Line, human_monitor};
use crate::options::Options;
use crate::output::{Format, print_lines};
use crate::peer::Peer;
use crate::shell;
use crate::system::with_inherited;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let format = Format::of(options);
    let event = awaited(&options.wait_event)?;
    // What can be wrong without a server is told without one.
    let written = arguments::read(&options.arguments).map_err(Failure::Usage)?;
    let script = match (&options.script, &options.command, &options.hmp) {
        (Some(path), ..) => Some(path.as_path()),
        (None, None, None) if io::stdin().is_terminal() => return shell::run(options),
        (None, None, None) => Some(Path::new("-")),
        (None, ..) => None,
    };
    let script = script
        .map(|path| Ok((path.display(), read_script(path)?)))
        .transpose()?;
    let peer = Peer::connect(options)?;
    if let Some((name, script)) = script {
        for (number, line) in script {
            execute_line(&peer, options, format, line)
                .map_err(|failure| Failure::Line(name.to_string(), number, Box::new(failure)))?;
        }
        return Ok(());
    }
    if let Some(line) = &options.hmp {
        return execute_human(&peer, options, line);
    }
    let command = options.command.as_deref().unwrap_or_default();
    let arguments = peer.arguments(command, written, options.oob)?;
    let call = calling(options)?;
    execute(&peer, format, (command, &arguments, call), event)
}

fn execute_line(peer: &Peer, options: &Options, format: Format, line: Line) -> Result<(), Failure> {
    match line {
        Line::Nothing => Ok(()),
        Line::Human(line) => execute_human(peer, options, &line),
        Line::Command(call) => {
            let is_oob = call.is_oob || options.oob;
            let how = call.options()?;
            let how = if is_oob { how.out_of_band() } else { how };
            let arguments = peer.arguments(&call.command, call.arguments, is_oob)?;
            execute(peer, format, (&call.command, &arguments, how), None)
        }
        Line::Help(_) | Line::Connect | Line::Exit => {
            let text = ".help, .connect and .exit are words of the shell, not of scripts";
            Err(Failure::Usage(text.to_owned()))
        }
    }
}

/// Executes a line of the human monitor and prints what it says.
fn execute_human(peer: &Peer, options: &Options, line: &str) -> Result<(), Failure> {
    let (command, arguments) = human_monitor(line);
    let call = calling(options)?;
    let answer = peer.client.execute_raw(command, Some(&arguments), call);
    let answer = answer.map_err(Failure::Client)?;
    print_lines(answer.as_str().unwrap_or_default())
}

/// Executes one command and prints what comes of it, and the event that is waited for.
fn execute(
    peer: &Peer,
    format: Format,
    (command, arguments, call): (&str, &Value, CallOptions),
    event: Option<EventFilter>,
) -> Result<(), Failure> {
    let is_event_awaited = event.is_some();
    let done = match event {
        None => {
            let answer = peer.client.execute_raw(command, Some(arguments), call);
            answer.map(|answer| (answer, None))
        }
        Some(filter) => {
            let done = peer
                .client
                .execute_raw_until(command, Some(arguments), filter, call);
            done.map(|(answer, event)| (answer, Some(event)))
        }
    };
    let error = match done {
        Ok((answer, None)) => return format.print(&answer),
        Ok((answer, Some(event))) => {
            format.print(&answer)?;
            return format.print(&event.message().to_value());
        }
        Err(error) => error,
    };
    if let (true, Outcome::Done(answer)) = (is_event_awaited, error.outcome()) {
        format.print(&answer)?;
        return Err(Failure::Event(error));
    }
    if error.server_error().is_some() {
        peer.was_refused();
    }
    Err(Failure::Client(error))
}

/// How a command is sent, with the descriptors that go along.
fn calling(options: &Options) -> Result<CallOptions, Failure> {
    let mut call = CallOptions::new();
    if options.oob {
        call = call.out_of_band();
    }
    for number in &options.fd {
        call = with_inherited(call, *number)
            .map_err(|error| Failure::Usage(format!("--fd {number}: {error}; nothing was sent")))?;
    }
    Ok(call)
}

/// The events of which one is waited for.
fn awaited(texts: &[String]) -> Result<Option<EventFilter>, Failure> {
    let filter = |text: &String| {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let mut filter = EventFilter::name(name);
        for part in parts {
            let (member, value) = part.split_once('=').ok_or_else(|| {
                let reason = "NAME or NAME,MEMBER=VALUE,... is expected";
                Failure::Usage(format!("--wait-event {text}: {reason}"))
            })?;
            filter = filter.with_member(member, value);
        }
        Ok(filter)
    };
    let filters: Vec<EventFilter> = texts.iter().map(filter).collect::<Result<_, _>>()?;
    Ok(filters.into_iter().reduce(EventFilter::or))
}

/// The lines of a script that ask for something, with their numbers. All are looked at before the first is executed.
fn read_script(path: &Path) -> Result<Vec<(usize, Line)>, Failure> {
    let name = path.display().to_string();
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = io::stdin()
            .lock()
            .take(MAX_FILE + 1)
            .read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        read_input(path)
    };
    let bytes = bytes.map_err(|error| Failure::Io(name.clone(), error))?;
    let in_line = |line: usize, text: &str| Failure::Usage(format!("{name}:{line}: {text}"));
    let mut lines = Vec::new();
    for (n, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let text = std::str::from_utf8(text).map_err(|_| in_line(n + 1, "not UTF-8"))?;
        match line::read(text).map_err(|error| in_line(n + 1, &error))? {
            Line::Nothing => {}
            line => lines.push((n + 1, line)),
        }
    }
    Ok(lines)
}
