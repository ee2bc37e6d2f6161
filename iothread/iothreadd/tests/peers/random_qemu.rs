//! Random commands given to a live QEMU 10 and to the program: each difference is of a kind that has been decided on.
//!
//! `RANDOM_STEPS` in the environment says how many commands there are; a sequence of them begins with fresh servers, and ends
//! where the two are no longer in the same state.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Random, Server, Suite, Tool, replace};

use crate::random_kinds::{After, Difference, KINDS, STAYS};
use crate::random_steps::{CONNECT, HANG_UP, Step, some_step};

/// Commands unless the environment says otherwise.
const N_STEPS: usize = 5000;
/// Commands after which there are fresh servers, at most.
const N_IN_SEQUENCE: usize = 1000;
/// How long an unplugged device may take to go.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a character device may take to see its client come or go.
const BRIEF_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn add(suite: Suite) -> Suite {
    suite.with("random-commands-as-qemu-10", Tool::QemuTen, as_qemu)
}

fn as_qemu(qemu: &Path) -> Result<(), Failed> {
    let n_steps = match std::env::var("RANDOM_STEPS") {
        Ok(text) => text.parse()?,
        Err(_) => N_STEPS,
    };
    let mut run = Run::default();
    // A sequence is repeated by beginning with its number.
    let mut seed = match std::env::var("RANDOM_SEED") {
        Ok(text) => text.parse::<u64>()?.saturating_sub(1),
        Err(_) => 0,
    };
    while run.n_steps < n_steps {
        seed += 1;
        if let Err(error) = run.sequence(qemu, seed) {
            return Err(format!("{error:?}\n{}", run.unknown.join("\n")).into());
        }
    }
    let mut told = format!("{} commands in {seed} sequences\n", run.n_steps);
    for kind in KINDS {
        let count = run.known.get(kind.name).copied().unwrap_or_default();
        writeln!(told, "  {count:6} {} ({:?})", kind.name, kind.decision)?;
    }
    println!("{told}");
    match run.unknown.is_empty() {
        true => Ok(()),
        false => Err(run.unknown.join("\n").into()),
    }
}

/// What has come of it so far.
#[derive(Default)]
struct Run {
    n_steps: usize,
    /// Differences by the names of their kinds.
    known: BTreeMap<&'static str, usize>,
    unknown: Vec<String>,
}

impl Run {
    /// Plays one sequence to its end.
    fn sequence(&mut self, qemu: &Path, seed: u64) -> Result<()> {
        let options = ["-machine", "pc", "-accel", "tcg", "-S", "-nodefaults"];
        let reference = Server::start_qemu(qemu, &options)?;
        let server = Server::start_iothreadd(&[]);
        let mut theirs = Peer::new(&reference)?;
        let mut ours = Peer::new(&server)?;
        let mut random = Random::new(seed);
        let mut done = Vec::new();
        let mut after = After::default();
        for _ in 0..N_IN_SEQUENCE {
            let step = some_step(&mut random);
            let context = |who: &str| format!("seed {seed}: {who} after: {}", done.join("; "));
            let their_answer = theirs.play(&step).with_context(|| context("QEMU"))?;
            let our_answer = ours.play(&step).with_context(|| context("ours"))?;
            self.n_steps += 1;
            let told = format!("{} {}", step.command, step.arguments);
            after.note(&step, &their_answer);
            if their_answer == our_answer {
                if refuses_size_of_pool(&their_answer) {
                    // QEMU tells the refused size as if it were in force.
                    break;
                }
                if their_answer.get("return").is_some() && !is_query(&step) {
                    done.push(told);
                }
                if step.command == "device_del" && their_answer.get("return").is_some() {
                    theirs.qmp.execute("system_reset", json!({}))?;
                    theirs.wait_until_gone(&step)?;
                    ours.wait_until_gone(&step)?;
                    theirs.wait_until_freed(ours.n_drives()?)?;
                }
                continue;
            }
            let difference = Difference {
                step: &step,
                after,
                theirs: &their_answer,
                ours: &our_answer,
            };
            match KINDS.iter().find(|kind| (kind.is_it)(&difference)) {
                Some(kind) => *self.known.entry(kind.name).or_default() += 1,
                None => self.unknown.push(format!(
                    "seed {seed}: {told}\n  QEMU: {their_answer}\n  ours: {our_answer}\n  after: {}",
                    done.join("; ")
                )),
            }
            if difference.parts_the_states() {
                break;
            }
        }
        if self.unknown.len() > 200 {
            bail!("{}", self.unknown.join("\n"));
        }
        Ok(())
    }
}

/// One side.
struct Peer {
    qmp: Qmp,
    folder: PathBuf,
    /// The clients of character devices.
    clients: HashMap<String, UnixStream>,
}

impl Peer {
    fn new(server: &Server) -> Result<Self> {
        let folder = server.folder().to_owned();
        std::fs::write(folder.join("image"), [0; 65536])?;
        Ok(Self {
            qmp: Qmp::open(server.socket())?,
            folder,
            clients: HashMap::new(),
        })
    }

    /// How a character device is called once it has the peer that it is to have.
    fn device(&mut self, id: &str, has_peer: bool) -> Result<Value> {
        let start = Instant::now();
        loop {
            let devices = self.qmp.execute("query-chardev", json!({}))?;
            let mut devices = devices.as_array().into_iter().flatten();
            let name = match devices.find(|it| it["label"] == id) {
                Some(device) => device["filename"].as_str().unwrap_or_default().to_owned(),
                None => return Ok(json!({"return": null})),
            };
            if name.starts_with("disconnected:") != has_peer {
                let folder = self.folder.display().to_string();
                return Ok(json!({"return": name.replace(&folder, "@")}));
            }
            if start.elapsed() > BRIEF_PATIENCE {
                return Ok(json!({ "return": STAYS }));
            }
        }
    }

    /// A client connects to a character device that listens, unless one has.
    fn connect(&mut self, id: &str, speaks: bool) -> Result<Value> {
        if self.clients.contains_key(id) {
            return Ok(json!({"return": "has one"}));
        }
        let Ok(mut client) = UnixStream::connect(self.folder.join(format!("{id}.sock"))) else {
            return Ok(json!({"return": "nobody listens"}));
        };
        if speaks {
            client.write_all(b"hello")?;
        }
        self.clients.insert(id.to_owned(), client);
        self.device(id, true)
    }

    fn hang_up(&mut self, id: &str) -> Result<Value> {
        match self.clients.remove(id) {
            Some(_) => self.device(id, false),
            None => Ok(json!({"return": "has none"})),
        }
    }

    /// A device that is gone, or has been yanked, has no client.
    fn forget_client(&mut self, step: &Step) -> Result<Value> {
        match step.command {
            "chardev-remove" | "chardev-change" => {
                let id = step.arguments["id"].as_str().unwrap_or_default();
                self.clients.remove(id);
            }
            "human-monitor-command" => {
                let line = step.arguments["command-line"].as_str().unwrap_or_default();
                let mut words = line.split(' ');
                if let (Some("chardev-remove" | "chardev-change"), Some(id)) =
                    (words.next(), words.next())
                {
                    self.clients.remove(id);
                }
            }
            "yank" => {
                let id = step.arguments["instances"][0]["id"].as_str();
                return Ok(self.hang_up(id.unwrap_or_default())?["return"].take());
            }
            _ => {}
        }
        Ok(Value::Null)
    }

    /// The reply, and the events that come before it.
    fn play(&mut self, step: &Step) -> Result<Value> {
        let id = step.arguments["id"].as_str().unwrap_or_default();
        match step.command {
            CONNECT => return self.connect(id, step.arguments["speaks"] == true),
            HANG_UP => return self.hang_up(id),
            _ => {}
        }
        let folder = self.folder.display().to_string();
        let arguments = replace(&step.arguments, "@", &folder);
        let reply = if step.brings_descriptor {
            let file = std::fs::File::open(self.folder.join("image"))?;
            self.qmp.exchange_with(step.command, &arguments, &file)
        } else {
            self.qmp.exchange(step.command, &arguments)
        };
        let reply = reply.with_context(|| format!("{} {arguments}", step.command))?;
        let mut answer = comparable(step.command, replace(&reply, &folder, "@"));
        let events = self.qmp.events.drain(..);
        // These come when the guest has agreed.
        let events = events.filter(|it| it["event"] != "RESET" && it["event"] != "DEVICE_DELETED");
        let events: Vec<Value> = events.map(|it| json!([it["event"], it["data"]])).collect();
        if !events.is_empty() {
            answer["events"] = Value::Array(events);
        }
        if answer.get("return").is_some() && self.forget_client(step)? == STAYS {
            answer["return"] = json!(STAYS);
        }
        Ok(answer)
    }

    fn n_drives(&mut self) -> Result<usize> {
        let drives = self.qmp.execute("query-block", json!({}))?;
        Ok(drives.as_array().map_or(0, Vec::len))
    }

    /// QEMU shows the drives of devices that are gone until it gets round to freeing them.
    fn wait_until_freed(&mut self, n_drives: usize) -> Result<()> {
        let start = Instant::now();
        while self.n_drives()? > n_drives {
            if start.elapsed() > PATIENCE {
                bail!("drives of devices that are gone stay");
            }
        }
        Ok(())
    }

    fn wait_until_gone(&mut self, step: &Step) -> Result<()> {
        let start = Instant::now();
        loop {
            let list = json!({"path": "/machine/peripheral"});
            let devices = self.qmp.execute("qom-list", list)?;
            let mut devices = devices.as_array().into_iter().flatten();
            if !devices.any(|it| it["name"] == step.arguments["id"]) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                bail!("{} stays", step.arguments);
            }
        }
    }
}

fn refuses_size_of_pool(answer: &Value) -> bool {
    let text = match answer.pointer("/error/desc") {
        Some(desc) => desc,
        None => &answer["return"],
    };
    let text = text.as_str().unwrap_or_default();
    text.contains("bad thread-pool-min/thread-pool-max values")
}

/// Whether a command leaves everything as it is.
fn is_query(step: &Step) -> bool {
    let is_one = |name: &str| step.command.starts_with(name);
    ["query-", "qom-get", "qom-list", "ringbuf-"]
        .into_iter()
        .any(is_one)
}

/// What only one of the two has in its replies, or what is a number of the system's.
const OWN: [&str; 8] = [
    "thread-id",
    "holders",
    "poll-weight",
    "poll-grow",
    "poll-shrink",
    "limits",
    "children",
    "fd",
];

fn without_own(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !OWN.contains(&name.as_str()));
            members.values_mut().for_each(without_own);
        }
        Value::Array(list) => list.iter_mut().for_each(without_own),
        _ => {}
    }
}

/// Takes away what is known to differ in every reply; lists that QEMU has in the order of a hash table are sorted.
fn comparable(command: &str, mut reply: Value) -> Value {
    without_own(&mut reply);
    let Some(returned) = reply.get_mut("return") else {
        return reply;
    };
    match (command, returned) {
        (
            "query-iothreads" | "query-chardev" | "qom-list" | "query-block-exports",
            Value::Array(list),
        ) => {
            // Monitors are objects since 11.1.
            // QEMU's machine has memory, and the weight is newer than QEMU 10.
            let own = ["compat_monitor0", "pc.ram", "poll-weight"];
            list.retain(|it| !own.iter().any(|name| it["name"] == **name));
            list.sort_by_key(Value::to_string);
        }
        ("human-monitor-command", Value::String(text)) => {
            let is_same = |line: &&str| {
                let own = ["thread_id=", "thread-id=", "holders=", "poll"];
                !own.iter().any(|it| line.trim_start().starts_with(it)) && !is_limit(line)
            };
            let mut lines: Vec<&str> = text.split_inclusive("\r\n").filter(is_same).collect();
            lines.sort_unstable();
            *text = lines.concat();
        }
        (_, _) => {}
    }
    reply
}

fn is_limit(line: &str) -> bool {
    let limits = [
        "Block limits:",
        "request alignment:",
        "min mem alignment:",
        "opt mem alignment:",
        "max iov:",
    ];
    limits.iter().any(|it| line.trim_start().starts_with(it))
}
