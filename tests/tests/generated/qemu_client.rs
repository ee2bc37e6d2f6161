//! Clients generated from newer schemas of QEMU against the QEMU of this machine, and against what others have answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::{Options, Part};
use qapi_gen::ir::{Configuration, Schema, TypeId};
use qapi_runtime::address::Address;
use serde_json::{Value, json};
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

/// The same with a client that is made of what a QEMU of this version has told once.
pub(crate) fn drive_by_told(version: &str, [qemu, shared]: [&Path; 2]) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("told.json");
    std::fs::write(&file, told_as(version, shared)?)?;
    let options = Options::new().omit(Part::Server).omit(Part::Introspection);
    let module = Module::generate("qapi", &file, options)?;
    let name = format!("told-by-{version}");
    let (client, n_queries) = build_of(&name, module, &BTreeSet::new())?;
    query_all(version, qemu, &client, n_queries)
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
/// each its own recording, all of it. `is_whole` makes clients of all that they have, which takes a while, and compiles them under
/// the lints of generated code; else they have what was recorded.
pub(crate) fn replay_by_own(shared: &Path, is_whole: bool) -> Result<(), Failed> {
    let recordings = recordings(shared)?;
    let commands = recordings.iter().flat_map(|it| &it.calls);
    let commands: BTreeSet<String> = commands
        .filter_map(|call| call["c"].as_str().map(str::to_owned))
        .collect();
    let only: Vec<&str> = commands.iter().map(String::as_str).collect();
    for Recording {
        version,
        told,
        calls,
    } in recordings
    {
        // Options of clients for one server: it has what it told.
        let options = || Options::new().omit(Part::Server).omit(Part::Introspection);
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
                modules: vec![Module::generate("qapi", &file, options())?],
                ..Crate::default()
            };
            library.write()?.succeed("clippy", &[])?;
        }
        let module = Module::generate_only("qapi", &file, only, options())?;
        let (client, _) = build_of(&name, module, &commands)?;
        let session = folder.path().join("calls.jsonl");
        let lines: Vec<String> = calls.iter().map(Value::to_string).collect();
        std::fs::write(&session, lines.join("\n"))?;
        let output = run(Command::new(&client).arg("replay").arg(&session))?;
        let outcomes = Outcomes::read(&output, &version)?;
        println!("{version}: {outcomes:?}");
        if outcomes.n_read < 8 || outcomes.n_unknown > 0 {
            return Err(format!("{version}: {outcomes:?}").into());
        }
    }
    Ok(())
}

/// What a server has told of itself and answered.
struct Recording {
    version: String,
    told: String,
    /// Objects with command (`c`), arguments (`a`), and result (`r`) or error (`e`).
    calls: Vec<Value>,
}

/// All that there are.
fn recordings(shared: &Path) -> Result<Vec<Recording>> {
    let mut recordings = Vec::new();
    for version in ["10.0.13", "11.1.3"] {
        recordings.push(Recording {
            version: version.to_owned(),
            told: told_as(version, shared)?,
            calls: transcribed(&shared.join("qemu").join(version).join("transcripts"))?,
        });
    }
    for entry in std::fs::read_dir(shared.join("recordings"))? {
        let path = entry?.path();
        let lines = std::fs::read_to_string(&path)?;
        let calls = lines.lines().map(serde_json::from_str);
        let calls: Vec<Value> = calls.collect::<serde_json::Result<_>>()?;
        let told = calls.iter().find(|call| call["c"] == "query-qmp-schema");
        recordings.push(Recording {
            version: path
                .file_stem()
                .context("no name")?
                .to_string_lossy()
                .into(),
            told: told.context("no introspection")?["r"].to_string(),
            calls,
        });
    }
    recordings.sort_by(|left, right| left.version.cmp(&right.version));
    Ok(recordings)
}

/// What QEMU of this version has told of itself.
fn told_as(version: &str, shared: &Path) -> Result<String> {
    let folder = shared.join("qemu").join(version);
    let told = std::fs::read(folder.join("query-qmp-schema.json"))?;
    let told: Value = serde_json::from_slice(&told)?;
    Ok(told.get("return").unwrap_or(&told).to_string())
}

/// What a server has returned to commands, each answer once.
fn transcribed(transcripts: &Path) -> Result<Vec<Value>> {
    let mut calls = Vec::new();
    let mut add = |sent: &Value, received: &Value| {
        // What a server tells of `device_add` is not all that it takes.
        let command = sent["execute"]
            .as_str()
            .filter(|name| *name != "device_add");
        if let (Some(command), Some(result)) = (command, received.get("return")) {
            calls.push(json!({"c": command, "a": sent.get("arguments"), "r": result}));
        }
    };
    for session in lines(&transcripts.join("protocol.jsonl"))? {
        let parts = |name: &str| session[name].as_array().cloned().unwrap_or_default();
        for (sent, received) in parts("send").iter().zip(parts("recv")) {
            let message = |part: &Value| serde_json::from_str::<Value>(part.as_str()?).ok();
            // One command, and one answer to it.
            if let (Some(sent), Some(received)) = (message(sent), message(&received))
                && sent.get("id") == received.get("id")
            {
                add(&sent, &received);
            }
        }
    }
    let semantics = transcripts.join("semantics.jsonl");
    let sequences = if semantics.exists() {
        lines(&semantics)?
    } else {
        Vec::new()
    };
    for sequence in sequences {
        for step in sequence["steps"].as_array().into_iter().flatten() {
            let received = step["recv"].as_array().cloned().unwrap_or_default();
            let mut answers = received.iter().filter(|it| it.get("event").is_none());
            if let Some(answer) = answers.next() {
                add(&step["send"], answer);
            }
        }
    }
    let mut seen = BTreeSet::new();
    calls.retain(|call: &Value| seen.insert(call.to_string()));
    Ok(calls)
}

/// A JSON value a line.
fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path)?;
    let values = text.lines().map(serde_json::from_str);
    Ok(values.collect::<serde_json::Result<_>>()?)
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
            std::thread::park_timeout(Duration::from_millis(1));
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
