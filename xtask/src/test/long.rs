//! What takes minutes: every interleaving of the models, stress, Miri, fuzzing.

use std::process::Command;

use anyhow::Result;
use tests::workspace;

use super::steps::Steps;
use crate::process::{cargo, succeed};
use crate::{fuzz, stress};

/// How long each fuzz target runs.
const FUZZ_SECONDS: u64 = 20;

/// Runs all checks for which there are the tools.
pub(super) fn run(steps: &mut Steps) {
    for LongCheck { title, tool, run } in LONG_CHECKS {
        match tool {
            Some(tool) if !(tool.is_here)() => steps.lack(&format!("{title}: {}", tool.name)),
            _ => {
                steps.step(title, run);
            }
        }
    }
}

/// A check of its own.
struct LongCheck {
    title: &'static str,
    /// What it needs and may not find.
    tool: Option<Tool>,
    run: fn() -> Result<()>,
}

struct Tool {
    name: &'static str,
    is_here: fn() -> bool,
}

const LONG_CHECKS: [LongCheck; 4] = [
    LongCheck {
        title: "models",
        tool: None,
        run: models,
    },
    LongCheck {
        title: "stress",
        tool: None,
        run: stress,
    },
    LongCheck {
        title: "Miri",
        tool: Some(Tool {
            name: "Miri is not here (rustup +nightly component add miri rust-src)",
            is_here: has_miri,
        }),
        run: miri,
    },
    LongCheck {
        title: "fuzzing",
        tool: Some(Tool {
            name: fuzz::MISSING,
            is_here: fuzz::is_installed,
        }),
        run: || fuzz::fuzz_all(FUZZ_SECONDS),
    },
];

/// Every interleaving of the models.
fn models() -> Result<()> {
    let mut models = cargo();
    models
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", workspace().join("target/loom"));
    models.args(["test", "--package", "models", "--release"]);
    succeed(&mut models)
}

/// Devices plugged and unplugged by many threads.
fn stress() -> Result<()> {
    stress::run(&stress::Args { seconds: 120 })
}

/// `cargo miri`, which only a nightly toolchain has.
fn cargo_miri() -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", "cargo", "miri"]);
    rustup.current_dir(workspace());
    rustup.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    rustup
}

fn has_miri() -> bool {
    let version = cargo_miri().arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Miri over the code without system calls.
fn miri() -> Result<()> {
    let mut miri = cargo_miri();
    miri.args(["test", "--package", "iothread", "--lib"]);
    succeed(miri.env("MIRIFLAGS", "-Zmiri-disable-isolation"))
}
