//! Tests that need tools.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::{panics, workspace};

/// Something outside the workspace that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A Python that has qemu.qmp; `cargo xtask test --live` makes one and names it in `QMP_PYTHON`.
    QemuQmp,
    /// The client in `iothread/iothreadd/tests/clients/qapi-rs`; `cargo xtask test --live` builds it and names it in
    /// `QAPI_RS_CLIENT`.
    QapiRs,
    /// A folder `node_modules` with validators of HTML and Markdown and a checker of accessibility;
    /// `cargo xtask test --live` makes one and names it in `QAPI_NPM`.
    Npm,
    /// The reference material beside the workspace.
    Shared,
    /// A `qemu-system-x86_64` of version 10 or later, beside the one on the search path; named by the environment
    /// variable `QEMU_TEN`.
    QemuTen,
    /// A folder with a Linux kernel and its modules, as in Debian's packages, for guests; named by the environment variable
    /// `GUEST_LINUX`.
    GuestLinux,
    /// A second processor for this process; the path is where the kernel tells of processors.
    SecondProcessor,
    /// A program on the `PATH`.
    Program(&'static str),
}

/// What the names of tests begin with that need a peer, and of the few that take longest. `cargo xtask test` leaves them out,
/// `--live` runs nothing else.
pub const LIVE: &str = "live::";

impl Tool {
    /// Where it is.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        match self {
            Self::QemuQmp => std::env::var_os("QMP_PYTHON").map(PathBuf::from),
            Self::QapiRs => std::env::var_os("QAPI_RS_CLIENT").map(PathBuf::from),
            Self::QemuTen => std::env::var_os("QEMU_TEN").map(PathBuf::from),
            Self::GuestLinux => std::env::var_os("GUEST_LINUX").map(PathBuf::from),
            Self::Npm => std::env::var_os("QAPI_NPM").map(PathBuf::from),
            Self::Shared => {
                let folder = workspace().join("../shared");
                folder.join("qemu").is_dir().then_some(folder)
            }
            Self::SecondProcessor => {
                let n_processors = std::thread::available_parallelism().ok()?.get();
                (n_processors > 1).then(|| PathBuf::from("/sys/devices/system/cpu"))
            }
            // WASI starts no programs, and has no list of folders.
            Self::Program(_) if cfg!(target_os = "wasi") => None,
            Self::Program(name) => {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path)
                    .map(|folder| folder.join(name))
                    .find(|it| it.is_file())
            }
        }
    }

    /// Where it is; if it is not here, says in a line that `test` is skipped. For tests that are functions: one that needs
    /// a peer belongs in a module `live`.
    #[must_use]
    pub fn for_test(self, test: &str) -> Option<PathBuf> {
        let found = self.find();
        if found.is_none() {
            println!("{}", self.missing(test));
        }
        found
    }

    fn missing(self, test: &str) -> String {
        format!("skipped: {test}: {} is not here", self.describe())
    }

    /// Whether it is a peer: a program that is not ours, and that cargo does not bring.
    fn is_peer(self) -> bool {
        match self {
            Self::QemuQmp
            | Self::QapiRs
            | Self::Npm
            | Self::QemuTen
            | Self::GuestLinux
            | Self::Program(_) => true,
            Self::Shared | Self::SecondProcessor => false,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::QemuQmp => "Python's qemu.qmp",
            Self::QapiRs => "a client of the crate qapi",
            Self::QemuTen => "QEMU 10 (QEMU_TEN)",
            Self::GuestLinux => "a Linux for guests (GUEST_LINUX)",
            Self::Npm => "npm's validators (QAPI_NPM)",
            Self::Shared => "the reference material in ../shared",
            Self::SecondProcessor => "a second processor",
            Self::Program(name) => name,
        }
    }
}

/// A list of tests. One whose tool is absent says so in a line and counts as ignored. One in which something panics that
/// it did not announce fails.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    /// Tests and the lines that say what they lack.
    absent: Vec<(String, String)>,
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
        self,
        name: &str,
        tool: Tool,
        test: impl FnOnce(&Path) -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        self.with_all(name, [tool], move |[path]| test(path))
    }

    /// Adds a test that needs several tools and is given their paths.
    #[must_use]
    pub fn with_all<const N: usize>(
        mut self,
        name: &str,
        tools: [Tool; N],
        test: impl FnOnce([&Path; N]) -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        let is_live = tools.into_iter().any(Tool::is_peer);
        let name = format!("{}{name}", if is_live { LIVE } else { "" });
        let found = tools.map(Tool::find);
        let absent = tools.iter().zip(&found).filter(|(_, it)| it.is_none());
        let absent: Vec<_> = absent
            .map(|(tool, _)| (name.clone(), tool.missing(&name)))
            .collect();
        let is_absent = !absent.is_empty();
        self.absent.extend(absent);
        let run = move || {
            let _watch = panics::watch();
            let found = found.map(Option::unwrap_or_default);
            test(found.each_ref().map(PathBuf::as_path))
        };
        self.trials
            .push(Trial::test(name, run).with_ignored_flag(is_absent));
        self
    }

    /// Adds a test that needs nothing from outside.
    #[must_use]
    pub fn always(
        self,
        name: &str,
        test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        self.with_all(name, [], move |[]| test())
    }

    /// Runs the tests as the command line says, and ends the program.
    pub fn run(self) -> ! {
        let arguments = Arguments::from_args();
        for (name, line) in &self.absent {
            if is_chosen(name, &arguments) {
                println!("{line}");
            }
        }
        libtest_mimic::run(&arguments, self.trials).exit()
    }
}

/// Whether the command line asks for a test.
fn is_chosen(name: &str, arguments: &Arguments) -> bool {
    let matches = |pattern: &String| {
        if arguments.exact {
            name == pattern
        } else {
            name.contains(pattern.as_str())
        }
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}
