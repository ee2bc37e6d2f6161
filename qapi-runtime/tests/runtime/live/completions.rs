//! Commands of QEMU with what completes them: devices that go, and jobs.

use std::path::Path;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::{
    CallOptions, ClientErrorKind, EventFilter, JobState, Outcome, blocking,
};

use super::{Qemu, options, value, with_each_qemu};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

fn within(timeout: Duration) -> CallOptions {
    CallOptions::new().timeout(timeout)
}

fn run(client: &blocking::Client, command: &str, arguments: &str) -> Value {
    let done = client.execute_raw(command, Some(&value(arguments)), within(LONG));
    done.unwrap()
}

fn unplugged(id: &str) -> EventFilter {
    EventFilter::names(["DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"]).with_member("device", id)
}

/// A disk on a controller goes at once; a device of PCI asks the guest, who is not there, until the machine is reset.
#[test]
fn devices_go_with_and_without_the_guest() {
    with_each_qemu("devices that go", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let mut command = Qemu::command_on("pc", qemu, &socket);
        command.args(["-S", "-device", "virtio-scsi-pci"]);
        let _qemu = Qemu::of(command);
        let client = blocking::Client::connect(options(&socket)).unwrap();
        for (driver, id) in [("scsi-hd", "a"), ("virtio-blk-pci", "b")] {
            let node = format!("{{'driver': 'null-co', 'node-name': '{id}'}}");
            run(&client, "blockdev-add", &node);
            let device = format!("{{'driver': '{driver}', 'drive': '{id}', 'id': '{id}'}}");
            run(&client, "device_add", &device);
        }
        let id = |id: &str| Some(Value::from([("id", id)]));
        let gone =
            client.execute_raw_until("device_del", id("a").as_ref(), unplugged("a"), within(LONG));
        assert_eq!(gone.unwrap().1.name(), "DEVICE_DELETED");
        let kept = client.execute_raw_until(
            "device_del",
            id("b").as_ref(),
            unplugged("b"),
            within(SHORT),
        );
        let kept = kept.unwrap_err();
        assert!(
            matches!(kept.kind(), ClientErrorKind::TimedOut(SHORT)),
            "{kept:?}"
        );
        let outcome = kept.late_reply().unwrap().wait(LONG);
        assert_eq!(outcome, Outcome::Done(value("{}")));
        let gone = client.execute_raw_until("system_reset", None, unplugged("b"), within(LONG));
        assert_eq!(gone.unwrap().1.name(), "DEVICE_DELETED");
    });
}

fn with_nodes(qemu: &Path, test: impl Fn(&blocking::Client, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let _qemu = Qemu::start_as(qemu, &socket);
    let client = blocking::Client::connect(options(&socket)).unwrap();
    let bad = "{'driver': 'blkdebug', 'node-name': 'bad', 'image': \
        {'driver': 'null-co', 'size': 1048576}, 'inject-error': [{'event': 'none', 'iotype': 'read'}]}";
    run(&client, "blockdev-add", bad);
    for name in ["a", "b"] {
        let node = format!("{{'driver': 'null-co', 'node-name': '{name}', 'size': 1048576}}");
        run(&client, "blockdev-add", &node);
    }
    test(&client, folder.path());
    assert_eq!(
        client
            .execute_raw("query-jobs", None, within(LONG))
            .unwrap(),
        value("[]")
    );
}

/// Jobs of all kinds: with everything done for them, with everything to be done, failed, stopped and cancelled.
#[test]
fn jobs_come_to_their_end() {
    let ends = |client: &blocking::Client, command: &str, arguments: &str| {
        let arguments = value(arguments);
        let started = client.start_raw_job(command, Some(&arguments), "j", within(LONG));
        started.unwrap().finish(Some(LONG)).unwrap()
    };
    with_each_qemu("jobs of QEMU", |qemu| {
        with_nodes(qemu, |client, folder| {
            let copy = |source: &str, more: &str| {
                format!(
                    "{{'job-id': 'j', 'device': '{source}', 'target': 'b', 'sync': 'full'{more}}}"
                )
            };
            for command in ["blockdev-mirror", "blockdev-backup"] {
                for more in [
                    "",
                    ", 'auto-dismiss': false",
                    ", 'auto-finalize': false",
                    ", 'auto-dismiss': false, 'auto-finalize': false",
                ] {
                    let end = ends(client, command, &copy("a", more));
                    assert_eq!(end, JobState::Completed, "{command} {more}");
                }
            }
            for more in ["", ", 'auto-dismiss': false"] {
                let end = ends(client, "blockdev-backup", &copy("bad", more));
                let JobState::Failed(error) = end else {
                    panic!("{end:?}");
                };
                assert_eq!(&*error, "Input/output error", "{more}");
            }
            let create = |path: &Path| {
                let path = path.display();
                format!(
                    "{{'job-id': 'j', 'options': {{'driver': 'file', 'filename': '{path}', 'size': 65536}}}}"
                )
            };
            let path = folder.join("new");
            assert_eq!(
                ends(client, "blockdev-create", &create(&path)),
                JobState::Completed
            );
            assert_eq!(path.metadata().unwrap().len(), 65536);
            let end = ends(client, "blockdev-create", &create(&folder.join("no/new")));
            assert!(
                matches!(&end, JobState::Failed(error) if error.contains("No such file")),
                "{end:?}"
            );
        });
    });
}

#[test]
fn jobs_that_wait_are_told_so() {
    with_each_qemu("jobs of QEMU that wait", |qemu| {
        with_nodes(qemu, |client, _| {
            let start = |command: &str, arguments: &str| {
                let arguments = value(arguments);
                client
                    .start_raw_job(command, Some(&arguments), "j", within(LONG))
                    .unwrap()
            };
            let id = "{'id': 'j'}";
            let mut job = start(
                "blockdev-mirror",
                "{'job-id': 'j', 'device': 'a', 'target': 'b', 'sync': 'full'}",
            );
            assert_eq!(job.wait(Some(LONG)).unwrap(), JobState::Ready);
            // Somebody who comes later sees it, too.
            let mut found = client.find_job("j").unwrap().unwrap();
            assert_eq!(found.wait(Some(LONG)).unwrap(), JobState::Ready);
            run(client, "job-cancel", id);
            for job in [&mut job, &mut found] {
                assert_eq!(job.finish(Some(LONG)).unwrap(), JobState::Cancelled);
            }
            assert!(client.find_job("j").unwrap().is_none());
            let mut job = start(
                "blockdev-backup",
                "{'job-id': 'j', 'device': 'bad', 'target': 'b', 'sync': 'full', 'on-source-error': 'stop'}",
            );
            assert_eq!(job.finish(Some(LONG)).unwrap(), JobState::Stopped);
            run(client, "job-cancel", id);
            assert_eq!(job.finish(Some(LONG)).unwrap(), JobState::Cancelled);
        });
    });
}
