//! A server that behaves as no server should, and the kit that judges clients by it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::mock::Mock;
use qmp::kit::{self, Mistake};
use qmp::torment::{Profile, Torment};
use tests::Suite;

use crate::{planted, start};

/// The name under which this program is the driver of our asynchronous client.
pub(crate) const ASYNCHRONOUS: &str = "asynchronous";

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 6] = [
        ("our-clients-are-right", our_clients_are_right),
        ("a-client-without-faults-is-right", a_client_without_faults),
        ("each-fault-is-found-by-its-profile", each_fault_is_found),
        ("drivers-that-are-none-are-told", drivers_that_are_none),
        ("servers-and-logs-are-tormented", servers_and_logs),
        ("the-report-of-the-kit", the_report),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

/// This program under another name, as a command for the shell, and the folder that has it.
fn renamed(name: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    tests::link(&std::env::current_exe().unwrap(), &path).unwrap();
    (folder, format!("exec '{}'", path.display()))
}

/// All at once: most of the time nothing happens.
fn all_are_right(driver: &str) {
    std::thread::scope(|scope| {
        for profile in Profile::ALL {
            scope.spawn(move || {
                let verdict = kit::run(profile, driver).unwrap();
                assert!(verdict.is_right(), "{verdict}");
                assert_eq!(verdict.told.len(), kit::right(profile).steps.len());
            });
        }
    });
}

fn our_clients_are_right() {
    all_are_right(&format!(
        "exec '{}' torment --drive",
        env!("CARGO_BIN_EXE_qmp")
    ));
    let (_folder, driver) = renamed(ASYNCHRONOUS);
    all_are_right(&driver);
}

fn a_client_without_faults() {
    let (_folder, driver) = renamed(&format!("{}-none", planted::NAME));
    all_are_right(&driver);
}

/// And by the step that is about it.
fn each_fault_is_found() {
    for profile in Profile::ALL {
        if profile == Profile::Silence {
            // A driver that hangs takes as long as the kit is patient: below, once.
            continue;
        }
        let (_folder, driver) = renamed(&format!("{}-{profile}", planted::NAME));
        let verdict = kit::run(profile, &driver).unwrap();
        let step = match (profile, &verdict.mistake) {
            (_, Some(Mistake::Step { number, .. })) => *number,
            _ => panic!("{verdict}"),
        };
        let expected = match profile {
            Profile::LateReplies => 3,
            Profile::EventBeforeGreeting | Profile::RefusedNegotiation | Profile::Trickle => 1,
            _ => 2,
        };
        assert_eq!(step, expected, "{verdict}");
    }
    let (_folder, driver) = renamed(&format!("{}-silence", planted::NAME));
    let patience = Duration::from_secs(1);
    let verdict = kit::run_within(Profile::Silence, &driver, patience).unwrap();
    assert_eq!(verdict.told[0]["outcome"], "hung", "{verdict}");
    // What is right in one place may be wrong in the count: a retry that is not told of.
    let (_folder, driver) = renamed(&format!("{}-duplicate-after-retry", planted::NAME));
    let verdict = kit::run(Profile::DuplicateAfterRetry, &driver).unwrap();
    assert_eq!(verdict.told[1]["outcome"], "error", "{verdict}");
}

fn drivers_that_are_none() {
    for (driver, expected) in [
        ("exit 3", "\"outcome\":\"ended\""),
        ("/nowhere/at/all 2>/dev/null", "exit status: 127"),
        (
            "printf 'no \\033[2J json\\n'; cat >/dev/null",
            "\"outcome\":\"unreadable\"",
        ),
        (
            "echo '{\"outcome\": \"cannot\"}'; cat >/dev/null",
            "\"outcome\":\"cannot\"",
        ),
    ] {
        let verdict = kit::run(Profile::Trickle, driver).unwrap();
        let text = verdict.to_string();
        assert!(
            !verdict.is_right() && text.contains(expected),
            "{driver}: {text}"
        );
        assert!(!text.contains('\x1b'), "{text:?}");
    }
}

fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmp"));
    command.arg("torment").args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Connects as soon as somebody listens.
fn connect(path: &str) -> UnixStream {
    let mut stream = None;
    tests::eventually(|| {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(tests::PATIENCE)).unwrap();
    stream
}

fn servers_and_logs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (listen, log) = (path("listen"), path("log"));
    // A real server.
    let server = start();
    let address = format!("unix:{}", server.socket().display());
    let mut child = tool(&[
        &address,
        "--listen",
        &listen,
        "--profile",
        "refused-negotiation",
    ]);
    let mut child = child.spawn().unwrap();
    let mut client = connect(&listen);
    client
        .write_all(b"{\"execute\": \"qmp_capabilities\", \"id\": 7}\n")
        .unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    BufReader::new(&client).read_to_string(&mut said).unwrap();
    assert!(
        said.contains("\"QMP\"") && said.contains("no capabilities today"),
        "{said}"
    );
    assert!(said.contains("\"id\": 7"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    // A log: as many clients as it has connections, and its strays.
    let lines = [
        r#"{"qmp-session-log": 1}"#,
        r#"{"connection": 1, "at": 0, "received": {"QMP": {"version": {}, "capabilities": []}}}"#,
        r#"{"connection": 1, "at": 1, "sent": {"execute": "qmp_capabilities"}}"#,
        r#"{"connection": 1, "at": 2, "received": {"return": {}}}"#,
        r#"{"connection": 1, "at": 3, "sent": {"execute": "query-name"}}"#,
        r#"{"connection": 1, "at": 4, "received": {"return": {"name": "x"}}}"#,
    ];
    fs::write(&log, lines.join("\n") + "\n").unwrap();
    let play = |profile: &str, command: &str| -> (String, Output) {
        let child = tool(&[&log, "--listen", &listen, "--profile", profile])
            .spawn()
            .unwrap();
        let mut client = connect(&listen);
        let text =
            format!("{{\"execute\": \"qmp_capabilities\"}}\n{{\"execute\": \"{command}\"}}\n");
        client.write_all(text.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        BufReader::new(client).read_to_string(&mut said).unwrap();
        (said, child.wait_with_output().unwrap())
    };
    let (said, output) = play("event-before-reply", "query-name");
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[2].contains("RTC_CHANGE") && lines[3].contains("\"name\""),
        "{said}"
    );
    assert!(output.status.success(), "{output:?}");
    let (said, output) = play("large-reply", "query-name");
    assert!(said.len() > 10 << 20 && said.ends_with("\"return\": {\"name\": \"x\"}}\r\n"));
    assert!(output.status.success(), "{output:?}");
    let (said, output) = play("end-in-the-middle", "query-name");
    assert!(said.ends_with("\r\n{\"return\": {\""), "{said}");
    assert!(output.status.success(), "{output:?}");
    let (said, output) = play("trickle", "stop");
    assert!(said.contains("the log has no answer"), "{said}");
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("{log}:5: query-name was expected, and")),
        "{told}"
    );
    for (status, arguments) in [
        (2, &[&*log, "--listen", &listen][..]),
        (2, &[&log, "--listen", &listen, "--profile", "nice"]),
        (
            2,
            &[
                &log,
                "--listen",
                &listen,
                "--profile",
                "trickle",
                "--profile",
                "silence",
            ],
        ),
        (
            2,
            &["telepathy:bob", "--listen", &listen, "--profile", "trickle"],
        ),
        (2, &["--profile", "trickle"]),
        (
            7,
            &[&log, "--listen", "/nowhere/at/all", "--profile", "trickle"],
        ),
    ] {
        let output = tool(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
    }
    // Late by time.
    let mock = Mock::new()
        .expect("stop", None)
        .reply("late".into())
        .start()
        .unwrap();
    let torment = Torment::new(mock.address(), Profile::LateReplies).listen(Address::unix(&listen));
    let torment = torment.delay(Duration::from_millis(50)).start().unwrap();
    let mut client = connect(&listen);
    let begun = std::time::Instant::now();
    client
        .write_all(b"{\"execute\": \"qmp_capabilities\"}{\"execute\": \"stop\"}")
        .unwrap();
    let lines: Vec<_> = BufReader::new(&client)
        .lines()
        .take(3)
        .map(Result::unwrap)
        .collect();
    assert!(lines[2].contains("\"late\""), "{lines:?}");
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(torment.n_heard("stop"), 1);
}

fn the_report() {
    let ours = format!("exec '{}' torment --drive", env!("CARGO_BIN_EXE_qmp"));
    let output = tool(&[
        "--run",
        &ours,
        "--profile",
        "trickle",
        "--profile",
        "ids-reordered",
    ]);
    let output = { output }.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "trickle                right\nids-reordered          right\n"
    );
    // What is wrong is told with the command that shows it again.
    let driver = "echo '{\"outcome\": \"lost\"}'; cat >/dev/null";
    let output = tool(&["--run", driver, "--profile", "trickle"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(8), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0]
            .starts_with("trickle                WRONG, step 1, connect: {\"outcome\":\"lost\"}"),
        "{text}"
    );
    let again = lines[1].trim().strip_prefix("again: qmp").unwrap();
    let command = format!("'{}'{again}", env!("CARGO_BIN_EXE_qmp"));
    let again = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);
    let output = tool(&["--run", driver, "--profile", "trickle", "--json"])
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["right"], false);
    assert_eq!(value["told"][0]["outcome"], "lost");
}

/// The driver of our asynchronous client.
pub(crate) fn drive_asynchronously() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(asynchronous::drive());
    ExitCode::SUCCESS
}

mod asynchronous {
    use std::time::Duration;

    use qapi_runtime::address::Address;
    use qapi_runtime::client::{
        CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, EventFilter, Events,
    };
    use serde_json::{Value, json};

    pub(super) async fn drive() {
        let mut client = None;
        for line in std::io::stdin().lines() {
            let step: Value = serde_json::from_str(&line.unwrap()).unwrap();
            println!("{}", take(&mut client, &step).await);
        }
    }

    async fn take(client: &mut Option<(Client, Events)>, step: &Value) -> Value {
        let within = Duration::from_secs_f64(step["within"].as_f64().unwrap());
        if step["do"] == "connect" {
            *client = None;
            let address = Address::unix(step["address"].as_str().unwrap());
            let options = ConnectOptions::new(address).handshake_timeout(within);
            return match Client::connect_and_listen(options, EventFilter::all()).await {
                Ok(connected) => {
                    *client = Some(connected);
                    json!({"outcome": "connected"})
                }
                Err(error) => match error.kind() {
                    ClientErrorKind::TimedOut(_) => json!({"outcome": "timeout"}),
                    _ => json!({"outcome": "refused"}),
                },
            };
        }
        let (client, events) = client.as_mut().unwrap();
        match step["do"].as_str().unwrap() {
            "execute" => execute(client, step, within).await,
            "execute-together" => {
                let commands = step["commands"].as_array().unwrap();
                let [first, second] = &commands[..] else {
                    panic!("{step}");
                };
                let (first, second) = tokio::join!(
                    execute(client, first, within),
                    execute(client, second, within)
                );
                json!({"outcome": "together", "outcomes": [first, second]})
            }
            "event" => loop {
                match tokio::time::timeout(within, events.next()).await {
                    Ok(Ok(event)) if event.name() == step["name"] => {
                        return json!({"outcome": "event", "data": event.data().to_value()});
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => return json!({"outcome": "lost"}),
                    Err(_) => return json!({"outcome": "timeout"}),
                }
            },
            _ => json!({"outcome": "cannot"}),
        }
    }

    async fn execute(client: &Client, step: &Value, within: Duration) -> Value {
        let arguments: qapi_runtime::Value =
            serde_json::from_value(step["arguments"].clone()).unwrap();
        let call = CallOptions::new().timeout(within);
        let command = step["command"].as_str().unwrap();
        match client.execute_raw(command, Some(&arguments), call).await {
            Ok(value) => match value.as_str() {
                Some(text) if text.len() > 1000 => {
                    json!({"outcome": "returned", "length": text.len()})
                }
                _ => json!({"outcome": "returned", "value": value}),
            },
            Err(error) => failed(&error),
        }
    }

    fn failed(error: &ClientError) -> Value {
        if let Some(error) = error.server_error() {
            return json!({"outcome": "error", "class": error.class.as_str(), "desc": error.desc});
        }
        match error.kind() {
            ClientErrorKind::TimedOut(_) => json!({"outcome": "timeout"}),
            _ => json!({"outcome": "lost"}),
        }
    }
}
