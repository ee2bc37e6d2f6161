//! A task whose output cannot be written fails; it does not panic.

use std::process::Command;

#[test]
fn lost_output_is_a_status() {
    for (task, expected) in [("conformance --suite absent", 1), ("codegen frobnicate", 2)] {
        for redirection in [">/dev/full", "2>/dev/full", ">/dev/full 2>&1", ">&- 2>&-"] {
            let output = Command::new("sh")
                .args(["-c", &format!("\"$X\" {task} {redirection}")])
                .env("X", env!("CARGO_BIN_EXE_xtask"))
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
