//! Foreign QMP clients against `iothreadd`.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use tests::{Server, Suite, Tool};

fn main() {
    Suite::new().with("qemu-qmp", Tool::QemuQmp, qemu_qmp).run();
}

/// The client library of QEMU's own tools.
fn qemu_qmp(python: &Path) -> Result<(), Failed> {
    let daemon =
        Server::start_iothreadd(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/qemu_qmp.py");
    let output = Command::new(python)
        .arg(script)
        .arg(daemon.socket())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {stderr}", output.status).into())
}
