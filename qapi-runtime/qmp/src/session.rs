//! The tools for sessions, as commands.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use qapi_gen::internals::read_input;
use qapi_runtime::client::{Dialect, Transcript};

use crate::command_line::{Record, Replay, Tool};
use crate::failure::Failure;
use crate::output::shown;
use crate::record::Recorder;
use crate::replay::Replayer;

pub(crate) fn run(tool: &Tool) -> Result<(), Failure> {
    match tool {
        Tool::Record(options) => record(options),
        Tool::Replay(options) => replay(options),
    }
}

/// A line for people; nobody may be left to read it.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "qmp: {}", shown(text));
}

fn record(options: &Record) -> Result<(), Failure> {
    let mut recorder = Recorder::new(options.server.clone())
        .listen(options.listen.clone())
        .dialect(match options.agent {
            true => Dialect::GuestAgent,
            false => Dialect::Qmp,
        });
    for way in &options.mask {
        let masked = recorder.mask(way);
        recorder = masked.map_err(|error| Failure::Usage(format!("--mask {error}")))?;
    }
    if let Some(most) = options.clients {
        recorder = recorder.clients(most);
    }
    let name = match &options.log {
        Some(path) => path.display().to_string(),
        None => "standard output".to_owned(),
    };
    let running = match &options.log {
        Some(path) => {
            let file = File::create_new(path).map_err(|error| Failure::Io(name.clone(), error))?;
            recorder.start_with(file, complain)
        }
        None => recorder.start_with(io::stdout(), complain),
    };
    let running = running.map_err(Failure::Listen)?;
    running.wait().map_err(|error| Failure::Io(name, error))
}

fn replay(options: &Replay) -> Result<(), Failure> {
    let name = options.log.display().to_string();
    let log = read_log(&options.log)?;
    let mut replayer = Replayer::new(log).listen(options.listen.clone());
    if let Some(path) = &options.schema {
        let name = path.display().to_string();
        let told = read_input(path).map_err(|error| Failure::Io(name.clone(), error))?;
        let checked = replayer.schema(told);
        replayer = checked.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    }
    let tell = {
        let name = name.clone();
        move |stray: &_| complain(&format!("{name}:{stray}"))
    };
    let running = replayer.start_with(tell, complain);
    match running.map_err(Failure::Listen)?.wait().len() {
        0 => Ok(()),
        n => Err(Failure::Strayed(name, n)),
    }
}

fn read_log(path: &Path) -> Result<Transcript, Failure> {
    let name = path.display().to_string();
    let bytes = read_input(path).map_err(|error| Failure::Io(name.clone(), error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good]
            .iter()
            .filter(|it| **it == b'\n')
            .count()
            + 1;
        Failure::Usage(format!("{name}: line {line}: not UTF-8"))
    })?;
    Transcript::parse(&text).map_err(|error| Failure::Usage(format!("{name}: {error}")))
}
