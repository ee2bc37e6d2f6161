//! `cargo xtask demo`: the whole idea on real parts.

mod show;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::codegen;
use crate::process::IOTHREADD;
use show::Show;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object a step instead of text.
    #[arg(long)]
    json: bool,
}

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(args: &Args) -> Result<()> {
    let show = Show::new(args.json);
    show.progress("Generating Rust from schema/ ...");
    codegen::generate()?;
    show.progress("Building the QMP server iothreadd ...");
    let iothreadd = IOTHREADD.build()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let socket = folder.path().join("qmp.sock");
    let mut server = Server::start(&iothreadd, &socket)?;
    let mut client = Client::connect(&mut server, &socket)?;
    tell(&mut client, &show)?;
    drop(client);
    server.stop()
}

/// The story.
fn tell(client: &mut Client, show: &Show) -> Result<()> {
    show.greeting(&client.greeting);
    client.execute("qmp_capabilities", json!({}))?;

    show.chapter("Three IOThreads, created in advance, hold nothing yet.");
    step(client, show, "query-iothreads", json!({}))?;

    show.chapter("Two disks, each on a null block node, are plugged into io0.");
    for n in 0..2 {
        let node = json!({"driver": "null-co", "node-name": format!("node{n}"), "size": 1 << 20});
        step(client, show, "blockdev-add", node)?;
        let device = json!({
            "driver": "virtio-blk-pci", "id": format!("disk{n}"),
            "drive": format!("node{n}"), "iothread": "io0",
        });
        step(client, show, "device_add", device)?;
    }
    step(client, show, "query-iothreads", json!({}))?;

    show.chapter("A block node without a device moves to io1.");
    let node = json!({"driver": "null-co", "node-name": "spare", "size": 1 << 20});
    step(client, show, "blockdev-add", node)?;
    let place = json!({"node-name": "spare", "iothread": "io1"});
    step(client, show, "x-blockdev-set-iothread", place)?;

    show.chapter("A thread that is held cannot be deleted.");
    refused(client, show, "object-del", json!({"id": "io0"}))?;

    show.chapter("The disks are unplugged, one after the other.");
    for n in 0..2 {
        step(
            client,
            show,
            "device_del",
            json!({"id": format!("disk{n}")}),
        )?;
        client.wait_for("DEVICE_DELETED", &format!("disk{n}"))?;
        show.events(&client.take_events());
        step(client, show, "query-iothreads", json!({}))?;
    }

    show.chapter("The spare node goes back to the main loop; then io0 can go.");
    let place = json!({"node-name": "spare", "iothread": null});
    step(client, show, "x-blockdev-set-iothread", place)?;
    step(client, show, "object-del", json!({"id": "io0"}))?;
    step(client, show, "query-iothreads", json!({}))?;
    step(
        client,
        show,
        "human-monitor-command",
        json!({"command-line": "info iothreads"}),
    )?;
    Ok(())
}

/// One command that must succeed, with the holders after it.
fn step(client: &mut Client, show: &Show, command: &str, arguments: Value) -> Result<()> {
    let (request, reply) = client.exchange(command, arguments)?;
    if reply.value.get("return").is_none() {
        bail!("{command} failed: {}", reply.text);
    }
    let threads = client.execute("query-iothreads", json!({}))?;
    show.step(&request, &reply, &threads);
    Ok(())
}

/// One command that must be refused.
fn refused(client: &mut Client, show: &Show, command: &str, arguments: Value) -> Result<()> {
    let (request, reply) = client.exchange(command, arguments)?;
    if reply.value.get("error").is_none() {
        bail!("{command} should have been refused: {}", reply.text);
    }
    let threads = client.execute("query-iothreads", json!({}))?;
    show.step(&request, &reply, &threads);
    Ok(())
}

/// The running server; killed if it is dropped before it was stopped.
struct Server {
    child: Child,
}

impl Server {
    fn start(program: &Path, socket: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()));
        for n in 0..3 {
            command.arg("--object").arg(format!("iothread,id=io{n}"));
        }
        command.stdin(Stdio::null());
        let child = command.spawn().context("cannot start iothreadd")?;
        Ok(Self { child })
    }

    /// Asks the server to end, and waits until it has.
    fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &pid]).status()?;
        if !status.success() {
            bail!("cannot signal iothreadd");
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("iothreadd ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of the connection: as it is on the wire, and what it says.
struct Message {
    text: String,
    value: Value,
}

/// A QMP client as plain as can be: everything it knows of QMP is on these lines.
struct Client {
    reader: BufReader<UnixStream>,
    greeting: Message,
    events: Vec<Message>,
}

impl Client {
    fn connect(server: &mut Server, socket: &Path) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("iothreadd does not listen");
                }
                Err(_) => {
                    if let Some(status) = server.child.try_wait()? {
                        bail!("iothreadd ended with {status}");
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let greeting = read(&mut reader)?;
        Ok(Self {
            reader,
            greeting,
            events: Vec::new(),
        })
    }

    /// Sends one command; gives the request's text and its reply. Events on the way are kept.
    fn exchange(&mut self, command: &str, arguments: Value) -> Result<(String, Message)> {
        let name = json!(command);
        let request = match arguments.as_object() {
            Some(none) if none.is_empty() => format!(r#"{{"execute": {name}}}"#),
            _ => format!(r#"{{"execute": {name}, "arguments": {arguments}}}"#),
        };
        let mut stream = self.reader.get_ref();
        stream.write_all(format!("{request}\n").as_bytes())?;
        loop {
            let message = read(&mut self.reader)?;
            if message.value.get("event").is_some() {
                self.events.push(message);
            } else {
                return Ok((request, message));
            }
        }
    }

    /// Sends one command that must succeed; gives what it returns.
    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let (_, reply) = self.exchange(command, arguments)?;
        match reply.value.get("return") {
            Some(value) => Ok(value.clone()),
            None => bail!("{command} failed: {}", reply.text),
        }
    }

    /// Waits for an event about the device `id`.
    fn wait_for(&mut self, event: &str, id: &str) -> Result<()> {
        let is_it = |message: &Message| {
            let value = &message.value;
            value["event"] == event && value["data"]["device"] == id
        };
        while !self.events.iter().any(is_it) {
            let message = read(&mut self.reader)?;
            self.events.push(message);
        }
        Ok(())
    }

    fn take_events(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.events)
    }
}

fn read(reader: &mut BufReader<UnixStream>) -> Result<Message> {
    let mut line = String::new();
    let n_bytes = reader
        .read_line(&mut line)
        .context("no answer from iothreadd")?;
    if n_bytes == 0 {
        bail!("iothreadd closed the connection");
    }
    let text = line.trim_end().to_owned();
    let value = serde_json::from_str(&text).with_context(|| format!("iothreadd sent {text:?}"))?;
    Ok(Message { text, value })
}
