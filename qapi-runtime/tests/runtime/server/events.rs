//! What handlers emit, and when it comes.

use super::*;

/// Whatever kind of handler emits, in one session or in several at a time.
#[test]
fn what_a_handler_emits_precedes_its_reply() {
    const N_COMMANDS: u64 = 500;
    for runs_inline in [|_: &CommandInfo| false, |_: &CommandInfo| true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp.sock");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let server = server_with(SessionConfig::default(), &gate, runs_inline);
        runtime
            .block_on(server.listen(&ListenAddress::unix(&path)))
            .unwrap();
        let mut witness = Client::connect(&path);
        let commands = ["emit", "emit-and-fail", "emit-later"];
        let clients = commands.map(|command| (command, Client::connect(&path)));
        let clients = clients.map(|(command, mut client)| {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                for index in 0..N_COMMANDS {
                    let first = command.len() as u64 * 1_000_000 + index * 2;
                    let arguments = format!(r#"{{"first": {first}}}"#);
                    // Several at once, so that one reply follows the other.
                    client.send(&format!(
                        r#"{{"execute": "{command}", "arguments": {arguments}, "id": {index}}}"#
                    ));
                    if index % 5 < 4 {
                        continue;
                    }
                    for index in index - 4..=index {
                        let first = command.len() as u64 * 1_000_000 + index * 2;
                        let mut own = Vec::new();
                        let reply = loop {
                            let line = client.line();
                            if !line.contains(r#""event""#) {
                                break line;
                            }
                            if line == event_line(first) || line == event_line(first + 1) {
                                own.push(line.clone());
                            }
                            all.push(line);
                        };
                        assert!(reply.contains(&format!(r#""id": {index}"#)), "{reply}");
                        let expected = [event_line(first), event_line(first + 1)];
                        assert_eq!(own, expected, "before the reply to {command} {index}");
                    }
                }
                (client, all)
            })
        });
        let mut orders: Vec<Vec<String>> = Vec::new();
        for client in clients {
            let (mut client, mut all) = client.join().unwrap();
            while all.len() as u64 != 3 * 2 * N_COMMANDS {
                all.push(client.line());
            }
            orders.push(all);
        }
        let seen = (0..3 * 2 * N_COMMANDS).map(|_| witness.line()).collect();
        orders.push(seen);
        assert!(orders.iter().all(|order| *order == orders[0]));
    }
}

/// Of those that are held back by their rate, only the first one does.
#[test]
fn an_event_that_is_held_back_comes_after_the_reply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut client = Client::connect(&path);
    let _guard = runtime.enter();
    for number in 0..3 {
        let data = format!(r#"{{"number": {number}}}"#);
        let event = EventMessage::new("RTC_CHANGE", Some(data.as_bytes()), SystemTime::UNIX_EPOCH);
        server.emit(event);
    }
    client.send(r#"{"execute": "query-name"}"#);
    assert!(client.line().contains(r#""number": 0"#));
    assert_eq!(client.line(), r#"{"return": {}}"#);
    assert!(client.line().contains(r#""number": 2"#));
}
