//! Every condition set, unset and left to `#[cfg]`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::Options;
use qapi_gen::ir::Configuration;
use tests::generated::{Crate, Module, Written};

/// Schemas that were written to be difficult.
pub(crate) const OWN_SCHEMAS: [&str; 4] = ["names", "shapes", "conditions", "documentation"];

/// The path of one of [`OWN_SCHEMAS`].
pub(crate) fn own(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    folder.join(format!("{name}.json"))
}

/// What becomes of the conditions of a schema.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Set,
    Unset,
    Mapped,
    /// As they are mapped, for a client of servers of any version.
    Tolerant,
}

const MODES: [Mode; 3] = [Mode::Set, Mode::Unset, Mode::Mapped];

/// Modes of schemas that are small.
const ALL_MODES: [Mode; 4] = [Mode::Set, Mode::Unset, Mode::Mapped, Mode::Tolerant];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Unset => "unset",
            Self::Mapped => "mapped",
            Self::Tolerant => "tolerant",
        }
    }

    /// The module of `schema`, generated twice.
    pub(crate) fn generate(self, name: &str, schema: &Path) -> Result<Module> {
        let configuration = match self {
            Self::Set => Configuration::with_default(true),
            Self::Unset => Configuration::with_default(false),
            Self::Mapped | Self::Tolerant => Configuration::new(),
        };
        let options = || {
            let options = Options::new().configuration(configuration.clone());
            match self {
                Self::Set => options.probes(true),
                Self::Unset | Self::Mapped => options,
                Self::Tolerant => options.tolerate("*"),
            }
        };
        let module = Module::generate(name, schema, options())?;
        let again = Module::generate(name, schema, options())?;
        if module.emission() != again.emission() {
            bail!("{}: two runs differ", schema.display());
        }
        for file in module.emission().files() {
            if file.contents.contains("allow(") || file.contents.contains("rustfmt") {
                bail!("{}: an exemption", file.path.display());
            }
        }
        Ok(module)
    }
}

/// What is tried of the conditions that are left to `#[cfg]`.
const FEATURES: [&str; 4] = [
    "",
    "config-b,config-c",
    "config-a",
    "config-c,config-d,config-never-mind",
];

/// All modes of all schemas are modules of two crates, which also shows that they do not meet. What has conditions left is
/// compiled for each of their sets, and the rest, which is most of it, once.
pub(crate) fn own_schemas(is_full: bool) -> Result<(), Failed> {
    let (mut fixed, mut open) = (Vec::new(), Vec::new());
    for schema in OWN_SCHEMAS {
        for mode in ALL_MODES {
            // Names are most of the code, and this mode hardly has others.
            if matches!(mode, Mode::Tolerant) && schema == "names" && !is_full {
                continue;
            }
            let name = format!("{schema}_{}", mode.name());
            let module = mode.generate(&name, &own(schema))?;
            let of_kind = match module.features() {
                [] => &mut fixed,
                _ => &mut open,
            };
            of_kind.push(module);
        }
    }
    let n_sets = if is_full { FEATURES.len() } else { 2 };
    for (name, mut modules, sets) in [
        ("own", fixed, &FEATURES[..1]),
        ("own-conditions", open, &FEATURES[..n_sets]),
    ] {
        // In the order of rustfmt.
        modules.sort_by(|left, right| left.name.cmp(&right.name));
        let written = write(name, modules)?;
        for features in sets {
            check(&written, features)?;
        }
        check_layout(&written)?;
    }
    Ok(())
}

/// Text of a schema is no doctest. It takes code to find out, so this crate has nothing but text.
pub(crate) fn no_doctests() -> Result<(), Failed> {
    let module = Mode::Set.generate("documentation", &own("documentation"))?;
    let written = write("documented", vec![module])?;
    let output = written.cargo("test").arg("--doc").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !text.contains("running 0 tests") {
        return Err(format!("there are doctests: {text}").into());
    }
    Ok(())
}

/// All modes of one schema of QEMU, a crate each: they are large.
pub(crate) fn qemu_schema(shared: &Path, schema: &str) -> Result<(), Failed> {
    let path = tests::qemu_schema(shared, schema);
    for mode in MODES {
        let name = format!("{}-{}", schema.replace(['/', '.'], "-"), mode.name());
        let written = write(&name, vec![mode.generate("qapi", &path)?])?;
        check(&written, "")?;
        check_layout(&written)?;
        if matches!(mode, Mode::Mapped) {
            written.succeed("clippy", &["--all-features"])?;
        }
    }
    Ok(())
}

pub(crate) fn write(name: &str, modules: Vec<Module>) -> Result<Written> {
    Crate {
        name,
        modules,
        ..Crate::default()
    }
    .write()
}

fn check(written: &Written, features: &str) -> Result<()> {
    written.succeed("clippy", &["--features", features])
}

/// `rustfmt --check`, in the style edition that the documentation names.
pub(crate) fn check_layout(written: &Written) -> Result<()> {
    let output = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--style-edition", "2024"])
        .arg("src/lib.rs")
        .current_dir(written.folder())
        .output()
        .context("rustfmt does not start")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        bail!("rustfmt: {text}");
    }
    Ok(())
}
