//! `qapi-gen` as a process: what it reads, what it leaves behind, and how it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use qapi_gen::diagnostic::LintLevels;
use qapi_gen::loader::{FileLoader, RootedLoader};
use rustix::process::{Pid, Signal, kill_process};

use crate::command::{COMMAND, QAPI_GEN, code, folder_with, leftovers, modules, stderr};
use crate::load;

/// A run of a shell, in which `$G` is the program; a run that hangs is ended.
pub(crate) fn shell(folder: &Path, script: &str) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "120", "sh", "-c", script]);
    command.env("G", QAPI_GEN).current_dir(folder);
    command.stdin(Stdio::null()).output().expect("a shell")
}

#[test]
fn only_regular_files_are_read() {
    let folder = folder_with(&[
        ("schema.json", COMMAND),
        ("zero.json", "{ 'include': '/dev/zero' }\n"),
        (
            "fifo.json",
            "# Waits for nobody.\n\n{ 'include': 'fifo' }\n",
        ),
        ("deep.json", "{ 'include': 'fifo.json' }\n"),
        ("large.json", "{ 'include': 'sparse' }\n"),
        ("folder.json", "{ 'include': '.' }\n"),
        ("conf/schema.json", COMMAND),
    ]);
    let at = folder.path();
    let made = shell(
        at,
        "mkfifo fifo conf/qapi-gen.toml && truncate -s 100G sparse",
    );
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    for (script, expected) in [
        (
            "$G check /dev/zero",
            "can't read schema file '/dev/zero': Not a regular file",
        ),
        (
            "$G check fifo",
            "can't read schema file 'fifo': Not a regular file",
        ),
        (
            "$G check sparse",
            "can't read schema file 'sparse': Larger than 64 MiB",
        ),
        ("$G check .", "can't read schema file '.': Is a directory"),
        (
            "$G check --message-format short zero.json",
            "zero.json:1: can't read include file '/dev/zero': Not a regular file",
        ),
        (
            "$G check --message-format short deep.json",
            "fifo.json:3: can't read include file 'fifo': Not a regular file",
        ),
        (
            "$G check --message-format short large.json",
            "large.json:1: can't read include file 'sparse': Larger than 64 MiB",
        ),
        (
            "$G check --message-format short folder.json",
            "folder.json:1: can't read include file '.': Is a directory",
        ),
        (
            "$G check conf/schema.json",
            "conf/qapi-gen.toml: Not a regular file",
        ),
        (
            "$G introspect schema.json --config fifo",
            "fifo: Not a regular file",
        ),
        (
            "$G introspect schema.json --config /dev/zero",
            "/dev/zero: Not a regular file",
        ),
        (
            "$G introspect schema.json --config sparse",
            "sparse: Larger than 64 MiB",
        ),
        (
            "$G diff fifo schema.json",
            "can't read schema file 'fifo': Not a regular file",
        ),
        (
            "$G diff schema.json /dev/zero",
            "/dev/zero: Not a regular file",
        ),
        ("$G diff sparse schema.json", "sparse: Larger than 64 MiB"),
    ] {
        let output = shell(at, &format!("ulimit -v 1000000; {script}"));
        assert_eq!(code(&output), 1, "{script}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(expected),
            "{script}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn pipes_are_read_where_data_is_expected() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    for script in [
        // What a server returned need not be in a file.
        "$G introspect schema.json | $G diff /dev/stdin schema.json",
        "echo '{ \"execute\": \"cmd\" }' | $G validate schema.json | grep -q '{\"return\": {}}'",
        "echo '{ \"execute\": \"cmd\" }' | $G validate schema.json /dev/stdin | grep -q return",
    ] {
        let output = shell(folder.path(), script);
        assert_eq!(code(&output), 0, "{script}: {}", stderr(&output));
    }
}

#[test]
fn includes_stay_below_their_root() {
    let folder = folder_with(&[
        ("root/inside.json", COMMAND),
        ("root/sub/inside.json", "{ 'command': 'sub' }\n"),
        ("root-beside/secret.json", "{ 'command': 'secret' }\n"),
        ("secret.json", "{ 'command': 'secret' }\n"),
    ]);
    let at = folder.path();
    symlink("../secret.json", at.join("root/link.json")).expect("a link");
    symlink("..", at.join("root/up")).expect("a link");
    symlink("sub/inside.json", at.join("root/good.json")).expect("a link");
    symlink("root", at.join("root-link")).expect("a link");
    let secret = at.join("secret.json");
    let is_refused = |include: &str| {
        let path = at.join("root/main.json");
        fs::write(&path, format!("{{ 'include': '{include}' }}\n")).expect("written");
        let loader = RootedLoader::new(at.join("root-link")).expect("a folder");
        let name = path.to_str().expect("UTF-8");
        let checked = load(name, &loader, LintLevels::allow_all());
        let messages = checked.report.diagnostics().iter();
        let messages: Vec<&str> = messages.map(|it| it.message.as_str()).collect();
        let end = format!(
            "Outside of the include root '{}'",
            at.join("root-link").display()
        );
        // Without a root, everything that is there is read.
        let free = load(name, &FileLoader, LintLevels::allow_all());
        if messages.iter().any(|message| message.ends_with(&end)) {
            assert!(messages[0].contains(include), "{messages:?}");
            return true;
        }
        assert!(messages.is_empty(), "{include}: {messages:?}");
        assert!(free.schema.is_some());
        false
    };
    for include in [
        "../secret.json",
        "link.json",
        "up/secret.json",
        "../root-beside/secret.json",
        "sub/../../secret.json",
        secret.to_str().expect("UTF-8"),
        // Nor is it told what is there.
        "../absent.json",
        "up/root-beside/secret.json",
    ] {
        assert!(is_refused(include), "{include}");
    }
    let absolute = at.join("root/inside.json");
    for include in [
        "inside.json",
        "sub/inside.json",
        "sub/../inside.json",
        "../root/inside.json",
        "../root-link/inside.json",
        "good.json",
        absolute.to_str().expect("UTF-8"),
    ] {
        assert!(!is_refused(include), "{include}");
    }
}

#[test]
fn every_command_that_reads_schemas_knows_the_root() {
    let folder = folder_with(&[
        ("root/main.json", "{ 'include': '../secret.json' }\n"),
        ("secret.json", COMMAND),
    ]);
    for command in [
        "check",
        "dump",
        "doc --format html --out-dir out",
        "generate --out-dir out",
        "introspect",
        "validate",
        "diff secret.json",
    ] {
        let without = format!("$G {command} root/main.json");
        let output = shell(folder.path(), &without);
        assert_eq!(code(&output), 0, "{command}: {}", stderr(&output));
        let output = shell(folder.path(), &format!("{without} --include-root root"));
        assert_eq!(code(&output), 1, "{command}");
        let expected =
            "can't read include file 'root/../secret.json': Outside of the include root 'root'";
        assert!(
            stderr(&output).contains(expected),
            "{command}: {}",
            stderr(&output)
        );
        let output = shell(folder.path(), &format!("{without} --include-root absent"));
        assert_eq!(code(&output), 1, "{command}");
        assert!(
            stderr(&output).contains("absent: No such file"),
            "{command}"
        );
    }
}

#[test]
fn output_that_cannot_be_written_is_a_status() {
    let folder = folder_with(&[("schema.json", COMMAND), ("bad.json", "{ 'frob': 1 }\n")]);
    for command in [
        "dump schema.json",
        "introspect schema.json",
        "explain Q0101",
        "explain --list",
        "completions bash",
        "--help",
        "--version",
        "dump --help",
        "generate schema.json -D CONFIG_A --out-dir out --help",
    ] {
        for (redirection, is_told) in [(">&-", true), (">/dev/full", true), (">/dev/null", false)] {
            let output = shell(folder.path(), &format!("$G {command} {redirection}"));
            let expected = i32::from(is_told);
            assert_eq!(
                code(&output),
                expected,
                "{command} {redirection}: {}",
                stderr(&output)
            );
            assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
        }
    }
    let output = shell(folder.path(), "$G dump schema.json >&-");
    assert_eq!(stderr(&output), "qapi-gen: standard output is closed\n");
    let output = shell(folder.path(), "$G dump schema.json >/dev/full");
    assert!(
        stderr(&output).contains("No space left on device"),
        "{}",
        stderr(&output)
    );
    let output = shell(
        folder.path(),
        "echo '{}' | $G validate schema.json >/dev/full",
    );
    assert_eq!(code(&output), 1);
}

/// Some programs open the null device for reading and writing, and hand that over as an output that nobody wants to see.
#[test]
fn an_output_that_nobody_wants_is_none_that_is_missing() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    let null = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null");
    let null = null.expect("the null device");
    let status = Command::new(QAPI_GEN)
        .args(["dump", "schema.json"])
        .current_dir(folder.path())
        .stdout(null.try_clone().expect("a descriptor"))
        .status();
    assert_eq!(status.expect("it starts").code(), Some(0));
    drop(null);
}

#[test]
fn messages_that_cannot_be_written_are_a_status() {
    let folder = folder_with(&[
        ("schema.json", COMMAND),
        ("bad.json", "{ 'frob': 1 }\n"),
        ("open.json", "{ 'command': 'cmd', 'if': 'CONFIG_A' }\n"),
        (
            "clash.json",
            "{ 'enum': 'Kind', 'data': ['a-b', 'a_b'] }\n{ 'command': 'c', 'data': { 'k': 'Kind' } }\n",
        ),
        ("out/mod.rs", "mine\n"),
    ]);
    for (command, expected) in [
        ("check bad.json", 1),
        ("check bad.json --message-format json", 1),
        ("check bad.json --message-format short", 1),
        ("check absent.json", 1),
        ("dump bad.json", 1),
        ("introspect open.json", 1),
        ("validate open.json", 1),
        ("generate clash.json --out-dir new", 1),
        ("generate schema.json --out-dir new --check", 1),
        ("doc schema.json --format man --out-dir new --check", 1),
        ("generate schema.json --out-dir out", 1),
        ("frobnicate", 2),
        ("check", 2),
    ] {
        for redirection in ["2>&-", "2>/dev/full", "2>&- >&-", "2>/dev/full >/dev/full"] {
            let output = shell(folder.path(), &format!("$G {command} {redirection}"));
            assert_eq!(code(&output), expected, "{command} {redirection}");
        }
    }
    assert!(!folder.path().join("new").exists());
}

/// A reader that went away is not a mistake worth a message.
#[test]
fn a_reader_that_went_away_is_no_panic() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    let script = "{ $G explain --list; echo $? > status; } | true; cat status";
    let output = shell(folder.path(), script);
    assert!(!stderr(&output).contains("panic"), "{}", stderr(&output));
    let status = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(["0", "1"].contains(&status.as_str()), "{status}");
}

/// A name that could be foreseen could be a link that somebody else has put there.
#[test]
fn no_link_is_followed() {
    let folder = folder_with(&[
        ("schema.json", COMMAND),
        ("victim", "precious\n"),
        ("target", "// mine\n"),
    ]);
    let at = folder.path();
    fs::create_dir(at.join("out")).expect("made");
    symlink("../target", at.join("out/server.rs")).expect("a link");
    // The process keeps its number when it becomes the program.
    let script = "for f in mod.rs server.rs introspection.rs; do ln -s ../victim out/$f.$$.tmp; done; \
                  rm out/server.rs; exec $G generate schema.json --out-dir out";
    let output = shell(at, script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        fs::read_to_string(at.join("victim")).expect("there"),
        "precious\n"
    );
    for name in ["mod.rs", "server.rs"] {
        let path = at.join("out").join(name);
        let metadata = fs::symlink_metadata(&path).expect("there");
        assert!(metadata.is_file(), "{name}");
    }
    // A link in the place of a file is replaced, not followed, if what it leads to is ours.
    fs::rename(at.join("out/server.rs"), at.join("elsewhere.rs")).expect("moved");
    let before = fs::read_to_string(at.join("elsewhere.rs")).expect("there");
    symlink("../elsewhere.rs", at.join("out/server.rs")).expect("a link");
    let output = shell(at, "$G generate schema.json --out-dir out --partial");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        fs::symlink_metadata(at.join("out/server.rs"))
            .expect("there")
            .is_file()
    );
    assert_eq!(
        fs::read_to_string(at.join("elsewhere.rs")).expect("there"),
        before
    );
}

#[test]
fn files_have_the_usual_permissions() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    let script = "umask 027; $G generate schema.json --out-dir out";
    let output = shell(folder.path(), script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let metadata = fs::metadata(folder.path().join("out/mod.rs")).expect("there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
}

/// Nothing is changed unless everything can be.
#[test]
fn a_run_that_fails_changes_nothing() {
    let folder = folder_with(&[
        (
            "schema.json",
            "{ 'include': 'zz.json' }\n{ 'command': 'cmd' }\n",
        ),
        ("zz.json", "{ 'event': 'EVENT' }\n"),
        // The last file that is written.
        ("out/events/mod.rs", "mine\n"),
        ("fifo/old.rs", "// Generated by `x`; do not edit.\n"),
    ]);
    let at = folder.path();
    let output = shell(at, "$G generate schema.json --out-dir out");
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("it is there already and not generated"),
        "{}",
        stderr(&output)
    );
    let names: Vec<_> = fs::read_dir(at.join("out")).expect("there").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(leftovers(at), Vec::<PathBuf>::new());
    // What is not a file is neither waited for nor replaced.
    let output = shell(
        at,
        "mkfifo fifo/server.rs; $G generate schema.json --out-dir fifo",
    );
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("server.rs': Not a regular file"),
        "{}",
        stderr(&output)
    );
    assert!(at.join("fifo/old.rs").exists());
    assert!(!at.join("fifo/mod.rs").exists());
}

/// With a limit on the size of files there is an error, as from a full device.
#[test]
fn a_file_that_is_too_long_is_an_error() {
    let folder = folder_with(&[("schema.json", COMMAND), ("kept/mod.rs", "")]);
    let at = folder.path();
    for format in ["generate", "doc --format html", "doc --format markdown"] {
        // In units of 512 bytes or of 1,024.
        let script = format!("ulimit -f 1; exec $G {format} schema.json --out-dir out/deep");
        let output = shell(at, &script);
        assert_eq!(code(&output), 1, "{format}: {}", stderr(&output));
        let message = stderr(&output);
        assert!(
            message.contains("cannot write 'out/deep/") && message.contains("File too large"),
            "{format}: {message}"
        );
        assert!(!at.join("out").exists(), "{format}");
    }
    let output = shell(
        at,
        "ulimit -f 1; exec $G generate schema.json --out-dir kept",
    );
    assert_eq!(code(&output), 1);
    assert_eq!(
        fs::read_dir(at.join("kept")).expect("there").count(),
        1,
        "nothing is left and nothing gone"
    );
    assert_eq!(leftovers(at), Vec::<PathBuf>::new());
    // Other commands print to a file.
    for command in ["explain --list", "completions bash"] {
        let output = shell(at, &format!("ulimit -f 1; exec $G {command} >printed"));
        assert_eq!(code(&output), 1, "{command}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("File too large"),
            "{command}: {}",
            stderr(&output)
        );
    }
    let output = shell(at, "ulimit -f 1; exec $G generate --help >printed");
    assert_eq!(code(&output), 1);
    let output = shell(at, "ulimit -f 1; exec $G man --out-dir pages");
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("cannot write man pages to 'pages': File too large"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let schema = modules("m", 400);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut is_caught = false;
        for _ in 0..100 {
            let out = tempfile::tempdir().expect("a folder");
            // The tests may have been started with signals ignored, as shells do in the background.
            let mut command = Command::new("env");
            command.arg("--default-signal=INT,TERM,HUP");
            // What looks at it has to be faster, also when others want the processor.
            command.args(["nice", "-n", "19"]);
            command.args([QAPI_GEN, "generate", "schema.json", "--out-dir"]);
            command.arg(out.path()).current_dir(schema.path());
            let mut run = command.stderr(Stdio::null()).spawn().expect("a process");
            let is_over = loop {
                if !leftovers(out.path()).is_empty() {
                    break false;
                }
                if run.try_wait().expect("known").is_some() {
                    break true;
                }
                std::hint::spin_loop();
            };
            if is_over {
                continue;
            }
            // Stopped, it is seen to be in the middle of it.
            let process = Pid::from_child(&run);
            let send = |signal| kill_process(process, signal).expect("it is there");
            send(Signal::STOP);
            let was_at_it =
                !leftovers(out.path()).is_empty() && !out.path().join("mod.rs").exists();
            send(signal);
            send(Signal::CONT);
            let status = run.wait().expect("ended");
            assert_eq!(leftovers(out.path()), Vec::<PathBuf>::new(), "{signal:?}");
            if was_at_it && status.signal() == Some(signal.as_raw()) {
                assert!(!out.path().join("mod.rs").exists());
                is_caught = true;
                break;
            }
        }
        assert!(
            is_caught,
            "no run was met by {signal:?} while it was writing"
        );
    }
}

/// A run in the background may have been started so that it outlives the terminal.
#[test]
fn an_ignored_signal_stays_ignored() {
    let schema = modules("m", 50);
    let script = "trap '' HUP; $G generate schema.json --out-dir out & \
                  run=$!; kill -s HUP $run; wait $run";
    let output = shell(schema.path(), script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// The schemas whose manuals and code were larger than the memory of most machines.
#[test]
fn reported_schemas_stay_within_a_quarter_of_a_gibibyte() {
    let cases = tests::workspace().join("../shared/cases/schema");
    for name in ["cubic200.json", "datafan2000.json"] {
        let path = cases.join(name);
        if !path.is_file() {
            println!("skipped: {} is absent", path.display());
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for command in [
            "doc --format html",
            "doc --format markdown",
            "doc --format man",
            "generate",
        ] {
            // The limit is on addresses, of which memory is a part.
            let script = format!(
                "ulimit -v 262144; exec $G {command} {} --out-dir out",
                path.display()
            );
            let output = shell(folder.path(), &script);
            assert_eq!(code(&output), 0, "{name}, {command}: {}", stderr(&output));
            let size = Command::new("du")
                .args(["-sb", "out"])
                .current_dir(folder.path())
                .output();
            let size = String::from_utf8(size.expect("du").stdout).expect("UTF-8");
            let size: u64 = size
                .split_whitespace()
                .next()
                .and_then(|it| it.parse().ok())
                .expect("a number");
            assert!(size <= 10 << 20, "{name}, {command}: {size} bytes");
            fs::remove_dir_all(folder.path().join("out")).expect("removed");
        }
    }
}
