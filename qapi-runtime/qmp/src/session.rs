//! The tools for sessions, as commands.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use qapi_gen::internals::read_input;
use qapi_runtime::client::{Address, Dialect, Transcript};

use crate::command_line::{Record, Replay, Tool, Torment};
use crate::failure::Failure;
use crate::kit;
use crate::output::{print, shown};
use crate::record::Recorder;
use crate::replay::Replayer;
use crate::torment::{self, Profile};

pub(crate) fn run(tool: &Tool) -> Result<(), Failure> {
    match tool {
        Tool::Record(options) => record(options),
        Tool::Replay(options) => replay(options),
        Tool::Torment(options) => torment(options),
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

fn torment(options: &Torment) -> Result<(), Failure> {
    if options.drive {
        let driven = kit::drive(io::stdin().lock(), io::stdout());
        return driven.map_err(|error| Failure::Io("a step".to_owned(), error));
    }
    if let Some(driver) = &options.run {
        return judge(driver, &options.profile, options.json);
    }
    let (Some(server), Some(listen), [profile]) =
        (&options.server, &options.listen, &options.profile[..])
    else {
        return Err(Failure::Usage("one --profile is expected".to_owned()));
    };
    let start = |server: Address, most: Option<usize>| {
        let mut torment = torment::Torment::new(server, *profile).listen(listen.clone());
        if let Some(delay) = options.delay {
            torment = torment.delay(delay);
        }
        if let Some(most) = most {
            torment = torment.clients(most);
        }
        torment.start_with(complain).map_err(Failure::Listen)
    };
    let Some(path) = log_at(server) else {
        let address = server.parse();
        let address = address.map_err(|error| Failure::Usage(format!("{server}: {error}")))?;
        start(address, None)?.wait();
        return Ok(());
    };
    let name = server.clone();
    let tell = move |stray: &_| complain(&format!("{name}:{stray}"));
    let replaying = Replayer::new(read_log(&path)?).start_with(tell, complain);
    let replaying = replaying.map_err(Failure::Listen)?;
    start(replaying.address().clone(), Some(replaying.n_clients()))?.wait();
    match replaying.finish().len() {
        0 => Ok(()),
        n => Err(Failure::Strayed(server.clone(), n)),
    }
}

/// The file, where a text is neither an address of a kind nor the path of a socket.
fn log_at(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    (!Address::names_kind(text) && path.is_file()).then_some(path)
}

/// Gives the driver the steps of these profiles, or of all.
fn judge(driver: &str, profiles: &[Profile], is_json: bool) -> Result<(), Failure> {
    let profiles = match profiles {
        [] => &Profile::ALL,
        some => some,
    };
    let mut n_wrong = 0;
    for profile in profiles {
        let verdict = kit::run(*profile, driver);
        let verdict = verdict.map_err(|error| Failure::Io(driver.to_owned(), error))?;
        if is_json {
            print(&format!("{}\n", verdict.to_json()))?;
        } else {
            print(&format!("{verdict}\n"))?;
        }
        if !verdict.is_right() {
            n_wrong += 1;
            if !is_json {
                let driver = shown(&quoted(driver));
                print(&format!(
                    "  again: qmp torment --profile {profile} --run {driver}\n"
                ))?;
            }
        }
    }
    match n_wrong {
        0 => Ok(()),
        n => Err(Failure::Wrong(n, profiles.len())),
    }
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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
