//! Clients generated from newer schemas of QEMU against the QEMU of this machine, and against what others have answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::{Options, Part};
use qapi_gen::ir::{Configuration, Schema, TypeId};
use qapi_runtime::address::Address;
use serde_json::Value;
use tests::generated::{Crate, Module};

/// The schemas, by version.
pub(crate) const SCHEMAS: [&str; 3] = ["11.1.3", "10.2.2", "10.0.13"];

/// The schema whose client reads recordings.
const NEWEST: &str = SCHEMAS[0];

/// Runs every `query-*` command that needs no arguments on machines of two kinds. Each reply is read, whatever members
/// this QEMU does not have yet.
pub(crate) fn drive(version: &str, [qemu, shared]: [&Path; 2]) -> Result<(), Failed> {
    let (client, n_queries) = build(version, shared)?;
    query_all(version, qemu, &client, n_queries)
}

/// The same with a client that is made of what this QEMU tells of itself: each reply is what it told.
pub(crate) fn drive_by_own(qemu: &Path) -> Result<(), Failed> {
    let told = Qemu::start(qemu, "none")?.tell()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("told.json");
    std::fs::write(&file, told)?;
    let options = Options::new().omit(Part::Server).omit(Part::Introspection);
    let module = Module::generate("qapi", &file, options)?;
    let name = qemu.display().to_string();
    let package: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let (client, n_queries) = build_of(&format!("told-by-{package}"), module, &BTreeSet::new())?;
    query_all(&name, qemu, &client, n_queries)
}

/// Runs every query of a client on machines of two kinds.
fn query_all(name: &str, qemu: &Path, client: &Path, n_queries: usize) -> Result<(), Failed> {
    for machine in ["none", "pc"] {
        let qemu = Qemu::start(qemu, machine)?;
        let output = run(Command::new(client).arg(qemu.socket()))?;
        let outcomes = Outcomes::read(&output, machine)?;
        println!("{name} on -machine {machine}: {outcomes:?}");
        if outcomes.n_read + outcomes.n_refused != n_queries {
            return Err(format!("{machine}: there are {n_queries} queries").into());
        }
        if outcomes.n_read < 20 {
            return Err(format!("{machine}: only {} replies were read", outcomes.n_read).into());
        }
    }
    Ok(())
}

/// What servers of other versions have answered is read by the client of the newest: all of it.
pub(crate) fn replay(shared: &Path) -> Result<(), Failed> {
    let (client, _) = build(NEWEST, shared)?;
    let mut n_recordings = 0;
    for entry in std::fs::read_dir(shared.join("recordings"))? {
        let path = entry?.path();
        let name = path.display().to_string();
        let output = run(Command::new(&client).arg("replay").arg(&path))?;
        let outcomes = Outcomes::read(&output, &name)?;
        println!("{name}: {outcomes:?}");
        if outcomes.n_read < 20 {
            return Err(format!("only {} replies were read", outcomes.n_read).into());
        }
        n_recordings += 1;
    }
    if n_recordings == 0 {
        return Err("there are no recordings".into());
    }
    Ok(())
}

/// What servers of other versions have answered is read by clients that are made of what these servers told of themselves:
/// each its own recording, all of it. `is_whole` makes clients of all that they have, which takes a while; else they have
/// what was recorded.
pub(crate) fn replay_by_own(shared: &Path, is_whole: bool) -> Result<(), Failed> {
    let mut recordings: Vec<PathBuf> = std::fs::read_dir(shared.join("recordings"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    recordings.sort();
    let commands = recorded_commands(shared)?;
    let only: Vec<&str> = commands.iter().map(String::as_str).collect();
    for path in recordings {
        let version = path.file_stem().context("no name")?.to_string_lossy();
        let told = told_by(&path)?;
        // Options of clients for one server: it has what it told.
        let options = Options::new().omit(Part::Server).omit(Part::Introspection);
        let has = |name: &&str| told.contains(&format!("\"name\":\"{name}\""));
        let only: Vec<&str> = only.iter().copied().filter(has).collect();
        let only = if is_whole { &[][..] } else { &only };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("told.json");
        std::fs::write(&file, &told)?;
        let name = match is_whole {
            true => format!("told-whole-{version}"),
            false => format!("told-{version}"),
        };
        if is_whole {
            let library = Crate {
                name: &format!("{name}-library").replace('.', "-"),
                modules: vec![Module::generate("qapi", &file, Options::new())?],
                ..Crate::default()
            };
            library.write()?.succeed("check", &[])?;
        }
        let module = Module::generate_only("qapi", &file, only, options)?;
        let (client, _) = build_of(&name, module, &commands)?;
        let output = run(Command::new(&client).arg("replay").arg(&path))?;
        let outcomes = Outcomes::read(&output, &version)?;
        println!("{version}: {outcomes:?}");
        if outcomes.n_read < 20 || outcomes.n_unknown > 0 {
            return Err(format!("{version}: {outcomes:?}").into());
        }
    }
    Ok(())
}

/// What the server of a recording answered to query-qmp-schema.
fn told_by(recording: &Path) -> Result<String> {
    for line in std::fs::read_to_string(recording)?.lines() {
        let call: Value = serde_json::from_str(line)?;
        if call["c"] == "query-qmp-schema" {
            return Ok(call["r"].to_string());
        }
    }
    bail!("{}: no introspection", recording.display())
}

/// Builds the client of a version; gives its path, and the number of queries in its table.
fn build(version: &str, shared: &Path) -> Result<(PathBuf, usize)> {
    // Two tests have the same client.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock();
    let schema = tests::qemu_schema(shared, &format!("{version}/qapi"));
    // A client does not know what its server was built with.
    let options = Options::new()
        .configuration(Configuration::with_default(true))
        .docs(false)
        .omit(Part::Server)
        .omit(Part::Introspection)
        .tolerate("*");
    let module = Module::generate("qapi", &schema, options)?;
    build_of(
        &format!("client-{version}"),
        module,
        &recorded_commands(shared)?,
    )
}

/// The same of a module that was generated.
fn build_of(name: &str, module: Module, recorded: &BTreeSet<String>) -> Result<(PathBuf, usize)> {
    let (table, n_queries) = table(&module, recorded)?;
    let client = Crate {
        name: &name.replace('.', "-"),
        modules: vec![module],
        files: vec![
            (
                "main.rs",
                include_str!("../../programs/queries.rs").to_owned(),
            ),
            ("table.rs", table),
        ],
        runtime_features: &["client-blocking", "mock"],
        ..Crate::default()
    };
    Ok((client.write()?.build()?, n_queries))
}

/// The commands of all recordings.
fn recorded_commands(shared: &Path) -> Result<BTreeSet<String>> {
    let mut commands = BTreeSet::new();
    for entry in std::fs::read_dir(shared.join("recordings"))? {
        for line in std::fs::read_to_string(entry?.path())?.lines() {
            let call: Value = serde_json::from_str(line)?;
            commands.extend(call["c"].as_str().map(str::to_owned));
        }
    }
    Ok(commands)
}

/// The tables of queries, and of the other commands of recordings; the number of queries.
fn table(module: &Module, recorded: &BTreeSet<String>) -> Result<(String, usize)> {
    let schema = module.schema();
    let (mut queries, mut others) = (String::new(), String::new());
    for (id, path) in &module.paths().commands {
        let command = schema.command(*id);
        let name = command.name();
        let is_query = ["query-", "x-query-"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        let row = format!("    ({name:?}, query::<qapi::{path}>),");
        if is_query && needs_nothing(schema, command.arguments()) {
            writeln!(queries, "{row}")?;
        } else if recorded.contains(name) {
            writeln!(others, "{row}")?;
        }
    }
    let n_queries = queries.lines().count();
    let table = format!(
        "//! Commands.\n\nuse super::{{Query, qapi, query}};\n\n\
         pub const QUERIES: &[(&str, Query)] = &[\n{queries}];\n\n\
         pub const OTHERS: &[(&str, Query)] = &[\n{others}];\n"
    );
    Ok((table, n_queries))
}

fn needs_nothing(schema: &Schema, arguments: Option<TypeId>) -> bool {
    arguments.is_none_or(|id| schema.members(id).all(|member| member.is_optional()))
}

fn run(client: &mut Command) -> Result<String> {
    let output = client.output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{}: {stderr}\n{text}", output.status);
    }
    Ok(text)
}

/// What came of commands. None of their replies is a misfit.
#[derive(Debug, Default)]
struct Outcomes {
    n_read: usize,
    n_refused: usize,
    /// Commands that the schema does not have, or no longer.
    n_unknown: usize,
}

impl Outcomes {
    fn read(output: &str, server: &str) -> Result<Self> {
        let mut outcomes = Self::default();
        for line in output.lines() {
            match line.split(' ').nth(1).context("an outcome has a name")? {
                "read" => outcomes.n_read += 1,
                "refused" => outcomes.n_refused += 1,
                "unknown" => outcomes.n_unknown += 1,
                _ => bail!("{server}: {line}"),
            }
        }
        Ok(outcomes)
    }
}

/// A running QEMU; killed when dropped.
struct Qemu {
    child: Child,
    folder: tempfile::TempDir,
}

impl Qemu {
    fn start(program: &Path, machine: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("qmp.sock");
        let mut command = Command::new(program);
        command
            .args(["-machine", machine, "-S", "-display", "none", "-qmp"])
            .arg(format!("unix:{},server=on,wait=off", socket.display()));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut qemu = Self { child, folder };
        while !qemu.socket().exists() {
            if let Some(status) = qemu.child.try_wait()? {
                bail!("QEMU ended: {status}");
            }
            std::thread::yield_now();
        }
        Ok(qemu)
    }

    /// What it tells of itself.
    fn tell(&self) -> Result<Vec<u8>> {
        let address = Address::unix(self.socket());
        // The socket is there a moment before QEMU listens.
        let mut told = None;
        tests::eventually(|| {
            told = qapi_gen::introspection::ask(&address).ok();
            told.is_some()
        });
        told.context("no answer")
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("qmp.sock")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
