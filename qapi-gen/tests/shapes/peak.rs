//! How much is in memory at the same time, in processes of their own.

use std::fs;
use std::path::Path;
use std::time::Instant;

use libtest_mimic::{Failed, Trial};
use qapi_gen::backend::doc::Format;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::loader::FileLoader;
use qapi_gen::{compile, diagnose};

/// Memory in bytes for each byte of the schema.
const MOST: u64 = 20;

/// What files in the making may take besides: they are written a few MiB at a time.
const PIECES: u64 = 32 << 20;

/// What the process is to do: a command and the path of a schema.
const TASK: &str = "SHAPES_TASK";

/// The densest schemas, at a size that fits the time of a test.
const DENSE: [(&str, usize); 2] = [("bare-commands", 60_000), ("small-structs", 60_000)];

/// The largest schemas: of 100,000 bases, of 100,000 unions in each other, of 1,000,000 definitions, of 100,000 uses of
/// features, of one comment of 50 MiB.
const FULL: [(&str, usize); 5] = [
    ("bases", 100_000),
    ("branches", 100_000),
    ("definitions", 333_334),
    ("one-feature", 33_334),
    ("comment-lines", 3_000_000),
];

const COMMANDS: [&str; 6] = ["check", "introspect", "generate", "html", "markdown", "man"];

/// Does what the environment asks for and tells the peak; false if it asks for nothing.
pub(crate) fn run_task() -> bool {
    let Ok(task) = std::env::var(TASK) else {
        return false;
    };
    let (command, path) = task.split_once(' ').expect("a command and a path");
    if command == "check" {
        drop(diagnose(path, &FileLoader, LintLevels::default()));
    } else if let Ok(compiled) = compile(path, &FileLoader, LintLevels::allow_all()) {
        let schema = compiled.into_schema();
        match command {
            "introspect" => super::introspection(&schema),
            "generate" => super::rust(&schema),
            "html" => super::manual(&schema, Format::Html),
            "markdown" => super::manual(&schema, Format::Markdown),
            "man" => super::manual(&schema, Format::Man),
            other => panic!("unknown command '{other}'"),
        };
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    println!("{}", peak.unwrap_or_default());
    true
}

pub(crate) fn trials() -> Vec<Trial> {
    let dense = DENSE.map(|(name, n)| {
        let commands = &COMMANDS[..2];
        Trial::test(format!("peak-of-{name}"), move || check(name, n, commands))
    });
    let full = FULL.map(|(name, n)| {
        Trial::test(format!("full-{name}"), move || check(name, n, &COMMANDS))
            .with_ignored_flag(!is_full())
    });
    dense.into_iter().chain(full).collect()
}

fn is_full() -> bool {
    std::env::var_os("SHAPES").is_some_and(|value| value == "full")
}

/// The peak of the memory of a process that does `command` to the schema at `path`; `None` where the system does not tell.
fn peak(command: &str, path: &Path) -> Result<Option<u64>, Failed> {
    let path = path.to_str().ok_or("a path that is not UTF-8")?;
    let output = tests::program(std::env::current_exe()?)
        .env(TASK, format!("{command} {path}"))
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command}: {}: {text}", output.status).into());
    }
    let kilobytes = String::from_utf8_lossy(&output.stdout).trim().parse();
    Ok(kilobytes.ok().map(|kilobytes: u64| kilobytes << 10))
}

fn write(name: &str, n: usize, folder: &Path) -> Result<u64, Failed> {
    let shape = shapes::all().find(|shape| shape.name == name);
    let files = shape.ok_or("no shape of this name")?.files(n);
    for (name, text) in &files.0 {
        fs::write(folder.join(name), text)?;
    }
    Ok(files.size() as u64)
}

fn check(name: &str, n: usize, commands: &[&'static str]) -> Result<(), Failed> {
    let (small, large) = (tempfile::tempdir()?, tempfile::tempdir()?);
    write(name, 1, small.path())?;
    let size = write(name, n, large.path())?;
    for &command in commands {
        let Some(base) = peak(command, &small.path().join(shapes::MAIN))? else {
            println!("skipped: memory: /proc does not tell of it here");
            return Ok(());
        };
        let start = Instant::now();
        let peak = peak(command, &large.path().join(shapes::MAIN))?.unwrap_or_default();
        let taken = peak.saturating_sub(base);
        let pieces = match command {
            "check" | "introspect" => 0,
            _ => PIECES,
        };
        let times = taken as f64 / size as f64;
        if is_full() {
            let seconds = start.elapsed().as_secs_f64();
            println!("{name} {n}, {size} bytes, {command}: {times:.1} times, {seconds:.1} s");
        }
        if taken > MOST * size + pieces {
            return Err(format!("{command} of {size} bytes takes {times:.1} times as much").into());
        }
    }
    Ok(())
}
