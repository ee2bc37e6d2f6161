//! Crates of generated code, built by the cargo that runs the tests.
//!
//! Each is a package of its own under `target/generated/`. They share one target folder, so what
//! they depend on is built once.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use qapi_gen::backend::rust::{Options, Paths, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::ir::Schema;
use qapi_gen::loader::FileLoader;
use qapi_gen::output::Emission;

use crate::workspace;

/// What is generated from one schema.
#[derive(Debug)]
pub struct Module {
    /// The name of the module in the crate.
    pub name: String,
    schema: Schema,
    emission: Emission,
    features: Vec<String>,
    paths: Paths,
}

impl Module {
    /// Generates the module `name` from the schema at `path`. Rules of style do not matter here.
    ///
    /// # Errors
    ///
    /// What is wrong with the schema, or cannot be expressed under these options.
    pub fn generate(name: &str, path: &Path, options: Options) -> Result<Self> {
        Self::generate_only(name, path, &[], options)
    }

    /// The same from the part of the schema that `only` names; from the whole if it names nothing.
    ///
    /// # Errors
    ///
    /// As [`Module::generate`], and a name that the schema does not define.
    pub fn generate_only(name: &str, path: &Path, only: &[&str], options: Options) -> Result<Self> {
        let path = path.to_str().context("the path is not UTF-8")?;
        let compiled = compile(path, &FileLoader, LintLevels::allow_all())?;
        let schema = compiled.into_schema();
        let schema = match only {
            [] => schema,
            names => schema.only(names)?,
        };
        let backend = RustBackend::new(options);
        let generated = backend.generate(&schema)?;
        let emission = generated.files().emission();
        let (features, paths) = (generated.features(), generated.paths());
        drop(generated);
        Ok(Self {
            name: name.to_owned(),
            emission,
            features,
            paths,
            schema,
        })
    }

    /// What it is generated from.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What definitions are called.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The files.
    #[must_use]
    pub fn emission(&self) -> &Emission {
        &self.emission
    }

    /// The features that its conditions became.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }
}

/// A crate of generated code and what uses it.
#[derive(Debug, Default)]
pub struct Crate<'a> {
    /// The name of its folder.
    pub name: &'a str,
    /// What is generated.
    pub modules: Vec<Module>,
    /// Files below `src/`; without `main.rs` the crate is a library.
    pub files: Vec<(&'a str, String)>,
    /// Features of `qapi-runtime`.
    pub runtime_features: &'a [&'a str],
    /// Further dependencies, each as `name` and what stands after `name =`.
    pub dependencies: &'a [(&'a str, &'a str)],
}

/// A crate on disk.
#[derive(Debug)]
pub struct Written {
    folder: PathBuf,
    package: String,
}

/// What the crates must compile under.
const HEAD: &str = "//! Generated code.\n#![deny(warnings, missing_docs, clippy::all)]\n";

impl Crate<'_> {
    /// Writes the crate; files that did not change are left alone.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn write(&self) -> Result<Written> {
        let folder = root().join(self.name);
        let src = folder.join("src");
        fs::create_dir_all(&src)?;
        let package = format!("generated-{}", self.name);
        self.write_manifest(&folder, &package)?;
        // The versions that the workspace has; cargo strikes out what is not needed.
        let lock = workspace().join("Cargo.lock");
        fs::copy(&lock, folder.join("Cargo.lock")).context("no Cargo.lock")?;
        for module in &self.modules {
            module.emission.write(&src.join(&module.name))?;
        }
        let is_program = self.files.iter().any(|(name, _)| *name == "main.rs");
        if !is_program {
            let mut text = HEAD.to_owned();
            for module in &self.modules {
                text.push_str(&format!("pub mod {};\n", module.name));
            }
            write_changed(&src.join("lib.rs"), &text)?;
        }
        for (name, text) in &self.files {
            write_changed(&src.join(name), text)?;
        }
        Ok(Written { folder, package })
    }

    fn write_manifest(&self, folder: &Path, package: &str) -> Result<()> {
        let mut text = format!(
            "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             publish = false\n\n[workspace]\n\n[features]\n"
        );
        let mut features: Vec<&String> = self
            .modules
            .iter()
            .flat_map(|module| &module.features)
            .collect();
        features.sort_unstable();
        features.dedup();
        for feature in features {
            text.push_str(&format!("{feature} = []\n"));
        }
        let runtime = workspace().join("qapi-runtime");
        text.push_str(&format!(
            "\n[dependencies]\nqapi-runtime = {{ path = {runtime:?}, features = {:?} }}\n",
            self.runtime_features
        ));
        for (name, source) in self.dependencies {
            text.push_str(&format!("{name} = {source}\n"));
        }
        write_changed(&folder.join("Cargo.toml"), &text)
    }
}

impl Written {
    /// The folder of the package.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `cargo TASK` on the crate, without network: all that it needs, the workspace needs too.
    #[must_use]
    pub fn cargo(&self, task: &str) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args([task, "--quiet", "--offline"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", root().join("target"))
            // Nobody debugs them, each is compiled once, and there are many.
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "0")
            .stdin(Stdio::null());
        // What a surrounding cargo says about its own package does not hold here.
        for name in ["CARGO_MANIFEST_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `cargo TASK ARGUMENTS`.
    ///
    /// # Errors
    ///
    /// What the compiler says.
    pub fn succeed(&self, task: &str, arguments: &[&str]) -> Result<()> {
        let output = self
            .cargo(task)
            .args(arguments)
            .output()
            .context("cargo does not start")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!(
                "cargo {task} {} in {}: {}\n{stderr}",
                arguments.join(" "),
                self.folder.display(),
                output.status
            );
        }
        Ok(())
    }

    /// Builds the program and gives its path.
    ///
    /// # Errors
    ///
    /// What the compiler says.
    pub fn build(&self) -> Result<PathBuf> {
        self.succeed("build", &[])?;
        let program = root().join("target/debug").join(&self.package);
        Ok(program)
    }
}

/// Writes a file unless it is so already.
fn write_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn root() -> PathBuf {
    workspace().join("target/generated")
}

/// What `program` prints when it is given `input`.
///
/// # Errors
///
/// It cannot be started, fails, or prints no text.
pub fn feed(program: &mut Command, input: &str) -> Result<String> {
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {:?}", program.get_program()))?;
    let mut stdin = child.stdin.take().context("no pipe")?;
    let output = thread::scope(|scope| {
        // If the program ends early, that shows in what comes back.
        scope.spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
        child.wait_with_output()
    })?;
    let text = String::from_utf8(output.stdout).context("no UTF-8")?;
    if !output.status.success() {
        bail!("{:?}: {}\n{text}", program.get_program(), output.status);
    }
    Ok(text)
}
