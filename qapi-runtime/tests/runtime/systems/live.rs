//! The clients against a QEMU on TCP, which every system has.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use qapi_runtime::client::Outcome;
use tests::Tool;

use super::*;

/// Ends by the command `quit`; by force where a test fails before, but under Wine.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A QEMU without a machine; nothing if there is none here.
fn qemu() -> Option<(Qemu, Address)> {
    let program = Tool::Program("qemu-system-x86_64").for_test("clients of QEMU on TCP")?;
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut command = Command::new(program);
    command
        .args([
            "-machine",
            "none",
            "-nodefaults",
            "-display",
            "none",
            "-qmp",
        ])
        .arg(format!("tcp:{place},server=on,wait=off"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Some((Qemu(command.spawn().unwrap()), Address::Tcp(place)))
}

fn patient(address: &Address) -> ConnectOptions {
    options(address).wait_for_socket(PATIENCE)
}

#[test]
fn the_blocking_client_drives_qemu() {
    let Some((_qemu, address)) = qemu() else {
        return;
    };
    let client = blocking::Client::connect(patient(&address)).unwrap();
    let raw = |command: &str| client.execute_raw(command, None, CallOptions::new());
    let schema = raw("query-qmp-schema").unwrap();
    assert!(schema.to_string().len() > 200_000);
    let yank = Value::from([("instances", Value::from(Vec::<Value>::new()))]);
    let out_of_band = CallOptions::new().out_of_band();
    client
        .execute_raw("yank", Some(&yank), out_of_band)
        .unwrap();
    let stopped = client.listen(EventFilter::name("STOP"));
    raw("stop").unwrap();
    stopped.next(Some(PATIENCE)).unwrap();
    // The time of a command is up at once, or it was faster.
    let hasty = CallOptions::new().timeout(Duration::from_nanos(1));
    if let Err(error) = client.execute_raw("query-qmp-schema", None, hasty) {
        assert!(
            matches!(error.kind(), ClientErrorKind::TimedOut(_)),
            "{error:?}"
        );
        let late = error.late_reply();
        let late = late.map(|it| it.wait(PATIENCE));
        assert!(matches!(late, None | Some(Outcome::Done(_))), "{late:?}");
    }
    raw("query-name").unwrap();
    // It serves one client at a time.
    let hasty = options(&address).handshake_timeout(SHORT);
    let error = blocking::Client::connect(hasty).unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );
    raw("quit").unwrap();
    // It may answer some more before it ends.
    let error = std::iter::repeat_with(|| raw("query-name")).find_map(Result::err);
    let error = error.unwrap();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_asynchronous_client_drives_qemu() {
    let Some((_qemu, address)) = qemu() else {
        return;
    };
    let client = Client::connect(patient(&address)).await.unwrap();
    let raw = |command| client.execute_raw(command, None, CallOptions::new());
    let schema = raw("query-qmp-schema").await.unwrap();
    assert!(schema.to_string().len() > 200_000);
    let yank = Value::from([("instances", Value::from(Vec::<Value>::new()))]);
    let out_of_band = CallOptions::new().out_of_band();
    let yanked = client.execute_raw("yank", Some(&yank), out_of_band);
    yanked.await.unwrap();
    let mut stopped = client.listen(EventFilter::name("STOP"));
    raw("stop").await.unwrap();
    let next = tokio::time::timeout(PATIENCE, stopped.next()).await;
    next.unwrap().unwrap();
    let hasty = options(&address).handshake_timeout(SHORT);
    let error = Client::connect(hasty).await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );
    raw("quit").await.unwrap();
    // As above.
    let error = loop {
        if let Err(error) = raw("query-name").await {
            break error;
        }
    };
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
}
