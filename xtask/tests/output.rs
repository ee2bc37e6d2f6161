//! A task whose output cannot be written fails; it does not panic.

use std::path::PathBuf;
use std::process::Command;

/// The program beside this one. Cargo does not say where examples are, nor that they have been built.
fn xtask() -> PathBuf {
    let this = std::env::current_exe().expect("a program has a path");
    let folder = this.ancestors().nth(2).expect("it is in `deps`");
    let target = folder.parent().expect("a folder for each profile");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => panic!("no profile: {}", this.display()),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("run by cargo"));
    cargo.args(["build", "--quiet", "--package", "xtask"]);
    cargo.args(["--example", "xtask", "--profile", profile]);
    cargo.arg("--target-dir").arg(target);
    assert!(cargo.status().expect("cargo starts").success());
    folder.join("examples/xtask")
}

#[test]
fn lost_output_is_a_status() {
    let xtask = xtask();
    for (task, expected) in [("conformance --suite absent", 1), ("codegen frobnicate", 2)] {
        for redirection in [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&- 2>&-"] {
            let output = Command::new("sh")
                .args(["-c", &format!("\"$X\" {task} {redirection}")])
                .env("X", &xtask)
                .env("RUST_BACKTRACE", "0")
                .output()
                .expect("a shell");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!text.contains("panicked"), "{task} {redirection}: {text}");
            assert_eq!(
                output.status.code(),
                Some(expected),
                "{task} {redirection}: {text}"
            );
        }
    }
}
