//! Generated Rust, one small schema a file: `rust_goldens/NAME.json` makes `rust_goldens/NAME.out`. And its layout, that of
//! whole schemas too.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::ir::Configuration;
use qapi_gen::loader::FileLoader;
use qapi_gen::output::Emission;
use tests::{LIVE, Suite, golden, schemas};

use crate::files;

pub(crate) fn add(mut suite: Suite) -> Suite {
    let goldens = files("rust_goldens", ".json");
    for path in &goldens {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let path = path.clone();
        suite = suite.always(&format!("rust::{name}"), move || {
            let made = render(&generate(&path, Options::new())?);
            Ok(golden::compare(&path.with_extension("out"), &made)?)
        });
    }
    // It starts rustfmt, which is not where something stands in for a system.
    if cfg!(any(target_family = "wasm", windows)) {
        return suite;
    }
    let name = "rust::layout-is-that-of-rustfmt";
    // What takes longest is that of whole schemas under every set of conditions.
    let name_of_all = format!("{LIVE}rust::layout-of-every-schema");
    suite
        .always(name, move || {
            layout(goldens, &CONFIGURATIONS)?;
            layout(schemas(name).into_iter().take(2), &CONFIGURATIONS[..1])
        })
        .always(&name_of_all.clone(), move || {
            layout(schemas(&name_of_all), &CONFIGURATIONS)
        })
}

/// No condition is decided; all hold; none does.
const CONFIGURATIONS: [fn() -> Configuration; 3] = [
    Configuration::new,
    || Configuration::with_default(true),
    || Configuration::with_default(false),
];

/// The files of a schema.
fn generate(path: &Path, options: Options) -> Result<Emission> {
    let name = path.to_str().context("a path that is not UTF-8")?;
    // Lints of style do not matter here, and older schemas do not keep to them.
    let compiled = compile(name, &FileLoader, LintLevels::allow_all())?;
    let backend = RustBackend::new(options);
    let generated = backend.generate(compiled.schema())?;
    Ok(generated.files().emission())
}

/// All files in one text: the root, then folders, each with its own root first, then what is beside them.
fn render(emission: &Emission) -> String {
    let mut files: Vec<_> = emission.files().iter().collect();
    let folders = ["", "types", "commands", "events"];
    files.sort_by_key(|file| {
        let is_root = file.path.ends_with("mod.rs");
        let folder = file.path.parent().and_then(Path::to_str);
        let folder = folders.iter().position(|it| Some(*it) == folder);
        let is_beside = folder == Some(0) && !is_root;
        // `server.rs` stands before `introspection.rs`.
        let is_last = file.path.ends_with("introspection.rs");
        (is_last, is_beside, folder, !is_root, file.path.clone())
    });
    let mut text = String::new();
    for file in files {
        text.push_str("======== ");
        text.push_str(&file.path.display().to_string());
        text.push('\n');
        text.push_str(&file.contents);
    }
    text
}

fn layout(
    schemas: impl IntoIterator<Item = PathBuf>,
    configurations: &[fn() -> Configuration],
) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut roots = Vec::new();
    for schema in schemas {
        for configuration in configurations {
            let options = Options::new().configuration(configuration());
            // A schema may rely on a condition being set.
            let Ok(emission) = generate(&schema, options) else {
                continue;
            };
            let place = folder.path().join(roots.len().to_string());
            emission.write(&place)?;
            roots.push(place.join("mod.rs"));
        }
    }
    Ok(check_layout(&roots)?)
}

/// rustfmt with the layout of the style edition that the documentation names.
fn check_layout(roots: &[PathBuf]) -> Result<()> {
    let run = Command::new("rustfmt")
        .args(["--check", "--edition", "2021", "--style-edition", "2024"])
        .args(roots)
        .output()
        .context("rustfmt, which comes with cargo, does not start")?;
    ensure!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
    Ok(())
}
