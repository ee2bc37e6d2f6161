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
    let version = place.text_of(&["query-version", "--human"]);
    assert!(version.contains("  major: "), "{version}");
    assert_eq!(place.kept().len(), 1);
    let file = place.folder.path().join("disk.img");
    std::fs::write(&file, [0; 65536])?;
    let name = format!("file.filename={}", file.display());
    place.text_of(&[
        "blockdev-add",
        "driver=raw",
        "node-name=d",
        "file.driver=file",
        &name,
    ]);
    let nodes = place.text_of(&["query-named-block-nodes", "flat=on"]);
    assert!(nodes.contains("\"d\""), "{nodes}");
    let failure = place.failure_of(1, &["blockdev-add", "driver=null-co", "node-name=d"]);
    assert!(
        failure.contains("Duplicate nodes with node-name='d'"),
        "{failure}"
    );
    let failure = place.failure_of(
        2,
        &["blockdev-add", "driver=null-co", "node-name=e", "size=big"],
    );
    assert!(
        failure.contains("Invalid parameter type for 'size', expected: int"),
        "{failure}"
    );
    place.text_of(&["blockdev-del", "node-name=d"]);
    place.text_of(&["--oob", "query-yank"]);
    assert!(place.text_of(&["--hmp", "info version"]).contains('.'));
    let text = place.text_of(&["quit", "--wait-event", "SHUTDOWN"]);
    assert!(text.contains("SHUTDOWN"), "{text}");
    Ok(())
}
