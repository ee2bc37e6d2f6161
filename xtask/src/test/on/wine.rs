//! Wine, which runs programs for Windows.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tests::workspace;

use super::super::programs::Job;
use crate::process::succeed;

/// Makes libraries of Windows.
pub(super) const COMPILER: &str = "x86_64-w64-mingw32-gcc";

/// A library that Wine 8 lacks.
const RANDOM: &str = include_str!("bcryptprimitives.c");

/// Wine's server, as long as this is there, and with it what Wine has running in the background: so both start once, and not
/// with each program.
pub(super) struct Wine {
    /// What Wine knows of the machine that it is: the tests' own.
    prefix: PathBuf,
}

impl Wine {
    pub(super) fn start() -> Result<Self> {
        let prefix = workspace().join("target/wine");
        std::fs::create_dir_all(&prefix)?;
        let wine = Self { prefix };
        succeed(wine.command("wineserver").arg("--persistent"))?;
        // What it leaves running has these standard streams, so it must not have those of this program, whose end others
        // wait for.
        succeed(wine.command("wine").args(["wineboot", "--init"]))?;
        wine.bring_library()?;
        Ok(wine)
    }

    /// What programs for Windows find in their environment, and Wine itself.
    fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("WINEPREFIX", self.prefix.clone()),
            // Nothing that Wine has to say is of the program.
            ("WINEDEBUG", "-all".into()),
            // What would be downloaded, for programs that are not ours.
            ("WINEDLLOVERRIDES", "mscoree,mshtml=".into()),
        ]
    }

    /// What runs a program for Windows, whose arguments come next.
    pub(super) fn program(&self, program: &Path) -> Command {
        let mut command = Command::new("wine");
        command.envs(self.environment()).env_remove("DISPLAY");
        command.arg(program);
        command
    }

    /// The same job with what Wine needs.
    pub(super) fn stand_in(&self, mut job: Job) -> Job {
        job.command.envs(self.environment()).env_remove("DISPLAY");
        // Programs there start others as programs of Windows do.
        job.command.env_remove(tests::RUNNER);
        job
    }

    /// Tests of the same program, by a part of their names, which find a program of this machine.
    pub(super) fn with_program(&self, job: &Job, found: &Path, tests: &str) -> Job {
        let mut command = self.program(Path::new(job.command.get_program()));
        if let Some(folder) = job.command.get_current_dir() {
            command.current_dir(folder);
        }
        let given = job.command.get_envs();
        command.envs(given.filter_map(|(name, value)| Some((name, value?))));
        let folder = found.parent().unwrap_or(Path::new("/"));
        // All files of this machine are on that drive.
        let folder = folder.to_string_lossy().replace('/', r"\");
        command.env("WINEPATH", format!("Z:{folder}"));
        command.arg(tests);
        Job {
            title: format!("{tests} of {}", job.title),
            command,
        }
    }

    /// Has a program of this system start one of Windows as its other end.
    pub(super) fn be_peer(&self, job: &mut Job, program: &Path) {
        job.command.envs(self.environment()).env_remove("DISPLAY");
        job.command
            .env(tests::PEER, format!("wine {}", program.display()));
        job.title = format!("{}, served by Windows", job.title);
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment()).env_remove("DISPLAY");
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Puts the library that Wine 8 lacks where Windows has it. It belongs to no package: only tests run there.
    fn bring_library(&self) -> Result<()> {
        let folder = self.prefix.join("drive_c/windows/system32");
        let library = folder.join("bcryptprimitives.dll");
        if library.exists() {
            return Ok(());
        }
        let mut compiler = Command::new(COMPILER);
        compiler.args(["-shared", "-nostdlib", "-x", "c", "-", "-ladvapi32", "-o"]);
        compiler.arg(&library).stdin(Stdio::piped());
        let mut compiler = compiler.spawn().context("cannot start a compiler")?;
        if let Some(mut input) = compiler.stdin.take() {
            input.write_all(RANDOM.as_bytes())?;
        }
        ensure!(
            compiler.wait()?.success(),
            "{} is not made",
            library.display()
        );
        Ok(())
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = self.command("wineserver").arg("--kill").status();
    }
}
