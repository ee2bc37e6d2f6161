//! System calls that old kernels are without and that sandboxes refuse, and how to have them refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use nix::libc;

/// A system call of the table in the README of `iothreadd`.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// What it is called.
    pub name: &'static str,
    number: libc::c_long,
}

const fn call(name: &'static str, number: libc::c_long) -> Call {
    Call { name, number }
}

/// The whole table: what is newer than Linux 4.18, and what some sandbox refuses, of what our programs and libraries use.
pub const CALLS: [Call; 16] = [
    call("epoll_pwait2", libc::SYS_epoll_pwait2),
    call("timerfd_create", libc::SYS_timerfd_create),
    call("preadv2", libc::SYS_preadv2),
    call("pwritev2", libc::SYS_pwritev2),
    call("fallocate", libc::SYS_fallocate),
    call("fadvise64", libc::SYS_fadvise64),
    call("statx", libc::SYS_statx),
    call("renameat2", libc::SYS_renameat2),
    call("clone3", libc::SYS_clone3),
    call("getrandom", libc::SYS_getrandom),
    call("rseq", libc::SYS_rseq),
    call("sched_getaffinity", libc::SYS_sched_getaffinity),
    call("sched_setaffinity", libc::SYS_sched_setaffinity),
    call("prlimit64", libc::SYS_prlimit64),
    call("pidfd_open", libc::SYS_pidfd_open),
    call("pidfd_getfd", libc::SYS_pidfd_getfd),
];

/// What a call is refused with: by kernels that do not know it, and by sandboxes.
pub const ERRNOS: [&str; 2] = ["ENOSYS", "EPERM"];

/// The program, of which the kernel refuses `calls` as `fault` says, both in the words of strace. What was refused is written
/// to the file `trace`. The process is the program, of which the tracer is no parent.
#[must_use]
pub fn with_fault(command: &Command, trace: &Path, calls: &str, fault: &str) -> Command {
    let mut traced = Command::new("strace");
    // The kernel stops the program for these calls alone.
    traced.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o"]);
    traced.arg(trace);
    traced.args(["-e", &format!("trace={calls}"), "-e", "signal=none"]);
    traced.args(["-e", &format!("inject={calls}:{fault}")]);
    start_by(traced, command)
}

/// Whether [`with_fault`] has had a call refused.
#[must_use]
pub fn has_refused(trace: &Path, call: &str) -> bool {
    let text = fs::read_to_string(trace).unwrap_or_default();
    let mut refused = text.lines().filter(|line| line.contains("INJECTED"));
    // With a bracket after it, or what strace says where it has noted the rest before.
    refused.any(|line| line.contains(&format!(" {call}")))
}

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An error, by its number.
    Error(i32),
    /// The end of the process.
    Death,
}

impl Verdict {
    /// That of a kernel that does not know the call.
    pub const MISSING: Self = Self::Error(libc::ENOSYS);

    /// That of a sandbox that forbids it.
    pub const FORBIDDEN: Self = Self::Error(libc::EPERM);

    /// The signal that death comes by.
    pub const SIGNAL: i32 = libc::SIGSYS;

    fn action(self) -> u32 {
        match self {
            Self::Error(number) => libc::SECCOMP_RET_ERRNO | number.cast_unsigned(),
            Self::Death => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

/// The program under a seccomp filter for these calls, as sandboxes have them. It needs Python.
///
/// # Panics
///
/// When a call is not in the table.
#[must_use]
pub fn filtered(command: &Command, calls: &[&str], verdict: Verdict) -> Command {
    let numbers: Vec<String> = calls.iter().map(|name| number(name).to_string()).collect();
    under_filter(command, verdict, &numbers.join(","))
}

/// The number of a call of the table.
fn number(name: &str) -> libc::c_long {
    let call = CALLS.iter().find(|call| call.name == name);
    call.expect("a call of the table").number
}

/// The program under a seccomp filter by which the host does not know the locks of `fcntl` on open files. It needs Python.
#[must_use]
pub fn without_locks(command: &Command) -> Command {
    let rules = [libc::F_OFD_GETLK, libc::F_OFD_SETLK, libc::F_OFD_SETLKW]
        .map(|kind| format!("{}:1:{kind}", libc::SYS_fcntl));
    under_filter(command, Verdict::Error(libc::EINVAL), &rules.join(","))
}

fn under_filter(command: &Command, verdict: Verdict, rules: &str) -> Command {
    let mut starter = python(concat!(
        include_str!("filter.py"),
        include_str!("at_once.py")
    ));
    starter.args([&verdict.action().to_string(), rules]);
    start_by(starter, command)
}

/// A program in Python, with the number of the call `seccomp` as its first argument.
fn python(text: &str) -> Command {
    let mut starter = Command::new("python3");
    starter.args(["-I", "-S", "-c", text]);
    starter.arg(libc::SYS_seccomp.to_string());
    starter
}

/// Which use of a call is late.
pub const HUNDREDTH: usize = 100;

/// The program, which is refused calls from their `from`th use on, whichever of its threads makes it; strace would count the uses
/// of each thread. How many there were is in the file `counts`, once the program has ended. It needs Python.
///
/// # Panics
///
/// When a call is not in the table, or the error none of [`ERRNOS`].
#[must_use]
pub fn refused_later(
    command: &Command,
    calls: &[(&str, usize)],
    errno: &str,
    counts: &Path,
) -> Command {
    let error = match errno {
        "ENOSYS" => libc::ENOSYS,
        "EPERM" => libc::EPERM,
        other => panic!("no way to refuse a call: {other}"),
    };
    let rules = calls.iter();
    let rules: Vec<_> = rules
        .map(|(name, from)| format!("{}:{from}", number(name)))
        .collect();
    let mut starter = python(concat!(include_str!("filter.py"), include_str!("later.py")));
    starter.arg(error.to_string()).arg(counts);
    starter.arg(rules.join(","));
    start_by(starter, command)
}

/// How often a program has made a call, refused or not, that was started by [`refused_later`].
///
/// # Panics
///
/// When it does not end.
#[must_use]
pub fn n_uses(counts: &Path, call: &str) -> usize {
    let ended = crate::comes_true(crate::PATIENCE, || counts.exists());
    assert!(ended, "a program that does not end");
    let text = fs::read_to_string(counts).expect("a file that is there");
    let start = format!("{} ", number(call));
    let count = text.lines().find_map(|line| line.strip_prefix(&start));
    let count = count.and_then(|count| count.parse().ok());
    count.expect("a call that was to be counted")
}

/// A command that starts another one, which it is given as arguments.
fn start_by(mut starter: Command, command: &Command) -> Command {
    starter.arg(command.get_program());
    starter.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => starter.env(name, value),
            None => starter.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        starter.current_dir(folder);
    }
    starter
}

/// Whether a process does nothing for a second: none of its threads is woken or is on a processor.
#[must_use]
pub fn is_at_rest(process: u32) -> bool {
    let before = activity(process);
    std::thread::sleep(Duration::from_secs(1));
    !before.is_empty() && before == activity(process)
}

/// How often each thread of a process has come from a processor, and the time that all of them have been there, in the kernel's
/// units.
fn activity(process: u32) -> BTreeMap<String, Vec<String>> {
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_thread = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let switches = status
            .lines()
            .filter(|line| line.contains("_ctxt_switches"));
        // The name may have blanks; 12 fields after it are the times.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let times = fields.split_whitespace().skip(11).take(2);
        let numbers = switches.chain(times).map(str::to_owned).collect();
        (thread.file_name().to_string_lossy().into_owned(), numbers)
    };
    threads.map(of_thread).collect()
}

/// How many cases are under way at once: nearly all the time each of them waits.
const N_AT_ONCE: usize = 8;

/// Checks cases side by side.
///
/// # Panics
///
/// When a check does.
pub fn side_by_side<T: Send>(cases: Vec<T>, check: impl Fn(T) + Sync) {
    let left = Mutex::new(cases.into_iter());
    let next = || left.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..N_AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}
