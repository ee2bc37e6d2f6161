//! A task whose output cannot be written fails; it does not panic.

use std::path::PathBuf;
use std::process::Command;

/// The program beside this one. Cargo does not say where examples are, nor that they have been built.
fn xtask() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("run by cargo"));
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "xtask",
        "--example",
        "xtask",
    ]);
    assert!(cargo.status().expect("cargo starts").success());
    let this = std::env::current_exe().expect("a program has a path");
    let profile = this.ancestors().nth(2).expect("it is in `deps`");
    profile.join("examples/xtask")
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
