//! Threads that poll: what they do is told apart from work.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, eventually};

use super::doctor::findings;
use super::exporter::Exporter;
use super::guests::start_iothreadd;
use super::{Program, address, text_of};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.with(
        "polling-is-found-and-is-no-work",
        Tool::Program("qemu-system-x86_64"),
        polling_is_found_and_is_no_work,
    )
}

/// A boot sector that reads a sector at each tick of the clock, of which there are 18 a second.
const BOOT: &[u8] = &[
    0xb8, 0x01, 0x02, // mov ax, 0201h: read one sector
    0xb9, 0x02, 0x00, // mov cx, 2: the second one
    0xba, 0x80, 0x00, // mov dx, 80h: of the first disk
    0xbb, 0x00, 0x7e, // mov bx, 7e00h: to behind this one
    0xcd, 0x13, // int 13h
    0xfb, 0xf4, // sti; hlt
    0xeb, 0xee, // jmp to the beginning
];

/// A virtual machine that asks for little on `io0` of `iothreadd`, which polls for up to so long.
struct Machine {
    /// It goes before its disk does.
    _qemu: Program,
    server: Server,
}

impl Machine {
    fn start(qemu: &Path, poll_max_ns: u32) -> Self {
        let object = format!("iothread,id=io0,poll-max-ns={poll_max_ns}");
        let server = start_iothreadd(&["--object", &object]).unwrap();
        let path = |name: &str| server.folder().join(name).display().to_string();
        let mut image = vec![0; 1 << 20];
        image[..BOOT.len()].copy_from_slice(BOOT);
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(path("image"), image).unwrap();
        let mut client = Qmp::open(server.socket()).unwrap();
        let node = json!({"driver": "file", "node-name": "n0", "filename": path("image")});
        client.execute("blockdev-add", node).unwrap();
        let export = json!({
            "type": "vhost-user-blk", "id": "e0", "node-name": "n0", "iothread": "io0",
            "addr": {"type": "unix", "path": path("disk")}
        });
        client.execute("block-export-add", export).unwrap();
        let chardev = format!("socket,id=disk,path={}", path("disk"));
        let qemu = Command::new(qemu)
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-accel", "tcg", "-m", "64"])
            .args(["-object", "memory-backend-memfd,id=ram,size=64M,share=on"])
            .args(["-machine", "pc,memory-backend=ram"])
            .args(["-chardev", &chardev])
            .args(["-device", "vhost-user-blk-pci,chardev=disk,bootindex=0"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let machine = Self {
            _qemu: Program(qemu),
            server,
        };
        // The firmware has done its work when there is little more than the clock asks for.
        eventually(|| machine.part("work") < 0.1 && machine.part("reads") > 0.0);
        machine
    }

    /// What its thread does, of all time or a second.
    fn part(&self, what: &str) -> f64 {
        let options = ["--once", "--json", "-d", "0.5", "--deadline", "30"];
        let text = text_of(&[&options[..], &[&address(&self.server)]].concat());
        let round: Value = serde_json::from_str(&text).unwrap();
        let usage = &round["guests"][0]["threads"][0]["loop-usage"];
        let part = match what {
            "work" => &usage["dispatching"],
            "polling" => &usage["polling"],
            _ => &usage["events"],
        };
        part.as_f64().unwrap_or_else(|| panic!("{text}"))
    }

    fn is_found(&self) -> bool {
        findings(&[&address(&self.server)]).contains(&"IO09 io0".to_owned())
    }
}

fn polling_is_found_and_is_no_work(qemu: &Path) -> Result<(), Failed> {
    let polls = Machine::start(qemu, 200_000_000);
    eventually(|| polls.is_found());
    assert!(polls.part("polling") > 0.2);
    // A busy thread by its time on a processor; what is shown beside it says that it is not.
    let address = address(&polls.server);
    let table = text_of(&["--once", "-d", "0.5", "--deadline", "30", &address]);
    let heads: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let at = |head: &str| heads.iter().position(|it| *it == head).unwrap();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let number = |head: &str| -> f64 { row[at(head)].trim_end_matches('%').parse().unwrap() };
    assert!(number("POLL") > 20.0 && number("WORK") < 10.0, "{table}");
    let exporter = Exporter::start(&[&address]);
    let line = |phase: &str| {
        format!(
            "iothread_loop_seconds_total{{guest=\"{address}\",iothread=\"io0\",phase=\"{phase}\"}} "
        )
    };
    let metrics = exporter.until(&line("polling"));
    let seconds = |phase: &str| -> f64 {
        let line = line(phase);
        let value = metrics.lines().find_map(|it| it.strip_prefix(&line));
        value.unwrap().parse().unwrap()
    };
    assert!(
        seconds("polling") > 0.0 && seconds("blocked") > 0.0,
        "{metrics}"
    );
    assert!(metrics.contains("outcome=\"hit\""), "{metrics}");

    let sleeps = Machine::start(qemu, 0);
    assert!(!sleeps.is_found());
    // It looks once at what is there before it goes to sleep.
    assert!(sleeps.part("polling") < 0.01);
    Ok(())
}
