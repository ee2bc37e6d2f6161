//! A server that dies at every byte of what it has to say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use qapi_runtime::Value;
use qapi_runtime::client::{
    CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Outcome, blocking,
};
use tests::PATIENCE;

/// What the server says: by itself, to the negotiation, and to the first command.
const SAID: [&str; 3] = [
    "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n",
    "{\"return\": {}, \"id\": \"negotiation\"}\r\n",
    "{\"return\": {\"a\": [1, \"\\u00e9}\"]}, \"id\": 1}\r\n",
];

/// One that says so many bytes and is gone.
fn serve(mut n_bytes: usize, stream: UnixStream) {
    let mut reader = BufReader::new(&stream);
    for (n, said) in SAID.iter().enumerate() {
        let mut line = String::new();
        // The client may have given up.
        if n > 0 && reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let part = &said.as_bytes()[..n_bytes.min(said.len())];
        n_bytes -= part.len();
        if (&stream).write_all(part).is_err() || part.len() < said.len() {
            return;
        }
    }
}

fn options() -> ConnectOptions {
    ConnectOptions::for_stream("a server that dies").handshake_timeout(PATIENCE)
}

/// Whether the client has what it wants after so many bytes.
fn check(n_bytes: usize, called: Result<Result<Value, ClientError>, ClientError>) {
    let ends: Vec<usize> = SAID
        .iter()
        .scan(0, |end, said| {
            *end += said.len();
            Some(*end)
        })
        .collect();
    // A message ends with its brace.
    let is_whole = |n: usize| n_bytes + 2 >= ends[n];
    match called {
        Err(error) => {
            assert!(!is_whole(1), "{n_bytes}: {error}");
            let is_closed = matches!(error.kind(), ClientErrorKind::Closed);
            assert!(is_closed, "{n_bytes}: {error}");
            let when = match is_whole(0) {
                true => "before it answered qmp_capabilities",
                false => "before it greeted",
            };
            assert!(error.to_string().contains(when), "{n_bytes}: {error}");
        }
        Ok(Err(error)) => {
            assert!(is_whole(1) && !is_whole(2), "{n_bytes}: {error}");
            let is_closed = matches!(error.kind(), ClientErrorKind::Closed);
            assert!(is_closed, "{n_bytes}: {error}");
            // Between the end of the negotiation and the command it may go unseen.
            let outcome = error.outcome();
            let is_known = [Outcome::ConnectionLost, Outcome::NotSent].contains(&outcome);
            assert!(is_known, "{n_bytes}: {outcome:?}");
            if n_bytes > ends[1] {
                assert_eq!(outcome, Outcome::ConnectionLost, "{n_bytes}");
            }
        }
        Ok(Ok(value)) => {
            assert!(is_whole(2), "{n_bytes}");
            assert_eq!(value.to_string(), r#"{"a": [1, "\u00E9}"]}"#);
        }
    }
}

/// All numbers of bytes, up to everything.
fn cuts() -> std::ops::RangeInclusive<usize> {
    0..=SAID.iter().map(|said| said.len()).sum()
}

#[test]
fn a_server_may_die_at_every_byte() {
    for n_bytes in cuts() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(n_bytes, theirs));
        let client = blocking::Client::connect_descriptor(options(), ours.into());
        let called = client.map(|client| {
            let in_time = CallOptions::new().timeout(PATIENCE);
            client.execute_raw("x", None, in_time)
        });
        check(n_bytes, called);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_server_may_die_at_every_byte_for_tasks() {
    for n_bytes in cuts() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(n_bytes, theirs));
        let called = match Client::connect_descriptor(options(), ours.into()).await {
            Err(error) => Err(error),
            Ok(client) => {
                let in_time = CallOptions::new().timeout(PATIENCE);
                Ok(client.execute_raw("x", None, in_time).await)
            }
        };
        check(n_bytes, called);
        server.join().unwrap();
    }
}
