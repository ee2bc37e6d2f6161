//! `cargo xtask conformance`: recordings of the reference played against what is built here.
//!
//! Each kind of recording has its flag, and every file its own count.

mod introspection;
pub(crate) mod protocol;
mod suite;
mod validation;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use qapi_gen::ir::Configuration;

/// Arguments of `conformance`.
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    /// The schema of the server that was recorded.
    #[arg(long, value_name = "PATH")]
    schema: Option<PathBuf>,
    /// Which conditions hold in that server, in the form of Kconfig; a name that is not there does not.
    #[arg(long, value_name = "FILE", requires = "schema")]
    config: Vec<PathBuf>,
    /// Malformed commands and their replies, one JSON object a line. They are run through the dispatcher that is
    /// generated from the schema.
    #[arg(long, value_name = "FILE", requires = "schema")]
    validation: Vec<PathBuf>,
    /// What the server answers to query-qmp-schema; compared with what is generated from the schema.
    #[arg(long, value_name = "FILE", requires = "schema")]
    introspection: Vec<PathBuf>,
    /// A folder of schemas with the reference's diagnostic (.err) and dump (.out).
    #[arg(long, value_name = "DIR")]
    suite: Vec<PathBuf>,
    /// QMP sessions, one JSON object a line: what is sent, and what comes back except the greeting. They are played
    /// against iothreadd and compared as JSON values without their timestamps.
    #[arg(long, value_name = "FILE")]
    protocol: Vec<PathBuf>,
}

/// How many differences of one recording are shown.
const MAX_SHOWN: usize = 10;

/// What came of one recording.
#[derive(Default)]
struct Count {
    n_passed: usize,
    n_failed: usize,
}

impl Count {
    /// Takes the result of one case; prints the first differences.
    fn take(&mut self, difference: Option<String>) {
        let Some(difference) = difference else {
            self.n_passed += 1;
            return;
        };
        self.n_failed += 1;
        if self.n_failed <= MAX_SHOWN {
            println!("{difference}");
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut n_failed = 0;
    let mut n_cases = 0;
    let mut finish = |kind: &str, path: &Path, run: &dyn Fn(&mut Count) -> Result<()>| {
        println!("== {kind} {}", path.display());
        let mut count = Count::default();
        run(&mut count)?;
        println!("{} passed, {} failed", count.n_passed, count.n_failed);
        n_failed += count.n_failed;
        n_cases += count.n_passed + count.n_failed;
        anyhow::Ok(())
    };
    for folder in &args.suite {
        finish("suite", folder, &|count| suite::run(folder, count))?;
    }
    if let Some(schema) = &args.schema {
        let configuration = configuration(&args.config)?;
        for file in &args.introspection {
            finish("introspection", file, &|count| {
                introspection::run(schema, &configuration, file, count)
            })?;
        }
        for file in &args.validation {
            finish("validation", file, &|count| {
                validation::run(schema, &configuration, file, count)
            })?;
        }
    }
    for file in &args.protocol {
        finish("protocol", file, &|count| protocol::run(file, count))?;
    }
    if n_cases == 0 {
        bail!("there is nothing to compare: give a recording");
    }
    if n_failed > 0 {
        bail!("{n_failed} of {n_cases} differ from the reference");
    }
    Ok(())
}

/// The conditions that hold in the server that was recorded.
fn configuration(files: &[PathBuf]) -> Result<Configuration> {
    let mut configuration = Configuration::with_default(false);
    for file in files {
        let text = read(file)?;
        configuration
            .read(&text)
            .with_context(|| file.display().to_string())?;
    }
    Ok(configuration)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
