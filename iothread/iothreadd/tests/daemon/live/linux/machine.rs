//! A virtual machine that runs Linux from memory, with an export as its disk.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use tests::{GuestLinux, Tool};

use super::N_WORKERS;

/// How long anything may take before the test fails. An emulated machine is slow, and so is one that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is said when something is wrong: by the guest's program, or by its kernel, whose drivers say nothing otherwise.
const BAD: [&str; 5] = [
    "bad:",
    "I/O error",
    "blocked for more than",
    "Kernel panic",
    "virtio",
];

/// What a machine is made of.
pub(super) struct Parts {
    qemu: PathBuf,
    guest: GuestLinux,
}

impl Parts {
    /// Finds all parts; what is not here is told on behalf of `test`.
    pub(super) fn find(test: &str) -> Option<Self> {
        Some(Self {
            qemu: Tool::Program("qemu-system-x86_64").for_test(test)?,
            guest: GuestLinux::for_test(test)?,
        })
    }

    /// What the guest boots with.
    fn initial_files(&self, folder: &Path) -> Vec<u8> {
        let mut archive = self.guest.files(include_bytes!("init")).unwrap();
        archive.program("verify", &compile_program(folder));
        archive.finish()
    }
}

/// Compiles the guest's program, for a system without libraries.
fn compile_program(folder: &Path) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/live/linux/verify.rs");
    let program = folder.join("verify");
    let status = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
        ])
        .arg("-o")
        .args([&program, &source])
        .status();
    assert!(status.unwrap().success(), "the guest's program");
    std::fs::read(program).unwrap()
}

/// Passes lines on, as long as there are some and somebody wants them.
fn pass_on(stream: impl Read + Send + 'static, prefix: &'static str, sender: Sender<String>) {
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).split(b'\n');
        for line in lines.map_while(Result::ok) {
            let line = format!("{prefix}{}", String::from_utf8_lossy(&line).trim());
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}

/// A running machine, killed when dropped.
pub(super) struct Machine {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// The last lines, for a failure.
    said: Vec<String>,
}

impl Machine {
    /// Boots with what is behind `socket` as the disk.
    pub(super) fn boot(parts: &Parts, folder: &Path, socket: &Path) -> Self {
        let initial = folder.join("initial");
        std::fs::write(&initial, parts.initial_files(folder)).unwrap();
        let chardev = format!("socket,id=disk,path={},reconnect=1", socket.display());
        let mut child = Command::new(&parts.qemu)
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-accel", "tcg", "-m", "192", "-smp", "2"])
            .args(["-object", "memory-backend-memfd,id=ram,size=192M,share=on"])
            .args(["-machine", "pc,memory-backend=ram"])
            .args(["-chardev", &chardev])
            .args(["-device", "vhost-user-blk-pci,chardev=disk,num-queues=2"])
            .arg("-kernel")
            .arg(parts.guest.kernel())
            .arg("-initrd")
            .arg(&initial)
            .args(["-append", "console=ttyS0 loglevel=4 panic=-1"])
            .args(["-serial", "stdio", "-no-reboot"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        // What QEMU says itself is of interest only when something fails.
        pass_on(child.stdout.take().unwrap(), "", sender.clone());
        pass_on(child.stderr.take().unwrap(), "QEMU: ", sender);
        Self {
            input: child.stdin.take().unwrap(),
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// The next line, before `deadline`.
    #[track_caller]
    fn line(&mut self, deadline: Instant, what: &str) -> String {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(left);
        let Ok(line) = line else {
            panic!("no progress {what}: {:#?}", self.said);
        };
        let is_good = !BAD.iter().any(|it| line.contains(it));
        self.said.push(line.clone());
        let n_old = self.said.len().saturating_sub(20);
        self.said.drain(..n_old);
        assert!(is_good, "{what}: {:#?}", self.said);
        line
    }

    /// The next report: how many requests each thread has done.
    #[track_caller]
    fn report(&mut self, deadline: Instant, what: &str) -> Vec<u64> {
        loop {
            let line = self.line(deadline, what);
            // Others may have written into the line.
            if let Some(numbers) = line.strip_prefix("at ")
                && let Ok(numbers) = numbers
                    .split(' ')
                    .map(str::parse)
                    .collect::<Result<Vec<u64>, _>>()
                && numbers.len() == N_WORKERS
            {
                return numbers;
            }
        }
    }

    /// Waits until every thread of the guest has done more requests than it had when this was called.
    #[track_caller]
    pub(super) fn wait_for_progress(&mut self, what: &str) {
        while let Ok(line) = self.lines.try_recv() {
            self.said.push(line);
        }
        let deadline = Instant::now() + PATIENCE;
        // What was under way when the first report was made may have been done before.
        let before = self.report(deadline, what);
        while self
            .report(deadline, what)
            .iter()
            .zip(&before)
            .any(|(now, before)| *now < before + 2)
        {}
    }

    /// Ends the guest, which checks everything once more. Returns how often it has written each block.
    #[track_caller]
    pub(super) fn finish(mut self) -> Vec<(usize, u64)> {
        self.input.write_all(b"\n").unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut written = Vec::new();
        loop {
            let line = self.line(deadline, "at the end");
            if line == "done" {
                break;
            }
            if let Some(("last", rest)) = line.split_once(' ') {
                let (block, number) = rest.split_once(' ').unwrap();
                written.push((block.parse().unwrap(), number.parse().unwrap()));
            }
        }
        // The machine switches itself off.
        assert!(self.child.wait().unwrap().success());
        written
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
