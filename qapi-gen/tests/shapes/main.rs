//! Every walk over a schema is linear in its size, whatever its shape.
//!
//! Each shape of the crate `shapes` is made at n, 2n and 4n and given to everything that reads
//! schemas. What that costs is counted, so that the result is the same on every machine: allocations,
//! bytes allocated, bytes of output, and steps, which are looks at parts of a schema (see
//! `qapi_gen::internals::steps`). What a schema of size 1 costs is the same at every n and is taken off, so that
//! it does not hide the growth of the rest. Of that, 2n may cost 2.25 times as much as n, and 4n 4.5 times;
//! allocations have some tolerance (see `TOLERANCE`), but far less than a scan in a scan would need.
//!
//! `SHAPES=1` prints the counts.
//!
//! What is in memory at the same time has a limit, too: 20 times the schema. Two dense shapes are
//! checked always; `SHAPES=full cargo test --release` with `full` as the filter makes everything of
//! the largest schemas, and prints time and memory.

use std::alloc::System;
use std::fmt;
use std::ops::ControlFlow;

use libtest_mimic::{Arguments, Failed, Trial};
use qapi_gen::backend::doc::{DocBackend, Format, Options as DocOptions};
use qapi_gen::backend::dump::dump;
use qapi_gen::backend::introspect::{Options as IntrospectOptions, introspect};
use qapi_gen::backend::rust::{Options as RustOptions, RustBackend};
use qapi_gen::diagnostic::{
    Level, Lint, LintLevels, Report, render_human, render_json, render_short,
};
use qapi_gen::diff::{Interface, Perspective, compare};
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::MemoryLoader;
use qapi_gen::output::Files;
use qapi_gen::source::SourceMap;
use qapi_gen::validate::Validator;
use qapi_gen::{Compiled, compile, diagnose};
use shapes::{Shape, Verdict};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

mod peak;

/// Set in a process that measures one thing.
const ALONE: &str = "SHAPES_ALONE";

fn main() {
    if peak::run_task() {
        return;
    }
    let growth = shapes::all().map(|shape| trial(shape.name, move || measure_growth(shape)));
    let mut trials: Vec<Trial> = growth.collect();
    trials.push(trial("refused_commands_leave_nothing", || {
        refused_commands_leave_nothing();
        Ok(())
    }));
    trials.push(trial("a_diagnosis_leaves_nothing", || {
        a_diagnosis_leaves_nothing();
        Ok(())
    }));
    trials.extend(peak::trials());
    let mut arguments = Arguments::from_args();
    if counts_here() {
        // Nothing else may allocate meanwhile.
        arguments.test_threads = Some(1);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether this process is the one that counts. Some systems have no others that a program could start.
fn counts_here() -> bool {
    cfg!(target_family = "wasm") || std::env::var_os(ALONE).is_some()
}

/// The counts of allocations are those of the process, so what counts them gets one of its own.
fn trial(name: &'static str, work: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        if counts_here() {
            return work();
        }
        let output = tests::program(std::env::current_exe()?)
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}\n{text}{said}", output.status).into());
        }
        if is_shown() {
            print!("{text}");
        }
        Ok(())
    })
}

/// Whether costs are printed.
fn is_shown() -> bool {
    std::env::var_os("SHAPES").is_some_and(|value| value == "1")
}

/// How much more memory is in use after `work`.
fn kept_by(mut work: impl FnMut()) -> isize {
    let in_use = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated as isize - stats.bytes_deallocated as isize
    };
    let before = in_use();
    work();
    in_use() - before
}

fn refused_commands_leave_nothing() {
    let text = "{ 'alternate': 'Alt', 'data': { 'a': 'int', 'b': 'bool' } }\n\
                { 'command': 'go', 'data': { 'a': 'Alt' } }\n";
    let files = MemoryLoader::new().with(shapes::MAIN, text);
    let compiled = compile(shapes::MAIN, &files, LintLevels::default());
    let schema = compiled.expect("a valid schema").into_schema();
    let line = b"{\"execute\": \"go\", \"arguments\": {\"a\": []}}";
    let refuse = || {
        let validator = Validator::new(&schema, &configuration()).expect("no condition is open");
        let reply = validator.reply(line);
        assert!(String::from_utf8_lossy(&reply).contains("Alt"), "{reply:?}");
    };
    // The name of the command is kept by the first one.
    refuse();
    assert_eq!(kept_by(|| (0..100).for_each(|_| refuse())), 0);
}

fn a_diagnosis_leaves_nothing() {
    let diagnose = || {
        let shape = shapes::all().find(|shape| shape.name == "definitions");
        let files = shape.expect("a shape of this name").files(10).0;
        let (name, text) = files.into_iter().next().expect("a main file");
        check(&MemoryLoader::new().with(name, text));
    };
    diagnose();
    assert_eq!(kept_by(|| (0..10).for_each(|_| diagnose())), 0);
}

/// What is made of a checked schema: the number of its bytes.
type Command = fn(&Schema) -> usize;

const COMMANDS: [(&str, Command); 8] = [
    ("dump", |schema| dump(schema).len()),
    ("introspect", introspection),
    ("diff", differences),
    ("validate", validation),
    ("generate", rust),
    ("html", |schema| manual(schema, Format::Html)),
    ("markdown", |schema| manual(schema, Format::Markdown)),
    ("man", |schema| manual(schema, Format::Man)),
];

/// What grows faster by its nature: each page in HTML links to all others, and there is a page for
/// each file.
const REPEATED: [(&str, &str); 1] = [("files", "html")];

fn check(files: &MemoryLoader) -> usize {
    let diagnosis = diagnose(shapes::MAIN, files, LintLevels::default());
    render(&diagnosis.report, &diagnosis.sources)
}

fn lint(files: &MemoryLoader) -> usize {
    let mut levels = LintLevels::default();
    for lint in Lint::ALL {
        levels.set(*lint, Level::Warn);
    }
    let diagnosis = diagnose(shapes::MAIN, files, levels);
    render(&diagnosis.report, &diagnosis.sources)
}

/// Every diagnostic in every format.
fn render(report: &Report, sources: &SourceMap) -> usize {
    let each = report.diagnostics().iter().map(|diagnostic| {
        render_short(diagnostic, sources).len()
            + render_human(diagnostic, sources, false).len()
            + render_json(diagnostic, sources).len()
    });
    each.sum()
}

/// A configuration in which half of the conditions hold.
fn configuration() -> Configuration {
    let mut configuration = Configuration::with_default(false);
    configuration.set("CONFIG_A", true);
    configuration
}

fn introspection(schema: &Schema) -> usize {
    let text = introspect(schema, &configuration(), IntrospectOptions::default());
    text.expect("no condition is open").len()
}

fn differences(schema: &Schema) -> usize {
    let old = Interface::of_schema(schema, &Configuration::new());
    let new = Interface::of_schema(schema, &configuration());
    let n_same = compare(&old, &old, Perspective::Clients).len();
    assert_eq!(n_same, 0, "a schema differs from itself");
    let changes = compare(&old, &new, Perspective::Clients);
    changes.iter().map(|it| it.diagnostic.message.len()).sum()
}

fn validation(schema: &Schema) -> usize {
    let validator = Validator::new(schema, &configuration()).expect("no condition is open");
    let lines = [
        "{\"execute\": \"go\"}",
        "{\"execute\": \"go\", \"arguments\": {\"a\": 1}}",
    ];
    let replies = lines.map(|line| validator.reply(line.as_bytes()).len());
    replies.into_iter().sum()
}

fn rust(schema: &Schema) -> usize {
    let backend = RustBackend::new(RustOptions::default());
    let made = backend.generate(schema);
    match made {
        Ok(generated) => size(&generated.files()),
        Err(rejected) => rejected.to_string().len(),
    }
}

fn manual(schema: &Schema, format: Format) -> usize {
    let backend = DocBackend::new(DocOptions::new(format));
    size(&backend.generate(schema).expect("the whole"))
}

fn size(files: &Files<'_>) -> usize {
    let mut n_bytes = 0;
    files.each(|piece| {
        n_bytes += piece.text.len();
        ControlFlow::Continue(())
    });
    n_bytes
}

/// What something costs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    steps: u64,
    allocations: u64,
    allocated: u64,
    output: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            steps,
            allocations,
            allocated,
            output,
        } = self;
        write!(
            f,
            "{steps} steps, {allocations} allocations of {allocated} bytes, {output} bytes of output"
        )
    }
}

impl Cost {
    fn parts(self) -> [(&'static str, u64); 4] {
        [
            ("steps", self.steps),
            ("allocations", self.allocations),
            ("bytes allocated", self.allocated),
            ("bytes of output", self.output),
        ]
    }
}

/// What `work` costs, which gives the number of bytes that it made.
fn measure(work: impl FnOnce() -> usize) -> Cost {
    let (before, steps) = (ALLOCATOR.stats(), qapi_gen::internals::steps::taken());
    let output = work();
    let after = ALLOCATOR.stats();
    let n_allocations = |stats: &Stats| stats.allocations + stats.reallocations;
    Cost {
        steps: qapi_gen::internals::steps::taken() - steps,
        allocations: (n_allocations(&after) - n_allocations(&before)) as u64,
        allocated: (after.bytes_allocated - before.bytes_allocated) as u64,
        output: output as u64,
    }
}

/// What a schema of one size costs.
struct Costs {
    is_refused: bool,
    by_command: Vec<(&'static str, Cost)>,
}

fn costs(shape: Shape, n: usize) -> Costs {
    let files = shape.files(n).0.into_iter();
    let files = files.fold(MemoryLoader::new(), |loader, (name, text)| {
        loader.with(name, text)
    });
    let mut by_command = vec![
        ("check", measure(|| check(&files))),
        ("lint", measure(|| lint(&files))),
    ];
    let mut schema = None;
    let loaded = measure(|| {
        let compiled = compile(shapes::MAIN, &files, LintLevels::allow_all());
        schema = compiled.map(Compiled::into_schema).ok();
        0
    });
    by_command.push(("load", loaded));
    if let Some(schema) = &schema {
        // The names of commands are kept by the first validator of the process that has them.
        validation(schema);
        let made = COMMANDS.map(|(name, command)| (name, measure(|| command(schema))));
        by_command.extend(made);
    }
    if is_shown() {
        for (name, cost) in &by_command {
            println!("{} {n} {name}: {cost}", shape.name);
        }
    }
    Costs {
        is_refused: schema.is_none(),
        by_command,
    }
}

fn measure_growth(shape: Shape) -> Result<(), Failed> {
    let smallest = costs(shape, 1);
    let [one, two, four] = [1, 2, 4].map(|factor| costs(shape, factor * shape.n));
    let is_expected = shape.verdict != Verdict::Valid;
    if [&one, &two, &four]
        .iter()
        .any(|it| it.is_refused != is_expected)
    {
        return Err("some are refused and some are not".into());
    }
    for (index, (name, at_one)) in one.by_command.iter().enumerate() {
        // What a schema without mistakes costs is not part of what one with mistakes does.
        let fixed = match smallest.is_refused == is_expected {
            true => smallest.by_command[index].1,
            false => Cost::default(),
        };
        if REPEATED.contains(&(shape.name, name)) {
            continue;
        }
        for (larger, times, limit) in [(&two, 2, 2.25), (&four, 4, 4.5)] {
            let larger = larger.by_command[index].1;
            at_one.check_growth(larger, fixed, limit).map_err(|what| {
                format!("{name}: {times} times the size takes more {what}\n{at_one}\n{larger}")
            })?;
        }
    }
    Ok(())
}

impl Cost {
    /// Says what of `larger` is more than `limit` times as much.
    fn check_growth(self, larger: Self, fixed: Self, limit: f64) -> Result<(), &'static str> {
        let parts = self
            .parts()
            .into_iter()
            .zip(larger.parts())
            .zip(fixed.parts());
        for ((((what, at_one), (_, at_more)), (_, fixed)), (times, more)) in parts.zip(TOLERANCE) {
            let at_one = at_one.saturating_sub(fixed) as f64;
            let at_more = at_more.saturating_sub(fixed) as f64;
            if at_more > times * limit * at_one + more {
                return Err(what);
            }
        }
        Ok(())
    }
}

/// For each part how often the limit counts, and what is added to it.
///
/// A buffer that grows is as large as the next power of two: from n to 4n it may grow by eight,
/// and be allocated once more. Tables double a little earlier or later.
const TOLERANCE: [(f64, f64); 4] = [(1.0, 200.0), (1.5, 50.0), (2.0, 65_536.0), (1.0, 200.0)];
