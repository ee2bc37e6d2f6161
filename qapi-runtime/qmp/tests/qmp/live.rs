//! QEMU.

use std::path::Path;

use libtest_mimic::Failed;
use tests::{Server, Suite, Tool};

use crate::Place;

pub(crate) fn add(mut suite: Suite) -> Suite {
    for (name, tool) in [
        ("qemu", Tool::Program("qemu-system-x86_64")),
        ("qemu-10", Tool::QemuTen),
    ] {
        suite = suite.with(&format!("{name}-is-driven"), tool, drive);
    }
    suite
}

fn drive(qemu: &Path) -> Result<(), Failed> {
    let arguments = ["-machine", "none", "-S", "-nodefaults", "-display", "none"];
    let server = Server::start_qemu(qemu, &arguments)?;
    let place = Place::at(&server);
    // One command comes right after the other, and QEMU may still be busy with the client before.
    let text_of = |arguments: &[&str]| place.text_of(&[&["--retry", "10"], arguments].concat());
    let failure_of = |status, arguments: &[&str]| {
        place.failure_of(status, &[&["--retry", "10"], arguments].concat())
    };
    let version = text_of(&["query-version", "--human"]);
    assert!(version.contains("  major: "), "{version}");
    assert_eq!(place.kept().len(), 1);
    let file = place.folder.path().join("disk.img");
    std::fs::write(&file, [0; 65536])?;
    let name = format!("file.filename={}", file.display());
    text_of(&[
        "blockdev-add",
        "driver=raw",
        "node-name=d",
        "file.driver=file",
        &name,
    ]);
    let nodes = text_of(&["query-named-block-nodes", "flat=on"]);
    assert!(nodes.contains("\"d\""), "{nodes}");
    let failure = failure_of(1, &["blockdev-add", "driver=null-co", "node-name=d"]);
    assert!(
        failure.contains("Duplicate nodes with node-name='d'"),
        "{failure}"
    );
    let failure = failure_of(
        2,
        &["blockdev-add", "driver=null-co", "node-name=e", "size=big"],
    );
    assert!(
        failure.contains("Invalid parameter type for 'size', expected: int"),
        "{failure}"
    );
    text_of(&["blockdev-del", "node-name=d"]);
    text_of(&["--oob", "query-yank"]);
    assert!(text_of(&["--hmp", "info version"]).contains('.'));
    let text = text_of(&["quit", "--wait-event", "SHUTDOWN"]);
    assert!(text.contains("SHUTDOWN"), "{text}");
    Ok(())
}
