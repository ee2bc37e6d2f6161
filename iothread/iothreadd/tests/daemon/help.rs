//! What options tell of themselves, and what they advise against.

use std::process::Output;

use crate::harness::run;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ask(option: &str, about: &str) -> Output {
    run(&[option, about], b"")
}

#[test]
fn options_list_what_there_is() {
    for (option, about, lines) in [
        (
            "--device",
            "help",
            &[
                "Storage devices:\n",
                "name \"virtio-blk-pci\", bus PCI, alias \"virtio-blk\"\n",
                "name \"scsi-hd\", bus SCSI\n",
                "\n\nMisc devices:\nname \"vfio-user-pci\", bus PCI\n",
            ][..],
        ),
        (
            "--device",
            "virtio-blk,help",
            &[
                "virtio-blk-pci options:\n  account-failed=<OnOffAuto> - on/off/auto (default: auto)\n",
                "  acpi-index=<uint32>    -  (default: 0)\n",
                "  addr=<str>             - Slot and optional function number, example: 06.0 or 06 (default: -1)\n",
                "  bootindex=<int32>\n",
                "  config-wce=<bool>      - on/off (default: on)\n",
                "  iothread=<link<iothread>>\n",
            ],
        ),
        (
            "--device",
            "scsi-cd,id=x,?",
            &[
                "scsi-cd options:\n",
                "  lun=<uint32>           -  (default: 4294967295)\n",
            ],
        ),
        (
            "--chardev",
            "help",
            &[
                "Available chardev backend types: \n",
                "  socket\n",
                "  file\n",
            ],
        ),
        (
            "--chardev",
            "socket,help",
            &[
                "chardev options:\n",
                "  abstract=<bool (on/off)>\n",
                "  size=<size>\n",
                "  backend=<str>\n",
            ],
        ),
        (
            "--blockdev",
            "help",
            &[
                "Available block drivers:\n",
                "  file\n",
                "  host_device\n",
                "  null-co\n",
            ],
        ),
        (
            "--object",
            "?",
            &["List of user creatable objects:\n", "  iothread\n"],
        ),
        (
            "--object",
            "iothread,help",
            &["iothread options:\n  aio-max-batch=<int>\n  poll-grow=<int>\n"],
        ),
    ] {
        let output = ask(option, about);
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{option} {about}: {shown}");
        for line in lines {
            assert!(shown.contains(line), "{option} {about}: {line}{shown}");
        }
        assert_eq!(text(&output.stderr), "", "{option} {about}");
    }
}

#[test]
fn nothing_is_told_of_what_there_is_not() {
    for (option, about, error) in [
        ("--device", "nope,help", "Device 'nope' not found"),
        (
            "--object",
            "nope,help",
            "Parameter 'qom-type' does not accept value 'nope'",
        ),
        (
            "--blockdev",
            "nope,help",
            "Parameter 'driver' does not accept value 'nope'",
        ),
    ] {
        let output = ask(option, about);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stderr),
            format!("iothreadd: {option} {about}: {error}\n")
        );
    }
}

/// Switches may be given in the short form, and are named.
#[test]
fn short_forms_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c");
    let chardev = format!("socket,id=c,path={},server,nowait", path.display());
    let hmp = "chardev-add null,id=d,nofoo\ninfo chardev\nquit\n";
    let output = run(
        &["--chardev", &chardev, "--monitor", "stdio"],
        hmp.as_bytes(),
    );
    assert!(output.status.success());
    let warning = |word: &str, instead: &str| {
        format!(
            "warning: short-form boolean option '{word}' deprecated\nPlease use {instead} instead\n"
        )
    };
    assert_eq!(
        text(&output.stderr),
        format!(
            "iothreadd: --chardev {chardev}: {}iothreadd: --chardev {chardev}: {}",
            warning("server", "server=on"),
            warning("nowait", "wait=off")
        )
    );
    let shown = text(&output.stdout).replace("\r\n", "\n");
    let refused = format!(
        "{}Invalid parameter 'foo'\nError: Parsing chardev args failed\n",
        warning("nofoo", "foo=off")
    );
    assert!(shown.contains(&refused), "{shown}");
    let device = format!(
        "c: filename=disconnected:unix:{},server=on\n",
        path.display()
    );
    assert!(shown.contains(&device), "{shown}");
}

/// Who is in the way of a thread's end is told to people, and programs get QEMU's text.
#[test]
fn holders_are_named_where_people_look() {
    let input = "object_del io0\nobject_del io1\nobject_del nope\nquit\n";
    let arguments = [
        "--object",
        "iothread,id=io0",
        "--object",
        "iothread,id=io1",
        "--blockdev",
        "null-co,node-name=n",
        "--device",
        "virtio-blk-pci,id=d,drive=n,iothread=io0",
        "--monitor",
        "stdio",
    ];
    let output = run(&arguments, input.as_bytes());
    let shown = text(&output.stdout).replace("\r\n", "\n");
    let holder = "held by qom-object '/machine/peripheral/d/virtio-backend'\n";
    let error = "object 'io0' is in use, can not be deleted";
    let refused = format!(
        "(iothreadd) Error: {error}\nIt is {holder}(iothreadd) (iothreadd) Error: object 'nope' not found\n"
    );
    assert!(shown.contains(&refused), "{shown}");
    assert_eq!(
        text(&output.stderr),
        format!("iothreadd: {error}: it is {holder}")
    );
    let mut server = crate::harness::Server::start(&arguments[..8]);
    let mut client = server.client();
    assert_eq!(
        client.error("object-del", serde_json::json!({"id": "io0"})),
        error
    );
    client.execute("quit", serde_json::json!({}));
    assert!(server.wait().success());
}
