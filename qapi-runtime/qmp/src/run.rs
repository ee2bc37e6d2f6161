//! Executes what was asked for.

use std::io::Read as _;
use std::path::Path;

use qapi_gen::internals::limits::MAX_FILE;
use qapi_gen::internals::read_input;
use qapi_runtime::Value;
use qapi_runtime::client::{CallOptions, EventFilter};
use qapi_runtime::descriptor::inherited;

use crate::arguments;
use crate::failure::Failure;
use crate::options::Options;
use crate::output::{Format, print_lines};
use crate::peer::Peer;
use crate::words;

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let format = Format::of(options);
    let events = Awaited::read(&options.wait_event)?;
    // What can be wrong without a server is told without one.
    let script = options.script.as_deref().map(read_script).transpose()?;
    let written = arguments::read(&options.arguments).map_err(Failure::Usage)?;
    let peer = Peer::connect(options)?;
    if let Some(script) = script {
        let name = options
            .script
            .as_deref()
            .unwrap_or(Path::new("-"))
            .display();
        for (line, words) in script {
            execute_words(&peer, options, format, &words)
                .map_err(|failure| Failure::Line(name.to_string(), line, Box::new(failure)))?;
        }
        return Ok(());
    }
    if let Some(line) = &options.hmp {
        let arguments = Value::from_iter([("command-line".to_owned(), Value::from(&**line))]);
        let call = calling(options)?;
        let answer = peer
            .client
            .execute_raw("human-monitor-command", Some(&arguments), call);
        let answer = answer.map_err(Failure::Client)?;
        return print_lines(answer.as_str().unwrap_or_default());
    }
    let command = options.command.as_deref().unwrap_or_default();
    let arguments = peer.arguments(command, written, options.oob)?;
    execute(&peer, options, format, command, &arguments, &events)
}

fn execute_words(
    peer: &Peer,
    options: &Options,
    format: Format,
    words: &[String],
) -> Result<(), Failure> {
    let Some((command, rest)) = words.split_first() else {
        return Ok(());
    };
    let written = arguments::read(rest).map_err(Failure::Usage)?;
    let arguments = peer.arguments(command, written, options.oob)?;
    execute(
        peer,
        options,
        format,
        command,
        &arguments,
        &Awaited::default(),
    )
}

/// Executes one command and prints what comes of it.
fn execute(
    peer: &Peer,
    options: &Options,
    format: Format,
    command: &str,
    arguments: &Value,
    events: &Awaited,
) -> Result<(), Failure> {
    let call = calling(options)?;
    // Before the command is sent, so that nothing comes in between; what came earlier does not count.
    let listener = (!events.filters.is_empty()).then(|| peer.client.listen(EventFilter::all()));
    while listener.as_ref().is_some_and(|it| it.try_next().is_some()) {}
    let answer = peer.client.execute_raw(command, Some(arguments), call);
    let answer = answer.map_err(|error| {
        if error.server_error().is_some() {
            peer.was_refused();
        }
        Failure::Client(error)
    })?;
    format.print(&answer)?;
    let Some(listener) = listener else {
        return Ok(());
    };
    let deadline = options
        .patience()
        .map(|it| (std::time::Instant::now() + it, it));
    loop {
        let left = deadline
            .map(|(deadline, _)| deadline.saturating_duration_since(std::time::Instant::now()));
        let event = listener.next(left).map_err(Failure::Event)?;
        if events.filters.iter().any(|filter| filter.matches(&event)) {
            return format.print(&event.message().to_value());
        }
    }
}

/// How a command is sent, with the descriptors that go along.
fn calling(options: &Options) -> Result<CallOptions, Failure> {
    let mut call = CallOptions::new();
    if options.oob {
        call = call.out_of_band();
    }
    for number in &options.fd {
        let descriptor = inherited(*number)
            .map_err(|error| Failure::Usage(format!("--fd {number}: {error}; nothing was sent")))?;
        call = call.descriptor(descriptor);
    }
    Ok(call)
}

/// The events that are waited for.
#[derive(Debug, Default)]
struct Awaited {
    filters: Vec<EventFilter>,
}

impl Awaited {
    fn read(texts: &[String]) -> Result<Self, Failure> {
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
        let filters = texts.iter().map(filter).collect::<Result<_, _>>()?;
        Ok(Self { filters })
    }
}

/// The lines of a script that have words, with their numbers. All are looked at before the first is executed.
fn read_script(path: &Path) -> Result<Vec<(usize, Vec<String>)>, Failure> {
    let name = path.display().to_string();
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin()
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
    for (n, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map_err(|_| in_line(n + 1, "not UTF-8"))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words = words::split(line).ok_or_else(|| in_line(n + 1, "a quote is not closed"))?;
        lines.push((n + 1, words));
    }
    Ok(lines)
}
