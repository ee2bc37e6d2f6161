//! `man`: man pages and completions of all programs that are installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use clap_complete::Shell;

use ::tests::workspace;

use crate::process::{QAPI_GEN, succeed};

/// Arguments of `man`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Writes them to `target/man/` and `target/completions/`.
pub(crate) fn run(_args: &Args) -> Result<()> {
    let target = workspace().join("target");
    let (man, completions) = (target.join("man"), target.join("completions"));
    write(&man, &completions)?;
    // Its command line is in the program alone, which tells it by itself.
    let qapi_gen = QAPI_GEN.build()?;
    succeed(Command::new(&qapi_gen).args(["man", "--out-dir"]).arg(&man))?;
    for shell in Shell::value_variants() {
        let path = completions.join(clap_complete::Generator::file_name(shell, "qapi-gen"));
        let file = std::fs::File::create(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = Command::new(&qapi_gen);
        command.args(["completions", &shell.to_string()]);
        succeed(command.stdout(file))?;
    }
    println!("{}", man.display());
    println!("{}", completions.display());
    Ok(())
}

/// Writes those of the programs whose command lines are in libraries.
fn write(man: &Path, completions: &Path) -> Result<()> {
    for folder in [man, completions] {
        let fails = || format!("cannot make {}", folder.display());
        std::fs::create_dir_all(folder).with_context(fails)?;
    }
    for command in [
        #[cfg(target_os = "linux")]
        iothreadd::command(),
        iothread_top::command(),
        qmp::command(),
    ] {
        let name = command.get_name().to_owned();
        for shell in Shell::value_variants() {
            clap_complete::generate_to(*shell, &mut command.clone(), &name, completions)
                .with_context(|| format!("cannot write completions of {name}"))?;
        }
        clap_mangen::generate_to(command, man)
            .with_context(|| format!("cannot write the man page of {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn programs_have_pages_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        let (man, completions) = (folder.path().join("man"), folder.path().join("completions"));
        write(&man, &completions).unwrap();
        for name in ["iothreadd", "iothread-top", "qmp"] {
            let page = std::fs::read_to_string(man.join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
            for file in [
                format!("{name}.bash"),
                format!("_{name}"),
                format!("{name}.fish"),
            ] {
                let script = std::fs::read_to_string(completions.join(&file)).unwrap();
                assert!(script.contains("--help"), "{file}: {script}");
            }
        }
    }
}
