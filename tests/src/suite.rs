//! Tests that need tools.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

/// Something outside the workspace that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A Python that has qemu.qmp; `cargo xtask test` makes one and names it in `QMP_PYTHON`.
    QemuQmp,
    /// The client in `iothreadd/tests/clients/qapi-rs`; `cargo xtask test` builds it and names it in `QAPI_RS_CLIENT`.
    QapiRs,
    /// A folder `node_modules` with validators of HTML and Markdown and a checker of accessibility;
    /// `cargo xtask test` makes one and names it in `QAPI_NPM`.
    Npm,
    /// The reference material beside the workspace.
    Shared,
    /// A `qemu-system-x86_64` of version 10 or later, beside the one on the search path; named by the environment
    /// variable `QEMU_TEN`.
    QemuTen,
    /// A program on the `PATH`.
    Program(&'static str),
}

impl Tool {
    /// Where it is.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        match self {
            Self::QemuQmp => std::env::var_os("QMP_PYTHON").map(PathBuf::from),
            Self::QapiRs => std::env::var_os("QAPI_RS_CLIENT").map(PathBuf::from),
            Self::QemuTen => std::env::var_os("QEMU_TEN").map(PathBuf::from),
            Self::Npm => std::env::var_os("QAPI_NPM").map(PathBuf::from),
            Self::Shared => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
                folder.join("qemu").is_dir().then_some(folder)
            }
            Self::Program(name) => {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path)
                    .map(|folder| folder.join(name))
                    .find(|it| it.is_file())
            }
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::QemuQmp => "Python's qemu.qmp",
            Self::QapiRs => "a client of the crate qapi",
            Self::QemuTen => "QEMU 10 (QEMU_TEN)",
            Self::Npm => "npm's validators (QAPI_NPM)",
            Self::Shared => "the reference material in ../shared",
            Self::Program(name) => name,
        }
    }
}

/// A list of tests. One whose tool is absent says so in a line and counts as ignored.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// No tests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a test that needs `tool` and is given its path.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        tool: Tool,
        test: impl FnOnce(&Path) -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        let found = tool.find();
        if found.is_none() {
            println!("skipped: {name}: {} is not here", tool.describe());
        }
        let is_absent = found.is_none();
        let run = move || test(&found.unwrap_or_default());
        self.trials
            .push(Trial::test(name, run).with_ignored_flag(is_absent));
        self
    }

    /// Adds a test that needs nothing from outside.
    #[must_use]
    pub fn always(
        mut self,
        name: &str,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        self.trials.push(Trial::test(name, test));
        self
    }

    /// Runs the tests as the command line says, and ends the program.
    pub fn run(self) -> ! {
        libtest_mimic::run(&Arguments::from_args(), self.trials).exit()
    }
}
