//! How sessions and servers end.

use super::*;

#[test]
fn a_shutdown_does_not_wait_for_clients_that_do_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let told = Arc::new(Mutex::new(Vec::new()));
    server.on_notice({
        let told = Arc::clone(&told);
        move |notice| {
            let Notice::Unanswered { n_commands, .. } = notice else {
                panic!("{notice}");
            };
            told.lock().unwrap().push(*n_commands);
        }
    });
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut reading = Client::connect(&path);
    let mut silent = Client::connect(&path);
    // More than what the socket takes.
    let id = "x".repeat(2 << 20);
    silent.send(&format!(r#"{{"execute": "query-name", "id": "{id}"}}"#));
    let mut stuck = Client::connect(&path);
    stuck.send(r#"{"execute": "wait"}"#);
    reading.send(r#"{"execute": "query-name", "id": 1}"#);
    let limit = Duration::from_millis(100);
    let n_unanswered = runtime.block_on(server.shutdown_within(limit));
    assert_eq!(n_unanswered, 2);
    assert_eq!(*told.lock().unwrap(), [1, 1]);
    assert_eq!(server.n_sessions(), 0);
    assert_eq!(reading.line(), r#"{"return": {}, "id": 1}"#);
    assert_eq!(reading.line(), "");
    assert_eq!(stuck.line(), "");
    // It is over, so there is nothing more to wait for.
    assert_eq!(runtime.block_on(server.shutdown()), 2);
}

#[test]
fn handlers_are_told_of_the_end() {
    for command in ["until-cancelled", "ask-until-cancelled"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp.sock");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let told = Arc::new(Semaphore::new(0));
        let server = server(&told);
        runtime
            .block_on(server.listen(&ListenAddress::unix(&path)))
            .unwrap();
        let request = format!(r#"{{"execute": "{command}"}}"#);

        // The client is gone. Its session is, too.
        let mut gone = Client::connect(&path);
        gone.send(&request);
        drop(gone);
        wait_until("the handler is told", || told.available_permits() == 1);
        wait_until("the session ends", || server.n_sessions() == 0);

        // One that has only ended its own direction is still there.
        let mut half = Client::connect(&path);
        half.send(&request);
        half.reader.get_ref().shutdown(Shutdown::Write).unwrap();
        let mut other = Client::connect(&path);
        other.send(r#"{"execute": "query-name"}"#);
        assert_eq!(other.line(), r#"{"return": {}}"#);
        assert_eq!(told.available_permits(), 1);

        // The server ends.
        assert_eq!(runtime.block_on(server.shutdown()), 0);
        assert_eq!(half.line(), r#"{"return": "cancelled"}"#);
        assert_eq!(half.line(), "");
        assert_eq!(told.available_permits(), 2);
    }
}

/// A session does not wait for a handler that does not listen when its client is gone.
#[test]
fn a_session_ends_with_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let server = server(&gate);
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    for oob in ["", r#""oob""#] {
        let mut client = Client::connect_with(&path, oob);
        client.send(r#"{"execute": "wait"} {"execute": "query-name"}"#);
        wait_until("it is there", || server.n_sessions() == 1);
        drop(client);
        wait_until("it ends", || server.n_sessions() == 0);
    }
    assert_eq!(runtime.block_on(server.shutdown()), 0);
}
