//! Devices of a Linux guest, which lets them go when it is asked, or does not hear of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use qapi_runtime::client::{CallOptions, EventFilter, Outcome, blocking};
use tests::GuestLinux;

use super::plans::everything;
use super::{Qemu, options, value, with_each_qemu};

/// An emulated machine is slow, and so is one that does other things.
const LONG: Duration = Duration::from_secs(120);

/// A guest that hears takes a second at most when it has nothing else to do; that one that does not hear keeps the disk is seen
/// by itself, however long it takes.
const SHORT: Duration = Duration::from_secs(1);

/// Makes a kernel deaf to ACPI's requests to let a device go.
const DEAF: &str = "acpiphp.disable=1";

const NODE: &str = "{'driver': 'null-co', 'node-name': 'd', 'size': 1048576, 'read-zeroes': true}";
const DEVICE: &str = "{'driver': 'virtio-blk-pci', 'id': 'd', 'drive': 'd'}";

/// A machine with a guest, stopped before its first instruction.
struct Machine {
    _qemu: Qemu,
    client: blocking::Client,
    lines: Receiver<String>,
}

impl Machine {
    fn start(qemu: &Path, guest: &GuestLinux, folder: &Path, kernel_options: &str) -> Self {
        let (socket, initial) = (folder.join("qmp"), folder.join("initial"));
        let files = guest.files(include_bytes!("guest-init")).unwrap();
        std::fs::write(&initial, files.finish()).unwrap();
        let mut command = Qemu::command_on("pc", qemu, &socket);
        command.args(["-S", "-accel", "tcg", "-m", "192"]);
        command.arg("-kernel").arg(guest.kernel());
        command.arg("-initrd").arg(&initial);
        let kernel_options = format!("console=ttyS0 loglevel=4 {kernel_options}");
        command.args(["-append", &kernel_options, "-serial", "stdio"]);
        command.stdout(Stdio::piped());
        let mut qemu = Qemu::of(command);
        let stdout = qemu.child.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let client = blocking::Client::connect(options(&socket).timeout(LONG));
        Self {
            _qemu: qemu,
            client: client.unwrap(),
            lines,
        }
    }

    /// Waits until the guest says so.
    #[track_caller]
    fn until(&self, line: &str) {
        let mut said = Vec::new();
        while said.last().is_none_or(|last| last != line) {
            match self.lines.recv_timeout(LONG) {
                Ok(next) => said.push(next),
                Err(_) => panic!("not {line:?} but {said:#?}"),
            }
        }
    }

    fn run(&self, command: &str) {
        self.client
            .execute_raw(command, None, CallOptions::new())
            .unwrap();
    }

    /// Plugs the disk.
    fn plug(&self) -> blocking::Plan {
        let mut plan = self.client.plan().undo_within(LONG);
        for (command, arguments) in [("blockdev-add", NODE), ("device_add", DEVICE)] {
            plan.execute_raw(command, Some(&value(arguments)), CallOptions::new())
                .unwrap();
        }
        plan
    }
}

fn gone() -> EventFilter {
    EventFilter::names(["DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"]).with_member("device", "d")
}

/// A disk that the guest has found goes with its consent: by the command and its event, and as a step of a plan that is undone.
#[test]
fn a_guest_that_consents_lets_a_disk_go() {
    let Some(guest) = GuestLinux::for_test("a guest that lets a disk go") else {
        return;
    };
    with_each_qemu("a guest that lets a disk go", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(qemu, &guest, folder.path(), "");
        let before = everything(&machine.client);
        let mut plan = machine.plug();
        machine.run("cont");
        machine.until("the guest has a disk");
        plan.undo().unwrap();
        assert_eq!(everything(&machine.client), before);
        machine.until("the guest has none");
        // While it runs.
        let mut plan = machine.plug();
        machine.until("the guest has a disk");
        let id = value("{'id': 'd'}");
        let in_time = CallOptions::new().timeout(LONG);
        let client = &machine.client;
        let done = client.execute_raw_until("device_del", Some(&id), gone(), in_time);
        assert_eq!(done.unwrap().1.name(), "DEVICE_DELETED");
        machine.until("the guest has none");
        // The plan finds that its last step is undone.
        plan.undo().unwrap();
        assert_eq!(everything(&machine.client), before);
    });
}

/// Without its consent the disk stays, and what it stands on, and both are named; the guest still has it. A reset takes it.
#[test]
fn a_guest_that_does_not_hear_keeps_a_disk_until_it_is_reset() {
    let Some(guest) = GuestLinux::for_test("a guest that keeps a disk") else {
        return;
    };
    with_each_qemu("a guest that keeps a disk", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::start(qemu, &guest, folder.path(), DEAF);
        let before = everything(&machine.client);
        let plan = machine.plug();
        machine.run("cont");
        machine.until("the guest has a disk");
        let id = value("{'id': 'd'}");
        let in_short = CallOptions::new().timeout(SHORT);
        let client = &machine.client;
        let kept = client.execute_raw_until("device_del", Some(&id), gone(), in_short);
        let kept = kept.unwrap_err();
        assert_eq!(kept.outcome(), Outcome::Done(value("{}")), "{kept}");
        let mut plan = plan.undo_within(SHORT);
        let kept = plan.undo().unwrap_err();
        let names: Vec<&str> = kept.left().map(|(name, _)| name).collect();
        assert_eq!(names, ["device_add d", "blockdev-add d"], "{kept}");
        assert_ne!(everything(&machine.client), before);
        let reset = client.execute_raw_until(
            "system_reset",
            None,
            gone(),
            CallOptions::new().timeout(LONG),
        );
        assert_eq!(reset.unwrap().1.name(), "DEVICE_DELETED");
        plan.undo_within(LONG).undo().unwrap();
        assert_eq!(everything(&machine.client), before);
        // It has had the disk all the time until it starts again without.
        machine.until("the guest has none");
    });
}
