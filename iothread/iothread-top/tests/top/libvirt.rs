//! A guest of libvirt, in a session of its own.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::{Suite, Tool, eventually};

use super::Program;

pub(crate) fn add(suite: Suite) -> Suite {
    let tools = [
        Tool::Program("virsh"),
        Tool::Program("libvirtd"),
        Tool::Program("setpriv"),
    ];
    suite.with_all(
        "a-guest-of-libvirt-is-derived-and-not-tainted",
        tools,
        |[virsh, libvirtd, setpriv]| a_guest_of_libvirt(virsh, libvirtd, setpriv),
    )
}

/// Somebody without privileges, as far as there is anybody else.
const NOBODY: u32 = 65_534;

/// libvirt's daemon for one user, with a folder of its own.
struct Session {
    folder: tempfile::TempDir,
    setpriv: PathBuf,
    /// Whose it is, if not our own.
    user: Option<u32>,
    daemon: Option<Program>,
}

impl Session {
    fn start(libvirtd: &Path, setpriv: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().is_root().then_some(NOBODY);
        let mut session = Self {
            setpriv: setpriv.to_owned(),
            user,
            daemon: None,
            folder,
        };
        let config = session.path("home/.config/libvirt");
        std::fs::create_dir_all(&config).unwrap();
        // One daemon less.
        std::fs::write(config.join("qemu.conf"), "stdio_handler = \"file\"\n").unwrap();
        std::fs::create_dir(session.path("run")).unwrap();
        std::fs::copy(
            env!("CARGO_BIN_EXE_iothread-top"),
            session.path("iothread-top"),
        )
        .unwrap();
        if let Some(user) = user {
            own(session.folder.path(), user);
        }
        let mut daemon = session.command(libvirtd);
        // It has much to say about what this machine lacks.
        let daemon = daemon.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        session.daemon = Some(Program(daemon.unwrap()));
        let socket = session.path("run/libvirt/libvirt-sock");
        eventually(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
        session
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of the session's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new(&self.setpriv);
                let user = user.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("LIBVIRT_DEFAULT_URI", "qemu:///session")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME");
        command
    }

    fn virsh(&self, virsh: &Path, arguments: &[&str]) -> String {
        let output = self.command(virsh).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The guests of a look.
    fn guests(&self, arguments: &[&str]) -> Vec<Value> {
        let program = self.path("iothread-top");
        let fixed = ["--once", "--json", "-d", "0.1", "--deadline", "30"];
        let output = self
            .command(&program)
            .args(fixed)
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let round: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        round["guests"].as_array().unwrap().clone()
    }
}

/// A program of this session that counts how often it is started, and is the real one then.
const COUNTING: &str = "#!/bin/sh\necho started >>'COUNT'\nexec 'VIRSH' \"$@\"\n";

impl Session {
    /// How many are started for so many looks.
    fn n_virsh(&self, virsh: &Path, n_looks: &str) -> usize {
        let folder = self.path("home/bin");
        std::fs::create_dir(&folder).unwrap();
        let count = self.path("home/count");
        let script = COUNTING
            .replace("COUNT", &count.display().to_string())
            .replace("VIRSH", &virsh.display().to_string());
        let path = folder.join("virsh");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let others = std::env::var("PATH").unwrap();
        let looking = self
            .command(&self.path("iothread-top"))
            .args([
                "-b",
                "-n",
                n_looks,
                "-d",
                "0.1",
                "--deadline",
                "30",
                "libvirt:*",
            ])
            .env("PATH", format!("{}:{others}", folder.display()))
            .output()
            .unwrap();
        assert!(looking.status.success(), "{looking:?}");
        std::fs::read_to_string(&count).unwrap().lines().count()
    }
}

/// Gives a folder and all in it to somebody.
fn own(folder: &Path, user: u32) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(folder, Some(user), Some(user)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => own(&path, user),
            false => chown(&path, Some(user), Some(user)).unwrap(),
        }
    }
}

/// What runs is ended before the folder goes.
struct Domain<'s>(&'s Session, PathBuf);

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        // It may be gone already.
        let mut destroy = self.0.command(&self.1);
        let _ = destroy.args(["destroy", "vm 1"]).output();
    }
}

fn a_guest_of_libvirt(virsh: &Path, libvirtd: &Path, setpriv: &Path) -> Result<(), Failed> {
    let session = Session::start(libvirtd, setpriv);
    let image = session.path("image");
    std::fs::File::create(&image)?.set_len(1 << 20)?;
    if let Some(user) = session.user {
        chown(&image, Some(user), Some(user))?;
    }
    let image = image.display().to_string();
    let description = format!(
        "<domain type='qemu'><name>vm 1</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
         <iothreads>3</iothreads><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
         <disk type='file' device='disk'><driver name='qemu' type='raw' iothread='2'/>
           <source file='{image}'/><target dev='vda' bus='virtio'/><shareable/></disk>
         <controller type='scsi' index='0' model='virtio-scsi'><driver iothread='1'/></controller>
         <disk type='file' device='disk'><driver name='qemu' type='raw'/>
           <source file='{image}'/><target dev='sda' bus='scsi'/><shareable/></disk>
         <memballoon model='none'/></devices></domain>"
    );
    let file = session.path("vm.xml");
    std::fs::write(&file, description)?;
    let _domain = Domain(&session, virsh.to_owned());
    session.virsh(virsh, &["create", "--paused", &file.display().to_string()]);

    let guests = session.guests(&["libvirt:*"]);
    assert_eq!(guests.len(), 1, "{guests:?}");
    let guest = &guests[0];
    assert_eq!(
        (&guest["guest"], &guest["state"]),
        (&json!("vm 1"), &json!("alive")),
        "{guest}"
    );
    let disk = |device: &str| json!([{"device": device, "node": "", "file": image}]);
    let scsi = "/machine/peripheral/scsi0";
    let blk = "/machine/peripheral/virtio-disk0";
    let holder = |path: &str, disks: Value| json!([{"kind": "qom-object", "name": format!("{path}/virtio-backend"), "disks": disks}]);
    let expected = [
        (
            "iothread1",
            holder(scsi, disk("/machine/peripheral/scsi0-0-0-0")),
        ),
        ("iothread2", holder(blk, disk(blk))),
        ("iothread3", json!([])),
    ];
    let threads = guest["threads"].as_array().unwrap();
    let told: Vec<_> = threads
        .iter()
        .map(|it| (it["id"].as_str().unwrap(), it["holders"].clone()))
        .collect();
    assert_eq!(told, expected, "{guest}");
    for thread in threads {
        assert_eq!(thread["from"], "libvirt", "{thread}");
        assert_eq!(thread["poll-max-ns"], 32_768, "{thread}");
        assert!(thread["usage"]["cpu"].is_number(), "{thread}");
    }
    let process = guest["process"].as_i64().unwrap();
    let process = Pid::from_raw(i32::try_from(process)?).unwrap();
    let is_tainted = || {
        session
            .virsh(virsh, &["dominfo", "vm 1"])
            .contains("tainted")
    };
    assert!(!is_tainted());

    assert_eq!(session.n_virsh(virsh, "3"), 1);

    // libvirt is not asked about one that is stopped: it would wait.
    kill_process(process, Signal::STOP)?;
    let stopped = session.guests(&["libvirt:vm 1"]);
    assert_eq!(stopped[0]["state"], "silent", "{stopped:?}");
    assert_eq!(stopped[0]["reason"], "its process is stopped");
    kill_process(process, Signal::CONT)?;

    // The monitor tells what QEMU tells, and the domain is marked.
    let asked = session.guests(&["--libvirt-monitor", "libvirt:vm 1"]);
    let told: Vec<_> = asked[0]["threads"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(told.len(), 3, "{asked:?}");
    for (thread, (id, holders)) in told.iter().zip(&expected) {
        assert_eq!(
            (&thread["id"], &thread["from"]),
            (&json!(id), &json!("derived"))
        );
        let names = |holders: &Value| -> Vec<Value> {
            let holders = holders.as_array().into_iter().flatten();
            holders.map(|it| it["name"].clone()).collect()
        };
        assert_eq!(names(&thread["holders"]), names(holders));
    }
    assert!(is_tainted());

    session.virsh(virsh, &["destroy", "vm 1"]);
    assert!(session.guests(&["libvirt:*"]).is_empty());
    let gone = session.guests(&["libvirt:vm 1"]);
    assert_eq!(gone[0]["state"], "gone", "{gone:?}");
    assert!(
        gone[0]["reason"]
            .as_str()
            .unwrap()
            .contains("failed to get domain"),
        "{gone:?}"
    );
    Ok(())
}
