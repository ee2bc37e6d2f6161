//! Foreign NBD clients against the exports of `iothreadd`: the data are what they should be.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{PATIENCE, Qmp, Server, Suite, Tool};

const MIB: usize = 1 << 20;

/// The size of all images.
const SIZE: usize = 24 * MIB;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .with("nbd::qemu-img", Tool::Program("qemu-img"), qemu_img)
        .with("nbd::qemu-io", Tool::Program("qemu-io"), qemu_io)
        .with("nbd::image-locks", Tool::Program("qemu-io"), image_locks)
        .with("nbd::nbdinfo", Tool::Program("nbdinfo"), nbdinfo)
        .with("nbd::nbdcopy", Tool::Program("nbdcopy"), nbdcopy)
        .with("nbd::fio-verifies", Tool::Program("fio"), fio_verifies)
        .with("nbd::fio-is-killed", Tool::Program("fio"), fio_is_killed)
}

/// A server with three IOThreads, and its NBD server.
struct Fixture {
    daemon: Server,
    qmp: Qmp,
}

impl Fixture {
    fn new() -> Result<Self, Failed> {
        let threads = ["iothread,id=io0", "iothread,id=io1", "iothread,id=io2"];
        let options: Vec<&str> = threads.iter().flat_map(|it| ["--object", it]).collect();
        let daemon = Server::start_iothreadd(&options);
        let mut qmp = Qmp::open(daemon.socket())?;
        let address = json!({"type": "unix", "data": {"path": daemon.folder().join("nbd")}});
        qmp.execute("nbd-server-start", json!({"addr": address}))?;
        Ok(Self { daemon, qmp })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.daemon.folder().join(name)
    }

    fn uri(&self, export: &str) -> String {
        let socket = self.path("nbd");
        format!("nbd+unix:///{export}?socket={}", socket.display())
    }

    /// Makes an image with these contents, and exports it under its name.
    fn export(&mut self, name: &str, contents: &[u8], more: Value) -> Result<(), Failed> {
        std::fs::write(self.path(name), contents)?;
        self.qmp.execute(
            "blockdev-add",
            json!({"driver": "raw", "node-name": name, "discard": "unmap",
                   "file": {"driver": "file", "filename": self.path(name)}}),
        )?;
        let mut export = json!({"type": "nbd", "id": name, "node-name": name, "writable": true});
        for (name, value) in more.as_object().into_iter().flatten() {
            export[name] = value.clone();
        }
        self.qmp.execute("block-export-add", export)?;
        Ok(())
    }

    /// Runs a program in the server's folder. Returns what it prints.
    fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, Failed> {
        let mut command = Command::new(program);
        command.current_dir(self.daemon.folder()).args(arguments);
        let output = command.output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("{command:?}: {}\n{stdout}{stderr}", output.status).into())
    }

    /// Removes an export once its clients are gone. A client's process may end before the server has read the end of its
    /// connection; until then the export is in use.
    fn remove_export(&mut self, id: &str) -> Result<(), Failed> {
        let in_use = format!("export '{id}' still in use");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.qmp.exchange("block-export-del", &json!({"id": id}))?;
            match reply["error"]["desc"].as_str() {
                None => break,
                Some(text) if text == in_use && Instant::now() < deadline => {
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                Some(text) => return Err(text.into()),
            }
        }
        self.qmp.wait_for(|event| {
            event["event"] == "BLOCK_EXPORT_DELETED" && event["data"]["id"] == id
        })?;
        Ok(())
    }

    /// Removes exports and their nodes, and checks that nobody holds a thread then.
    fn finish(mut self, exports: &[&str]) -> Result<(), Failed> {
        for id in exports {
            self.remove_export(id)?;
            self.qmp.execute("blockdev-del", json!({"node-name": id}))?;
        }
        let threads = self.qmp.execute("query-iothreads", json!({}))?;
        for thread in threads.as_array().into_iter().flatten() {
            expect(&thread["holders"], &json!([]), "holders")?;
        }
        Ok(())
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(is: &T, should_be: &T, what: &str) -> Result<(), Failed> {
    if is == should_be {
        return Ok(());
    }
    Err(format!("{what}: {is:?} instead of {should_be:?}").into())
}

/// Bytes without a pattern, but with a stretch of zeroes in the middle.
fn contents() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(SIZE);
    while bytes.len() < SIZE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes[8 * MIB..16 * MIB].fill(0);
    bytes
}

fn check_equal(one: &Path, other: &Path) -> Result<(), Failed> {
    let [one_bytes, other_bytes] = [std::fs::read(one)?, std::fs::read(other)?];
    expect(&one_bytes.len(), &other_bytes.len(), "length")?;
    // To look at each byte takes long where that is emulated.
    if one_bytes == other_bytes {
        return Ok(());
    }
    let mut pairs = one_bytes.iter().zip(&other_bytes);
    let place = pairs.position(|(a, b)| a != b);
    Err(format!("data differ from byte {} on", place.unwrap_or_default()).into())
}

/// An export with data and one to be overwritten, on threads of their own, and their URIs.
fn source_and_target() -> Result<(Fixture, [String; 2]), Failed> {
    let mut fixture = Fixture::new()?;
    fixture.export("source", &contents(), json!({"iothread": "io0"}))?;
    fixture.export(
        "target",
        &vec![0xee; SIZE],
        json!({"iothread": ["io1", "io2"]}),
    )?;
    let [source, target] = ["source", "target"].map(|it| fixture.uri(it));
    Ok((fixture, [source, target]))
}

fn qemu_img(qemu_img: &Path) -> Result<(), Failed> {
    let (fixture, [source, target]) = source_and_target()?;
    let raw = ["-f", "raw"];
    let arguments = [&["info", "--output=json"], &raw[..], &[&source]].concat();
    let info: Value = serde_json::from_str(&fixture.run(qemu_img, &arguments)?)?;
    expect(&info["virtual-size"], &json!(SIZE), "size")?;
    let both = [&["compare", "-F", "raw"], &raw[..], &[&source, "source"]].concat();
    // The image itself, which the server does not keep from readers.
    fixture.run(qemu_img, &both)?;
    let arguments = [
        &["convert", "-n", "-O", "raw"],
        &raw[..],
        &[&source, &target],
    ]
    .concat();
    fixture.run(qemu_img, &arguments)?;
    let arguments = [&["convert", "-O", "raw"], &raw[..], &[&target, "copy"]].concat();
    fixture.run(qemu_img, &arguments)?;
    check_equal(&fixture.path("source"), &fixture.path("target"))?;
    check_equal(&fixture.path("source"), &fixture.path("copy"))?;
    fixture.finish(&["source", "target"])
}

/// A client writes patterns, reads them back and finds no other byte; the image has what it was told to write.
fn qemu_io(qemu_io: &Path) -> Result<(), Failed> {
    let mut fixture = Fixture::new()?;
    let mut contents = contents();
    fixture.export("disk", &contents, json!({"iothread": ["io0", "io1"]}))?;
    let uri = fixture.uri("disk");
    let mut arguments = vec!["-f", "raw"];
    // The second one begins and ends within a sector.
    let stretches = [
        (0xa5, 0, 512),
        (0x5a, 512 + 1, 3 * MIB),
        (0x3c, 23 * MIB, MIB),
    ];
    let mut commands = Vec::new();
    for (pattern, offset, length) in stretches {
        contents[offset..offset + length].fill(pattern);
        commands.push(format!("write -P {pattern} {offset} {length}"));
    }
    contents[9 * MIB - 512..9 * MIB].fill(0xff);
    contents[4 * MIB..5 * MIB].fill(0);
    commands.push(format!("write -f -P 255 {} 512", 9 * MIB - 512));
    commands.push(format!("write -z {} {MIB}", 4 * MIB));
    commands.push("flush".to_owned());
    for (pattern, offset, length) in stretches {
        commands.push(format!("read -P {pattern} {offset} {length}"));
    }
    commands.push(format!("read -P 0 {} {MIB}", 4 * MIB));
    arguments.extend(commands.iter().flat_map(|it| ["-c", it]));
    arguments.push(&uri);
    fixture.run(qemu_io, &arguments)?;
    std::fs::write(fixture.path("wanted"), contents)?;
    check_equal(&fixture.path("wanted"), &fixture.path("disk"))?;
    // And the client would have noticed.
    let wrong = fixture.run(qemu_io, &["-f", "raw", "-c", "read -P 90 0 512", &uri]);
    expect(&wrong.is_err(), &true, "whether a wrong pattern fails")?;
    fixture.finish(&["disk"])
}

/// QEMU's tools and the server keep off what the other writes.
fn image_locks(qemu_io: &Path) -> Result<(), Failed> {
    let mut fixture = Fixture::new()?;
    fixture.export("disk", &vec![1; MIB], json!({"iothread": "io0"}))?;
    let open = |fixture: &Fixture, command: &str| {
        let refused = fixture.run(qemu_io, &["-f", "raw", "-c", command, "disk"]);
        refused.map_err(|failed| failed.message().unwrap_or_default().to_owned())
    };
    let expect_refusal = |result: Result<String, String>, text: &str| match result {
        Err(message) if message.contains(text) => Ok(()),
        result => Err(Failed::from(format!("{result:?} instead of {text}"))),
    };
    // An export shares what it writes to, and so does qemu-io.
    open(&fixture, "write -P 5 0 512")?;
    fixture.remove_export("disk")?;
    // A device does not share it.
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "disk", "iothread": "io0"});
    fixture.qmp.execute("device_add", device.clone())?;
    let write = open(&fixture, "write 0 512");
    expect_refusal(write, "Failed to get \"write\" lock")?;
    fixture.qmp.execute("device_del", json!({"id": "d"}))?;
    while fixture.qmp.event()?["data"]["device"] != json!("d") {}
    // The other way round.
    let mut holder = Command::new(qemu_io)
        .current_dir(fixture.daemon.folder())
        .args(["-f", "raw", "disk"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = holder.stdin.take().ok_or("no standard input")?;
    let stdout = holder.stdout.take().ok_or("no standard output")?;
    // What it answers to a command shows that it has opened the image.
    stdin.write_all(b"read 0 512\n")?;
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = lines.next().ok_or("qemu-io ended")??;
        if line.contains("read 512/512 bytes") {
            break;
        }
    }
    let refusal = fixture.qmp.exchange("device_add", &device)?;
    let text = &refusal["error"]["desc"];
    let wanted = json!("Failed to get shared \"write\" lock");
    expect(text, &wanted, "refusal")?;
    drop(stdin);
    // It may still be saying good-bye.
    lines.for_each(drop);
    holder.wait()?;
    fixture.qmp.execute("device_add", device)?;
    fixture.qmp.execute("device_del", json!({"id": "d"}))?;
    while fixture.qmp.event()?["data"]["device"] != json!("d") {}
    let node = json!({"node-name": "disk"});
    fixture.qmp.execute("blockdev-del", node)?;
    fixture.finish(&[])
}

fn nbdinfo(nbdinfo: &Path) -> Result<(), Failed> {
    let mut fixture = Fixture::new()?;
    let more = json!({"iothread": "io0", "description": "Zeroes in the middle"});
    fixture.export("disk", &contents(), more)?;
    let uri = fixture.uri("disk");
    let text = fixture.run(nbdinfo, &["--json", &uri])?;
    let info: Value = serde_json::from_str(&text)?;
    expect(&info["protocol"], &json!("newstyle-fixed"), "protocol")?;
    expect(&info["structured"], &json!(true), "structured replies")?;
    let export = &info["exports"][0];
    for (name, value) in [
        ("export-size", json!(SIZE)),
        ("description", json!("Zeroes in the middle")),
        ("contexts", json!(["base:allocation"])),
        ("is_read_only", json!(false)),
        ("can_cache", json!(true)),
        ("can_df", json!(true)),
        ("can_fast_zero", json!(true)),
        ("can_flush", json!(true)),
        ("can_fua", json!(true)),
        ("can_multi_conn", json!(true)),
        ("can_trim", json!(true)),
        ("can_zero", json!(true)),
        ("block_size_minimum", json!(1)),
        ("block_size_preferred", json!(4096)),
        ("block_size_maximum", json!(32 * MIB)),
    ] {
        expect(&export[name], &value, name)?;
    }
    let list = fixture.run(nbdinfo, &["--list", "--json", &fixture.uri("")])?;
    let list: Value = serde_json::from_str(&list)?;
    expect(
        &list["exports"][0]["export-name"],
        &json!("disk"),
        "name in the list",
    )?;
    // The server makes a hole of what is trimmed and of nothing else.
    let map = |fixture: &Fixture| -> Result<Vec<(u64, u64)>, Failed> {
        let map: Value = serde_json::from_str(&fixture.run(nbdinfo, &["--map", "--json", &uri])?)?;
        let extents = map.as_array().into_iter().flatten();
        let number = |extent: &Value, name: &str| extent[name].as_u64().unwrap_or(u64::MAX);
        Ok(extents
            .map(|it| (number(it, "length"), number(it, "type")))
            .collect())
    };
    let mib = |count: usize| (count * MIB) as u64;
    expect(&map(&fixture)?, &vec![(mib(24), 0)], "map")?;
    let file = std::fs::File::options()
        .write(true)
        .open(fixture.path("disk"))?;
    file.set_len(mib(8))?;
    file.set_len(mib(24))?;
    expect(&map(&fixture)?, &vec![(mib(8), 0), (mib(16), 3)], "map")?;
    fixture.finish(&["disk"])
}

fn nbdcopy(nbdcopy: &Path) -> Result<(), Failed> {
    let (fixture, [source, target]) = source_and_target()?;
    fixture.run(nbdcopy, &[&source, &target])?;
    check_equal(&fixture.path("source"), &fixture.path("target"))?;
    fixture.run(nbdcopy, &["--flush", &target, "copy"])?;
    check_equal(&fixture.path("source"), &fixture.path("copy"))?;
    fixture.finish(&["source", "target"])
}

/// Arguments of a run of fio that writes a lot in small pieces.
fn fio_arguments(uri: &str) -> Vec<String> {
    let size = format!("--size={SIZE}");
    let uri = format!("--uri={uri}");
    let arguments = [
        // One process, so that killing it ends it.
        "--thread",
        "--name=job",
        "--ioengine=nbd",
        &uri,
        &size,
        "--rw=randrw",
        "--bsrange=512-64k",
        "--bs_unaligned=1",
        "--iodepth=32",
        "--randseed=1",
        "--verify_state_save=0",
    ];
    arguments.map(str::to_owned).to_vec()
}

fn fio_verifies(fio: &Path) -> Result<(), Failed> {
    let mut fixture = Fixture::new()?;
    let more = json!({"iothread": ["io0", "io1"]});
    fixture.export("disk", &vec![0; SIZE], more)?;
    // Meanwhile other exports, on these threads and on another, come and go, and nodes move.
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let mut qmp = Qmp::open(fixture.daemon.socket())?;
    let others = std::thread::spawn(move || -> Result<usize, Failed> {
        let node = json!({"driver": "null-co", "node-name": "other", "read-zeroes": true});
        qmp.execute("blockdev-add", node)?;
        let mut rounds = 0;
        while !stopping.load(Ordering::Relaxed) {
            rounds += 1;
            for threads in [json!("io2"), json!(["io0", "io2"]), json!("io1")] {
                let export = json!({"type": "nbd", "id": "other", "node-name": "other", "iothread": threads});
                qmp.execute("block-export-add", export)?;
                qmp.execute("block-export-del", json!({"id": "other"}))?;
                qmp.events.clear();
            }
            for thread in [json!("io0"), Value::Null] {
                let arguments = json!({"node-name": "other", "iothread": thread});
                qmp.execute("x-blockdev-set-iothread", arguments)?;
            }
        }
        qmp.execute("blockdev-del", json!({"node-name": "other"}))?;
        Ok(rounds)
    });
    let mut arguments = fio_arguments(&fixture.uri("disk"));
    arguments.extend(["--verify=crc32c", "--verify_fatal=1"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = fixture.run(fio, &arguments);
    stop.store(true, Ordering::Relaxed);
    let rounds = others.join().map_err(|_| "the other client panicked")??;
    result?;
    expect(&(rounds > 0), &true, "whether other exports came and went")?;
    fixture.finish(&["disk"])
}

fn fio_is_killed(fio: &Path) -> Result<(), Failed> {
    let mut fixture = Fixture::new()?;
    fixture.export("disk", &vec![0; SIZE], json!({"iothread": "io0"}))?;
    for _ in 0..3 {
        let mut child = Command::new(fio)
            .current_dir(fixture.daemon.folder())
            .args(fio_arguments(&fixture.uri("disk")))
            .arg("--time_based")
            .arg("--runtime=600")
            .stdout(Stdio::null())
            .spawn()?;
        // It is at work when the image changes.
        let image = fixture.path("disk");
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        while is_zero(&std::fs::read(&image)?) {
            if let Some(status) = child.try_wait()? {
                return Err(format!("fio ended: {status}").into());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        child.kill()?;
        child.wait()?;
        // Another client finds an export that works, and an export without clients in the end.
        let check = std::fs::File::options().write(true).open(&image)?;
        check.set_len(0)?;
        check.set_len(SIZE as u64)?;
    }
    fixture.finish(&["disk"])
}
