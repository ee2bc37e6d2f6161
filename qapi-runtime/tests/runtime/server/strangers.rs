//! Clients that want more than their due.

use super::*;

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut client = Client::connect(&path);
    let (mut reader, writer) = std::io::pipe().unwrap();
    client.send_with(r#"{"execute": "query-name"}"#, writer.as_fd());
    drop(writer);
    assert_eq!(client.line(), r#"{"return": {}}"#);
    client.send(r#"{"execute": "getfd"}"#);
    assert!(client.line().contains("No file descriptor supplied"));
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);

    // For a command that comes in pieces they are there until it is complete.
    let (reader, writer) = std::io::pipe().unwrap();
    client.send_with(r#"{"execute": "#, writer.as_fd());
    drop(writer);
    let mut other = Client::connect(&path);
    other.send(r#"{"execute": "query-name"}"#);
    assert_eq!(other.line(), r#"{"return": {}}"#);
    client.send(r#""getfd"}"#);
    assert_eq!(client.line(), r#"{"return": {}}"#);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "hello");
}

/// Neither between commands nor in the middle of one nor while one runs does a client keep its session by its own socket.
#[test]
fn a_client_that_has_passed_its_own_socket_is_gone_when_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    for text in [
        r#"{"execute": "query-name"}"#,
        " ",
        "stray",
        r#"{"execute": "#,
        r#"{"execute": "wait"}"#,
    ] {
        let client = Client::connect(&path);
        client.send_with(text, client.reader.get_ref().as_fd());
    }
    wait_until("the sessions end", || server.n_sessions() == 0);
}

/// Those who would use up all memory by values that they do not complete get an error for them in the end. Meanwhile others
/// are served, and all together hold no more than they may.
#[test]
fn sessions_share_a_budget() {
    const MIB: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = SessionConfig {
        budget: Some(Budget::new(16 * MIB)),
        ..SessionConfig::default()
    };
    let server = server_with(config, &Arc::new(Semaphore::new(0)), |_| false);
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut greedy: Vec<Client> = (0..8).map(|_| Client::connect(&path)).collect();
    let (full, is_full) = std::sync::mpsc::channel();
    let senders: Vec<_> = greedy
        .iter()
        .map(|client| {
            let mut stream = client.reader.get_ref().try_clone().unwrap();
            let full = full.clone();
            std::thread::spawn(move || {
                stream
                    .write_all(br#"{"execute": "query-name", "id": ""#)
                    .unwrap();
                for _ in 0..64 {
                    stream.write_all(&[b'x'; MIB / 4]).unwrap();
                }
                // All of it was read, and the value is not complete.
                full.send(()).unwrap();
                stream
            })
        })
        .collect();
    let mut modest = Client::connect(&path);
    for _ in &senders {
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_full.recv_timeout(Duration::from_millis(10)).is_err() {
            modest.send(r#"{"execute": "query-name"}"#);
            assert_eq!(modest.line(), r#"{"return": {}}"#);
            assert!(server.budget().used() <= server.budget().total());
            assert!(
                Instant::now() < deadline,
                "a client that sends much is stuck"
            );
        }
    }
    for (client, sender) in greedy.iter_mut().zip(senders) {
        let mut stream = sender.join().unwrap();
        stream
            .write_all(br#""}{"execute": "query-name", "id": 2}"#)
            .unwrap();
        assert!(client.line().contains("JSON token size limit exceeded"));
        assert_eq!(client.line(), r#"{"return": {}, "id": 2}"#);
    }
    drop((greedy, modest));
    wait_until("all is given back", || server.budget().used() == 0);
}

/// What a web page has a browser send is not executed, and the operator of the server is told. On a unix socket, which no
/// page reaches, it is QMP as any other.
#[test]
fn http_on_tcp_is_ended_and_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let told = Arc::new(Mutex::new(Vec::new()));
    server.on_notice({
        let told = Arc::clone(&told);
        move |notice| told.lock().unwrap().push(notice.to_string())
    });
    let address = ListenAddress::Tcp("127.0.0.1:0".to_owned());
    let address = runtime.block_on(server.listen(&address)).unwrap().unwrap();
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n\
        {\"execute\": \"qmp_capabilities\"}{\"execute\": \"query-name\"}\n";
    let mut page = std::net::TcpStream::connect(address).unwrap();
    page.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let local = page.local_addr().unwrap();
    page.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The connection may be reset, as not all of it was read.
    let _ = page.read_to_end(&mut answer);
    assert!(!String::from_utf8(answer).unwrap().contains("return"));
    wait_until("it is told", || !told.lock().unwrap().is_empty());
    let expected = format!("connection 0 from {local} begins like HTTP, so it was ended");
    assert_eq!(*told.lock().unwrap(), [expected]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines();
    let mut returned = lines.filter(|line| line.as_ref().unwrap().contains("return"));
    assert_eq!(returned.next().unwrap().unwrap(), r#"{"return": {}}"#);
}
