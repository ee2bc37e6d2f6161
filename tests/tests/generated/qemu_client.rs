//! A client generated from a newer QEMU's schema against the QEMU of this machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::Options;
use qapi_gen::ir::{Configuration, Schema, TypeId};
use serde_json::Value;
use tests::generated::{Crate, Module};

/// The schemas, by version.
pub(crate) const SCHEMAS: [&str; 3] = ["11.1.3", "10.2.2", "10.0.13"];

/// Runs every `query-*` command that needs no arguments on machines of two kinds. Each reply is
/// read, or it is said which member is missing, and it is.
pub(crate) fn drive(version: &str, [qemu, shared]: [&Path; 2]) -> Result<(), Failed> {
    let schema = tests::qemu_schema(shared, &format!("{version}/qapi"));
    // A client does not know what its server was built with.
    let options = Options::new()
        .configuration(Configuration::with_default(true))
        .docs(false);
    let module = Module::generate("qapi", &schema, options)?;
    let (table, n_queries) = table(&module)?;
    let client = Crate {
        name: &format!("client-{}", version.replace('.', "-")),
        modules: vec![module],
        files: vec![
            (
                "main.rs",
                include_str!("../../programs/queries.rs").to_owned(),
            ),
            ("table.rs", table),
        ],
        runtime_features: &["client"],
        ..Crate::default()
    };
    let client = client.write()?.build()?;
    for machine in ["none", "pc"] {
        let qemu = Qemu::start(qemu, machine)?;
        let output = Command::new(&client).arg(qemu.socket()).output()?;
        let text = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{machine}: {stderr}\n{text}").into());
        }
        let outcomes = text.lines().collect::<Vec<_>>();
        if outcomes.len() != n_queries {
            return Err(format!("{} of {n_queries} queries ran", outcomes.len()).into());
        }
        judge(version, machine, &outcomes)?;
    }
    Ok(())
}

/// The table of queries.
fn table(module: &Module) -> Result<(String, usize)> {
    let schema = module.schema();
    let mut table = "//! The queries.\n\nuse super::{Query, qapi, query};\n\n\
                     pub const TABLE: &[Query] = &[\n"
        .to_owned();
    let mut n_queries = 0;
    for (id, path) in &module.paths().commands {
        let command = schema.command(*id);
        let is_query = ["query-", "x-query-"]
            .iter()
            .any(|prefix| command.name().starts_with(prefix));
        if is_query && command.is_generated() && needs_nothing(schema, command.arguments()) {
            writeln!(table, "    query::<qapi::{path}>,")?;
            n_queries += 1;
        }
    }
    table.push_str("];\n");
    Ok((table, n_queries))
}

fn needs_nothing(schema: &Schema, arguments: Option<TypeId>) -> bool {
    arguments.is_none_or(|id| schema.members(id).all(|member| member.is_optional()))
}

/// Looks at what came of each query.
fn judge(version: &str, machine: &str, outcomes: &[&str]) -> Result<()> {
    let mut n_read = 0;
    let mut n_refused = 0;
    let mut missing = Vec::new();
    for outcome in outcomes {
        let (name, rest) = outcome.split_once(' ').context("an outcome has a name")?;
        let (kind, text) = rest.split_once(' ').unwrap_or((rest, ""));
        match kind {
            "read" => n_read += 1,
            "refused" => n_refused += 1,
            "misfit" => {
                let (text, reply) = text.split_once('\t').context("no reply is shown")?;
                let path = text
                    .strip_prefix(&format!("{name}: "))
                    .and_then(|text| text.strip_suffix(" is missing"));
                let Some(path) = path else {
                    bail!("{machine}: {text}");
                };
                if !is_missing(&serde_json::from_str(reply)?, path) {
                    bail!("{machine}: {text}, which is not so: {reply}");
                }
                missing.push(text);
            }
            _ => bail!("{machine}: {outcome}"),
        }
    }
    println!(
        "{version} on -machine {machine}: {n_read} read, {n_refused} refused, {} miss a member: {}",
        missing.len(),
        missing.join("; ")
    );
    if n_read < 20 {
        bail!("{machine}: only {n_read} replies were read");
    }
    Ok(())
}

/// Whether all of `path` but its last step leads somewhere in `reply`.
fn is_missing(reply: &Value, path: &str) -> bool {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut value = reply;
    for step in parent.split(['.', '[']).filter(|step| !step.is_empty()) {
        let next = match step.strip_suffix(']') {
            Some(index) => index
                .parse::<usize>()
                .ok()
                .and_then(|index| value.get(index)),
            None => value.get(step),
        };
        match next {
            Some(next) => value = next,
            None => return false,
        }
    }
    value.is_object() && value.get(last).is_none()
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
