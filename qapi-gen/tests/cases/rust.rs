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
use tests::{Suite, golden, schemas};

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
    suite.always("rust::layout-is-that-of-rustfmt", move || {
        let whole = schemas("rust::layout-is-that-of-rustfmt");
        layout(goldens.into_iter().chain(whole.into_iter().skip(1)))
    })
}

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

fn layout(schemas: impl Iterator<Item = PathBuf>) -> Result<(), Failed> {
    for schema in schemas {
        for configuration in [
            Configuration::new(),
            Configuration::with_default(true),
            Configuration::with_default(false),
        ] {
            let options = Options::new().configuration(configuration);
            // A schema may rely on a condition being set.
            let Ok(emission) = generate(&schema, options) else {
                continue;
            };
            check_layout(&emission)?;
        }
    }
    Ok(())
}

/// rustfmt with the layout of the style edition that the documentation names.
fn check_layout(emission: &Emission) -> Result<()> {
    let folder = tempfile::tempdir()?;
    emission.write(folder.path())?;
    let run = Command::new("rustfmt")
        .args(["--check", "--edition", "2021", "--style-edition", "2024"])
        .arg(folder.path().join("mod.rs"))
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
