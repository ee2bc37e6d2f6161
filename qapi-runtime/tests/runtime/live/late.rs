//! QEMU and its guest agent when they are stopped, busy or gone, as clients meet them.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientErrorKind, ConnectOptions, Dialect, EventFilter, Outcome,
    Transcript, blocking,
};
use rustix::process::{Pid, Signal, kill_process};
use tests::{Tool, eventually};

use super::{Qemu, blocking_arguments, options, value, with_each_qemu};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

fn within(timeout: Duration) -> CallOptions {
    CallOptions::new().timeout(timeout)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Two commands while QEMU is stopped: one is given up, both are answered later; and the recording of it, played.
#[test]
fn a_late_reply_goes_to_nobody_else() {
    with_each_qemu("late replies of QEMU", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let qemu = Qemu::start_as(qemu, &socket);
        let transcript = Arc::new(Transcript::new());
        let recorded = options(&socket).record(Arc::clone(&transcript));
        let client = blocking::Client::connect(recorded).unwrap();
        let play = |client: &blocking::Client, stop: &dyn Fn(), go_on: &dyn Fn()| {
            stop();
            let late = client.execute_raw("query-status", None, within(SHORT));
            let late = late.unwrap_err();
            assert!(
                matches!(late.kind(), ClientErrorKind::TimedOut(_)),
                "{late:?}"
            );
            std::thread::scope(|scope| {
                let name = scope.spawn(|| client.execute_raw("query-name", None, within(LONG)));
                go_on();
                assert_eq!(name.join().unwrap().unwrap(), value("{}"));
            });
            let version = client.execute_raw("query-version", None, within(LONG));
            assert!(version.unwrap().get("qemu").is_some());
        };
        play(&client, &|| signal(&qemu.child, Signal::STOP), &|| {
            // The recording is to show the late reply after the next command.
            eventually(|| transcript.to_text().contains("query-name"));
            signal(&qemu.child, Signal::CONT)
        });
        let greeting = client.greeting();
        drop(client);
        let mock = Mock::replay(&transcript).start().unwrap();
        let options = ConnectOptions::new(mock.address());
        let client = blocking::Client::connect(options).unwrap();
        assert_eq!(client.greeting(), greeting);
        play(&client, &|| {}, &|| {});
        drop(client);
        assert_eq!(mock.finish(), [""; 0]);
    });
}

/// A command that was given up while QEMU was stopped has been executed; one in flight when QEMU is killed is lost.
#[test]
fn what_became_of_a_command_is_known_later() {
    with_each_qemu("outcomes of QEMU's commands", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let mut qemu = Qemu::start_as(qemu, &socket);
        let client = blocking::Client::connect(options(&socket)).unwrap();
        signal(&qemu.child, Signal::STOP);
        let late = client.execute_raw("query-name", None, within(SHORT));
        let late = late.unwrap_err();
        assert_eq!(late.outcome(), Outcome::Unknown);
        signal(&qemu.child, Signal::CONT);
        let outcome = late.late_reply().unwrap().wait(LONG);
        assert_eq!(outcome, Outcome::Done(value("{}")));
        signal(&qemu.child, Signal::STOP);
        let lost = client.execute_raw("query-name", None, within(SHORT));
        let lost = lost.unwrap_err();
        qemu.child.kill().unwrap();
        let outcome = lost.late_reply().unwrap().wait(LONG);
        assert_eq!(outcome, Outcome::ConnectionLost);
    });
}

/// A monitor serves one client; the others are told so, those in the queue and those that do not get into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_that_serves_another_client_is_named() {
    let tool = Tool::Program("qemu-system-x86_64");
    let Some(qemu) = tool.for_test("a monitor that serves another client") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let _qemu = Qemu::start_as(&qemu, &socket);
    let _first = blocking::Client::connect(options(&socket)).unwrap();
    for _ in 0..3 {
        let options = ConnectOptions::new(Address::unix(&socket)).handshake_timeout(SHORT);
        let blocking = blocking::Client::connect(options.clone()).err().unwrap();
        let asynchronous = Client::connect(options).await.err().unwrap();
        for error in [blocking, asynchronous] {
            let text = error.to_string();
            let start = format!("cannot connect to 'unix:{}': ", socket.display());
            assert!(text.starts_with(&start), "{text}");
            assert!(
                text.contains("a monitor of QEMU serves one client at a time"),
                "{text}"
            );
            assert!(
                matches!(error.kind(), ClientErrorKind::TimedOut(_)),
                "{error:?}"
            );
        }
    }
}

/// QEMU's human monitor speaks first, but no QMP; its QMP monitor is not a guest agent.
#[test]
fn other_monitors_are_quoted() {
    with_each_qemu("QEMU's human monitor", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let (socket, human) = (folder.path().join("qmp"), folder.path().join("hmp"));
        let mut command = Qemu::command(qemu, &socket);
        command.arg("-monitor");
        command.arg(format!("unix:{},server=on,wait=off", human.display()));
        let _qemu = Qemu::of(command);
        let error = blocking::Client::connect(options(&human)).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains("': not a QMP server, it says 'QEMU "),
            "{text}"
        );
        let agent = options(&socket).dialect(Dialect::GuestAgent);
        let text = blocking::Client::connect(agent).err().unwrap().to_string();
        assert!(
            text.contains("': not a guest agent, it says '{\"error\""),
            "{text}"
        );
    });
}

/// More commands in band than QEMU takes, while it executes one that does not end: one out of band is answered.
#[test]
fn out_of_band_passes_any_number_of_commands() {
    with_each_qemu("many commands in band", |qemu| {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let mut qemu = Qemu::start_as(qemu, &socket);
        let client = blocking::Client::connect(options(&socket)).unwrap();
        let arguments = blocking_arguments(&folder.path().join("fifo"));
        std::thread::scope(|scope| {
            let blocked =
                || client.execute_raw("blockdev-add", Some(&arguments), CallOptions::new());
            let mut calls = vec![scope.spawn(blocked)];
            // The command is there once it holds up the next one.
            while client
                .execute_raw("query-name", None, within(SHORT))
                .is_ok()
            {}
            for _ in 0..20 {
                calls.push(
                    scope.spawn(|| client.execute_raw("query-name", None, CallOptions::new())),
                );
            }
            eventually(|| {
                let late = client.execute_raw("query-name", None, within(SHORT));
                late.is_err_and(|error| error.to_string().contains("not sent"))
            });
            let oob = within(LONG).out_of_band();
            client.execute_raw("query-yank", None, oob).unwrap();
            qemu.kill();
            for call in calls {
                call.join().unwrap().unwrap_err();
            }
        });
    });
}

/// QEMU's monitor on its standard streams, and on one of a pair of sockets.
#[tokio::test(flavor = "multi_thread")]
async fn monitors_on_other_streams() {
    let tool = Tool::Program("qemu-system-x86_64");
    let Some(qemu) = tool.for_test("monitors on other streams") else {
        return;
    };
    let command = format!(
        "exec:{} -machine none -nodefaults -display none -qmp stdio 2>/dev/null",
        qemu.display()
    );
    let address: Address = command.parse().unwrap();
    let options = || ConnectOptions::new(address.clone()).handshake_timeout(LONG);
    let client = blocking::Client::connect(options()).unwrap();
    client
        .execute_raw("query-name", None, within(LONG))
        .unwrap();
    let events = client.listen(EventFilter::name("SHUTDOWN"));
    client.execute_raw("quit", None, within(LONG)).unwrap();
    events.next(Some(LONG)).unwrap();
    let client = Client::connect(options()).await.unwrap();
    client
        .execute_raw("query-name", None, within(LONG))
        .await
        .unwrap();
    client
        .execute_raw("quit", None, within(LONG))
        .await
        .unwrap();
}

/// A guest agent that is stopped: commands that are given up do not take the answers of others, and a connection is made as soon as it goes on.
#[test]
fn a_guest_agent_that_is_late() {
    let Some(program) = Tool::Program("qemu-ga").for_test("a late guest agent") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let mut command = Command::new(program);
    command
        .args(["-m", "unix-listen", "-t"])
        .arg(folder.path())
        .arg("-p")
        .arg(&socket)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let agent = Qemu::of(command);
    let options = || {
        options(&socket)
            .dialect(Dialect::GuestAgent)
            .handshake_timeout(LONG)
    };
    let client = blocking::Client::connect(options()).unwrap();
    for _ in 0..3 {
        signal(&agent.child, Signal::STOP);
        let late = client.execute_raw("guest-get-host-name", None, within(SHORT));
        assert!(matches!(
            late.unwrap_err().kind(),
            ClientErrorKind::TimedOut(_)
        ));
        std::thread::scope(|scope| {
            let pong = scope.spawn(|| client.execute_raw("guest-ping", None, within(LONG)));
            let info = scope.spawn(|| client.execute_raw("guest-info", None, within(LONG)));
            signal(&agent.child, Signal::CONT);
            assert_eq!(pong.join().unwrap().unwrap(), value("{}"));
            assert!(info.join().unwrap().unwrap().get("version").is_some());
        });
    }
    drop(client);
    // The socket accepts while the agent sleeps.
    signal(&agent.child, Signal::STOP);
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| blocking::Client::connect(options()));
        std::thread::sleep(SHORT);
        signal(&agent.child, Signal::CONT);
        let client = connecting.join().unwrap().unwrap();
        let pong = client.execute_raw("guest-ping", None, within(LONG));
        assert_eq!(pong.unwrap(), value("{}"));
    });
}
