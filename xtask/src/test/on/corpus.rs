//! Whether `qapi-gen` makes on another system what it makes here.
//!
//! A run is a command line. Linux has it with `/` between the folder and the file of each schema, the other system with each of
//! its own separators; what is made of schemas that are one construct each only with the last of these, and without pages of
//! manuals, unless all is asked for. Equal have to be, byte for
//! byte: the files that are written, standard output, standard error and the status. Messages name files as the command line
//! does: in what Linux says the folders are written as they were given on the other system, and then it is compared. Colours are
//! left out: the renderer has others for consoles of Windows.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use tests::reference::first_difference;
use tests::{QEMU_SCHEMAS, Tool, workspace};

use super::super::programs::lanes;
use super::Extent;

/// How many schemas one run of `check` looks at: a command line of Windows has 32,767 characters.
const N_AT_ONCE: usize = 100;

/// How many differences are shown.
const MAX_SHOWN: usize = 10;

/// Every form of messages.
const CHECKS: [&str; 3] = [
    "check {schemas}",
    "check --message-format short {schemas}",
    "check --message-format json {schemas}",
];

/// What is made of a schema that is good.
const MADE: [&str; 7] = [
    "dump {schemas}",
    "introspect --define-others y {schemas}",
    "generate --out-dir {out} {schemas}",
    "doc --format html --out-dir {out} {schemas}",
    "doc --format markdown --out-dir {out} {schemas}",
    "diff --define-others n {older} {schemas}",
    "validate --define-others y {schemas} {commands}",
];

/// And of one of many modules, each of which is a page.
const MANUAL: &str = "doc --format man --out-dir {out} {schemas}";

/// What is given to `validate`, unless there are recordings.
const COMMANDS: &str =
    "{ \"execute\": \"go\", \"arguments\": { \"far\": 1 } }\n{ \"execute\": 1 }\n";

/// A build of `qapi-gen` for the other system.
pub(super) struct Other<'a> {
    /// Starts it.
    pub(super) program: &'a (dyn Fn() -> Command + Sync),
    /// What stands between names there.
    pub(super) separators: &'static [char],
}

/// A command line, and where it is run.
struct Run {
    at: PathBuf,
    template: &'static str,
    /// A folder, as seen from there, and files in it.
    folder: String,
    names: Vec<String>,
    /// A schema to compare with, from there: a folder, and a file in it.
    older: (String, String),
    /// Whether it is run with each separator of the other system, or with the last one alone.
    is_thorough: bool,
}

/// What came of a run.
#[derive(Default)]
struct Outcome {
    status: Option<i32>,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// Runs everything on both. Says how many command lines there were.
pub(super) fn compare(here: &Path, other: &Other<'_>, extent: Extent) -> Result<usize> {
    let folder = workspace().join("target/corpus");
    fs::create_dir_all(&folder)?;
    let scratch = tempfile::tempdir_in(&folder)?;
    let commands = scratch.path().join("commands.jsonl");
    let runs = runs(&commands, extent)?;
    let n_runs = runs.len();
    let waiting = Mutex::new(VecDeque::from_iter(runs.into_iter().enumerate()));
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    let differences = Mutex::new(Vec::new());
    let work = || {
        while let Some((number, run)) = next() {
            let scratch = scratch.path().join(number.to_string());
            let found = run.compare(here, other, &commands, &scratch);
            let found = found.unwrap_or_else(|error| Some(format!("{}: {error:#}", run.template)));
            let mut differences = differences.lock().unwrap_or_else(PoisonError::into_inner);
            differences.extend(found);
        }
    };
    thread::scope(|scope| {
        for _ in 0..lanes() {
            scope.spawn(work);
        }
    });
    let differences = differences.into_inner();
    let differences = differences.unwrap_or_else(PoisonError::into_inner);
    for difference in differences.iter().take(MAX_SHOWN) {
        println!("{difference}");
    }
    let n = differences.len();
    ensure!(
        n == 0,
        "{n} of {n_runs} command lines have another outcome there"
    );
    Ok(n_runs)
}

/// All command lines. Writes what they give to `validate`.
fn runs(commands: &Path, extent: Extent) -> Result<Vec<Run>> {
    let workspace = workspace();
    let mut runs = Vec::new();
    // The main file includes the others.
    runs.extend(whole(&workspace, "schema", "schema"));
    let mut cases = vec![
        (workspace.clone(), "tests/schemas"),
        (workspace.clone(), "qapi-gen/tests/corpus/good"),
        (workspace.clone(), "qapi-gen/tests/corpus/bad"),
        (workspace.clone(), "qapi-gen/tests/corpus/recovery"),
        (workspace.clone(), "qapi-gen/tests/corpus/render"),
    ];
    let mut given = COMMANDS.to_owned();
    if let Some(shared) = Tool::Shared.for_test("QEMU's schemas on another system") {
        let qemu = shared.join("qemu");
        for schema in QEMU_SCHEMAS {
            runs.extend(whole(&qemu, schema, "10.0.13/qapi"));
        }
        given = requests(&qemu.join("10.0.13/transcripts/validation.jsonl"))?;
        cases.push((qemu.join("10.2.2"), "tests-qapi-schema"));
    }
    fs::write(commands, given)?;
    for (at, folder) in cases {
        runs.extend(small(&at, folder, extent)?);
    }
    Ok(runs)
}

/// The requests of a recording, as they were sent.
pub(super) fn requests(file: &Path) -> Result<String> {
    #[derive(serde::Deserialize)]
    struct Recording<'a> {
        #[serde(borrow)]
        request: &'a serde_json::value::RawValue,
    }

    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut requests = String::new();
    for line in text.lines() {
        let recording: Recording<'_> = serde_json::from_str(line).context("a recording")?;
        requests.push_str(recording.request.get());
        requests.push('\n');
    }
    Ok(requests)
}

const MAIN: &str = "qapi-schema.json";

/// Everything that is made of a schema of many files.
fn whole(at: &Path, folder: &str, older: &str) -> impl Iterator<Item = Run> {
    let run = |template| Run {
        at: at.to_owned(),
        template,
        folder: folder.to_owned(),
        names: vec![MAIN.to_owned()],
        older: (older.to_owned(), MAIN.to_owned()),
        is_thorough: true,
    };
    let made = MADE.into_iter().chain([MANUAL]);
    CHECKS.into_iter().chain(made).map(run)
}

/// What is made of each schema of a folder: of a bad one there are messages only.
fn small(at: &Path, folder: &str, extent: Extent) -> Result<Vec<Run>> {
    let path = at.join(folder);
    let entries = fs::read_dir(&path);
    let mut names = Vec::new();
    for entry in entries.with_context(|| format!("cannot list {}", path.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            names.push(name);
        }
    }
    names.sort();
    let Some(first) = names.first() else {
        bail!("no schemas in {}", path.display());
    };
    let run = |template, names: &[String], is_thorough| Run {
        at: at.to_owned(),
        template,
        folder: folder.to_owned(),
        names: names.to_owned(),
        older: (folder.to_owned(), first.clone()),
        is_thorough,
    };
    let mut runs = Vec::new();
    for template in CHECKS {
        let groups = names.chunks(N_AT_ONCE);
        runs.extend(groups.map(|names| run(template, names, true)));
    }
    for name in names.iter().filter(|name| is_good(&path.join(name))) {
        let name = std::slice::from_ref(name);
        // They include little, and to start a program takes long there.
        runs.extend(MADE.map(|template| run(template, name, extent == Extent::All)));
        if extent == Extent::All {
            runs.push(run(MANUAL, name, true));
        }
    }
    Ok(runs)
}

/// Whether a schema has no mistake.
fn is_good(schema: &Path) -> bool {
    let Some(path) = schema.to_str() else {
        return false;
    };
    let levels = qapi_gen::diagnostic::LintLevels::allow_all();
    qapi_gen::compile(path, &qapi_gen::loader::FileLoader, levels).is_ok()
}

impl Run {
    /// How the outcomes differ, if they do.
    fn compare(
        &self,
        here: &Path,
        other: &Other<'_>,
        commands: &Path,
        scratch: &Path,
    ) -> Result<Option<String>> {
        let expected = self.run(Command::new(here), '/', commands, &scratch.join("here"))?;
        let separators = other.separators;
        let n_skipped = if self.is_thorough {
            0
        } else {
            separators.len().saturating_sub(1)
        };
        for separator in &separators[n_skipped..] {
            let folder = scratch.join("there");
            let found = self.run((other.program)(), *separator, commands, &folder)?;
            if let Some(difference) = expected.named(self, *separator).differs_from(&found) {
                let schema = self.path(&self.folder, &self.names[0], *separator);
                return Ok(Some(format!("{}: {schema}: {difference}", self.template)));
            }
        }
        Ok(None)
    }

    fn path(&self, folder: &str, name: &str, separator: char) -> String {
        let folder = folder.replace('/', separator.encode_utf8(&mut [0; 4]));
        format!("{folder}{separator}{name}")
    }

    fn run(
        &self,
        mut program: Command,
        separator: char,
        commands: &Path,
        out: &Path,
    ) -> Result<Outcome> {
        for word in self.template.split(' ') {
            match word {
                "{schemas}" => {
                    let names = self.names.iter();
                    program.args(names.map(|name| self.path(&self.folder, name, separator)));
                }
                "{older}" => {
                    program.arg(self.path(&self.older.0, &self.older.1, separator));
                }
                "{commands}" => {
                    program.arg(commands);
                }
                "{out}" => {
                    program.arg(out);
                }
                _ => {
                    program.arg(word);
                }
            }
        }
        program.current_dir(&self.at).stdin(Stdio::null());
        let output = program.output().context("qapi-gen does not start")?;
        let mut outcome = Outcome {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).context("standard output is not UTF-8")?,
            stderr: String::from_utf8(output.stderr).context("standard error is not UTF-8")?,
            files: BTreeMap::new(),
        };
        if out.exists() {
            outcome.take(out, "")?;
            fs::remove_dir_all(out)?;
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// Takes the files of a folder.
    fn take(&mut self, folder: &Path, name: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{name}/{file}");
            if path.is_dir() {
                self.take(&path, &name)?;
            } else {
                self.files.insert(name, fs::read(&path)?);
            }
        }
        Ok(())
    }

    /// With folders as the other system was given them.
    fn named(&self, run: &Run, separator: char) -> Self {
        let is_json = run.template.contains("json");
        let separator = match separator {
            // As JSON has it.
            '\\' if is_json => r"\\".to_owned(),
            _ => separator.to_string(),
        };
        let rename = |text: &str| {
            let mut text = text.to_owned();
            for folder in [&run.folder, &run.older.0] {
                let given = folder.replace('/', &separator);
                text = text.replace(&format!("{folder}/"), &format!("{given}{separator}"));
            }
            text
        };
        Self {
            status: self.status,
            stdout: rename(&self.stdout),
            stderr: rename(&self.stderr),
            files: self.files.clone(),
        }
    }

    fn differs_from(&self, found: &Self) -> Option<String> {
        if self.status != found.status {
            let (here, there) = (self.status, found.status);
            return Some(format!(
                "the status is {there:?}, not {here:?}: {}",
                found.stderr
            ));
        }
        for (what, expected, found) in [
            ("standard error", &self.stderr, &found.stderr),
            ("standard output", &self.stdout, &found.stdout),
        ] {
            if expected != found {
                return Some(format!("{what}: {}", first_difference(expected, found)));
            }
        }
        let names = |outcome: &Self| outcome.files.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(found) {
            return Some(format!("files: {:?}, not {:?}", names(found), names(self)));
        }
        self.files.iter().find_map(|(name, expected)| {
            let found = found.files.get(name)?;
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            let difference = || first_difference(&text(expected), &text(found));
            (expected != found).then(|| format!("{name}: {}", difference()))
        })
    }
}
