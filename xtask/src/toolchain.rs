//! Compilers for other systems: copies under target/rustup/toolchains/, which `.ci/run` prepares. Those of the machine stay as they
//! are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use tests::workspace;

/// What is made of warnings: `RUSTFLAGS`.
pub(crate) const WARNINGS: &str = "--deny warnings";

/// The compiler that runs otherwise.
pub(crate) struct Rustc {
    pub(crate) release: String,
    pub(crate) host: String,
}

impl Rustc {
    pub(crate) fn ask() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).arg("-vV").output();
        let output = output.context("cannot start rustc")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::to_owned)
                .with_context(|| format!("rustc tells no '{name}'"))
        };
        Ok(Self {
            release: field("release: ")?,
            host: field("host: ")?,
        })
    }
}

/// A toolchain that stands under target/.
pub(crate) struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    /// That of a release for a machine, or what is not here.
    pub(crate) fn find(release: &str, host: &str) -> Result<Self, String> {
        let folder = workspace().join(format!("target/rustup/toolchains/{release}-{host}"));
        match folder.join("bin/cargo").exists() {
            true => Ok(Self { folder }),
            false => Err(format!("Rust {release}")),
        }
    }

    /// `cargo COMMAND` for a target, or for the machine itself, in a target folder of its own; or what is not here.
    pub(crate) fn cargo(&self, command: &str, target: Option<&str>) -> Result<Command, String> {
        let mut cargo = Command::new(self.folder.join("bin/cargo"));
        cargo.current_dir(workspace());
        cargo.args([command, "--locked"]);
        cargo
            .env("CARGO_TARGET_DIR", workspace().join("target/targets"))
            .env("RUSTC", self.folder.join("bin/rustc"))
            // The libraries of the compiler that runs otherwise, whose standard library this one would take.
            .env_remove("LD_LIBRARY_PATH")
            .env("RUSTFLAGS", WARNINGS);
        if let Some(target) = target {
            cargo.args(["--target", target]);
            self.bring_library(&mut cargo, target)?;
            bring_tools(&mut cargo, target)?;
        }
        Ok(cargo)
    }

    /// Says what is not here to link programs for a target, if the compiler does it by itself.
    pub(crate) fn check_linker(&self, host: &str, target: &str) -> Result<(), String> {
        let rustlib = self.folder.join("lib/rustlib");
        for part in [
            format!("{host}/bin/rust-lld"),
            // Where programs begin, and the C library that is under the standard one.
            format!("{target}/lib/self-contained"),
        ] {
            if !rustlib.join(&part).exists() {
                return Err(part);
            }
        }
        Ok(())
    }

    /// Has the standard library built where it is not there as such.
    fn bring_library(&self, cargo: &mut Command, target: &str) -> Result<(), String> {
        let rustlib = self.folder.join("lib/rustlib");
        if !rustlib.join(target).exists() {
            if !rustlib.join("src/rust/library").exists() {
                return Err("its standard library".to_owned());
            }
            // Programs for WebAssembly do not unwind.
            cargo.arg("-Zbuild-std=std,panic_abort");
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        Ok(())
    }
}

/// Names what compiles dependencies that are not Rust alone.
fn bring_tools(cargo: &mut Command, target: &str) -> Result<(), String> {
    if target.starts_with("aarch64") {
        // For assembler files of dependencies, which the machine's own compiler does not know.
        if !is_there("clang") {
            return Err("clang".to_owned());
        }
        cargo.env(format!("CC_{}", target.replace('-', "_")), "clang");
    }
    // Says which libraries of Windows have which functions.
    let dlltool = "x86_64-w64-mingw32-dlltool";
    if target.ends_with("windows-gnu") && !is_there(dlltool) {
        return Err(dlltool.to_owned());
    }
    Ok(())
}

/// Whether a program is here: it tells its version.
pub(crate) fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
