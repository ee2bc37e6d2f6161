//! Plans on QEMU: what fails leaves nothing behind.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::{CallOptions, EventFilter, PlanError, Reason, blocking};

use super::{Qemu, options, value, with_each_qemu};

#[expect(dead_code, reason = "its main function is for another machine")]
#[path = "../../../examples/hot-plug.rs"]
mod hot_plug;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

fn within(timeout: Duration) -> CallOptions {
    CallOptions::new().timeout(timeout)
}

/// A machine with a controller for disks. It runs, since QEMU before 9.1 lets descriptors go only then, and finds no system.
fn start(qemu: &Path, folder: &Path) -> (Qemu, blocking::Client) {
    let socket = folder.join("qmp");
    let mut command = Qemu::command_on("pc", qemu, &socket);
    command.args(["-device", "virtio-scsi-pci,id=scsi"]);
    let qemu = Qemu::of(command);
    let client = blocking::Client::connect(options(&socket).timeout(LONG));
    (qemu, client.unwrap())
}

fn image(folder: &Path) -> File {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("image"))
        .unwrap();
    file.set_len(1 << 20).unwrap();
    file
}

/// All that plans make.
pub(super) fn everything(client: &blocking::Client) -> Vec<Value> {
    let ask = |command: &str, arguments: Option<&str>| {
        let arguments = arguments.map(value);
        let told = client.execute_raw(command, arguments.as_ref(), CallOptions::new());
        told.unwrap()
    };
    vec![
        ask("query-named-block-nodes", None),
        ask("query-chardev", None),
        ask("qom-list", Some("{'path': '/objects'}")),
        ask("qom-list", Some("{'path': '/machine/peripheral'}")),
        ask("query-fdsets", None),
    ]
}

const STEPS: [(&str, &str); 6] = [
    ("add-fd", "'fdset-id': 5, 'opaque': 'rdwr:image'"),
    (
        "blockdev-add",
        "'driver': 'file', 'node-name': 'image', 'filename': '/dev/fdset/5'",
    ),
    (
        "chardev-add",
        "'id': 'log', 'backend': {'type': 'null', 'data': {}}",
    ),
    ("object-add", "'qom-type': 'iothread', 'id': 'io'"),
    (
        "blockdev-add",
        "'driver': 'raw', 'node-name': 'disk', 'file': 'image'",
    ),
    (
        "device_add",
        "'driver': 'scsi-hd', 'id': 'sda', 'drive': 'disk', 'bus': 'scsi.0'",
    ),
];

/// Does all of it; the step with the number `failing` has an argument that nobody knows.
fn carry_out(
    plan: &mut blocking::Plan,
    folder: &Path,
    failing: Option<usize>,
) -> Result<(), PlanError> {
    for (n, (command, arguments)) in STEPS.into_iter().enumerate() {
        let wrong = if failing == Some(n) {
            ", 'no-such': 1"
        } else {
            ""
        };
        let arguments = value(&format!("{{{arguments}{wrong}}}"));
        let options = match command {
            "add-fd" => within(LONG).descriptor(image(folder).into()),
            _ => within(LONG),
        };
        plan.execute_raw(command, Some(&arguments), options)?;
    }
    Ok(())
}

/// Whichever of six steps fails, and when all of them are undone: everything is as before.
#[test]
fn a_plan_that_fails_leaves_nothing() {
    with_each_qemu("plans", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let (_qemu, client) = start(qemu, folder.path());
        let before = everything(&client);
        for n in 0..STEPS.len() {
            let failed = carry_out(&mut client.plan(), folder.path(), Some(n));
            let error = failed.unwrap_err();
            assert!(error.cause().unwrap().server_error().is_some(), "{error}");
            assert_eq!(error.left().len(), 0, "{error}");
            assert_eq!(everything(&client), before, "{n}");
        }
        let mut plan = client.plan();
        carry_out(&mut plan, folder.path(), None).unwrap();
        assert_ne!(everything(&client), before);
        // What is there is not made again, by name.
        let mut again = client.plan();
        for (command, arguments) in STEPS {
            let arguments = value(&format!("{{{arguments}}}"));
            let made = again.ensure_raw(command, Some(&arguments), within(LONG));
            assert!(!made.unwrap(), "{command}");
            if command != "add-fd" {
                let twice = client.execute_raw(command, Some(&arguments), within(LONG));
                let reason = twice.unwrap_err().reason();
                assert_eq!(reason, Some(Reason::AlreadyThere), "{command}");
            }
        }
        assert_eq!(again.names().count(), 0);
        plan.undo().unwrap();
        assert_eq!(everything(&client), before);
    });
}

/// The example: a disk on the bus of a guest that does not answer stays, with all that it stands on, until the guest is reset.
#[test]
fn a_disk_is_plugged_and_taken_away() {
    with_each_qemu("the hot-plug of a disk", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let (_qemu, client) = start(qemu, folder.path());
        let before = everything(&client);
        let mut plugged = hot_plug::plug(&client, image(folder.path())).unwrap();
        let twice = hot_plug::plug(&client, image(folder.path())).unwrap_err();
        assert_eq!(twice.left().len(), 0, "{twice}");
        plugged = plugged.undo_within(SHORT);
        let kept = plugged.undo().unwrap_err();
        let names: Vec<&str> = kept.left().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["device_add vdb", "blockdev-add disk", "blockdev-add f"],
            "{kept}"
        );
        assert_eq!(
            kept.left().next().unwrap().1,
            "asked for, and not gone in 300ms"
        );
        let gone = EventFilter::name("DEVICE_DELETED").with_member("device", "vdb");
        let reset = client.execute_raw_until("system_reset", None, gone, within(LONG));
        reset.unwrap();
        plugged = plugged.undo_within(LONG);
        plugged.undo().unwrap();
        assert_eq!(everything(&client), before);
    });
}

/// What this QEMU has and the other has not: known by asking it.
#[test]
fn a_server_tells_what_it_has() {
    let ten = "blockdev-add/arguments/driver=qcow2/discard-no-unref";
    with_each_qemu("what a server has", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let (_qemu, client) = start(qemu, folder.path());
        let version = client.greeting().unwrap().version;
        let major = version.get("qemu").and_then(|it| it.get("major")?.as_u64());
        let server = client.peer_schema().unwrap();
        assert_eq!(server.has(ten), major >= Some(9));
        for path in [
            "blockdev-add/arguments/driver=qcow2/file/driver=nbd/server/type=unix/path",
            "query-block/returns/inserted/image/backing-image/filename",
            "DEVICE_DELETED/data/device",
            "block-export-add/arguments/type=nbd/bitmaps",
            "object-add/arguments/qom-type=iothread/poll-max-ns",
            "query-migrate/returns/status=active",
        ] {
            assert_eq!(server.find(path), Ok(()));
        }
        // Everything that the plans above send is known, and so is sent.
        let checked = options(&folder.path().join("qmp")).timeout(LONG);
        drop(client);
        let checked = checked.handshake_timeout(LONG).refuse_unknown();
        let client = blocking::Client::connect(checked).unwrap();
        let mut plan = client.plan();
        carry_out(&mut plan, folder.path(), None).unwrap();
        plan.undo().unwrap();
        let newer = value(
            "{'driver': 'qcow2', 'node-name': 'n', 'file': 'f', 'discard-no-unref': true, 'no-such': 1}",
        );
        let refused = client.execute_raw("blockdev-add", Some(&newer), within(LONG));
        let text = refused.unwrap_err().to_string();
        let unknown = match major >= Some(9) {
            true => "blockdev-add/arguments/no-such",
            false => "blockdev-add/arguments/discard-no-unref",
        };
        assert_eq!(
            text,
            format!("blockdev-add: the server does not know '{unknown}'")
        );
    });
}
