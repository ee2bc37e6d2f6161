//! What `tracing` is told.
//!
//! A program of its own: which threads want to hear of an event is remembered for the whole process.

#![cfg(all(unix, feature = "client", feature = "server", feature = "tracing"))]
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use qapi_runtime::client::{Address, CallOptions, Client, ConnectOptions};
use qapi_runtime::dispatch::Service;
use qapi_runtime::server::{ListenAddress, Server};
use qapi_runtime::session::SessionConfig;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Notes events, each as a line.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // What differs from run to run.
        if !["took", "peer", "process", "user"].contains(&field.name()) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("qapi_runtime")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn connections_and_commands_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let notes = Notes::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let service: Arc<dyn Service> = Arc::new(tests::service());
    tracing::subscriber::with_default(notes.clone(), || {
        runtime.block_on(async {
            let config = SessionConfig::default();
            let server = Server::with_inline(config, move |_| Arc::clone(&service), |_| true);
            server.listen(&ListenAddress::unix(&path)).await.unwrap();
            let options = ConnectOptions::new(Address::unix(&path));
            let client = Client::connect(options).await.unwrap();
            let raw = client.execute_raw("nothing", None, CallOptions::new());
            assert!(raw.await.is_err());
            client.close();
            while server.n_sessions() > 0 {
                tokio::task::yield_now().await;
            }
        });
    });
    let notes = notes.0.lock().unwrap();
    let of_server: Vec<&String> = notes
        .iter()
        .filter(|note| note.contains("connection="))
        .collect();
    assert_eq!(
        of_server,
        [
            "DEBUG message=client connected connection=0",
            "DEBUG message=command returned connection=0 command=\"qmp_capabilities\"",
            "DEBUG message=command failed connection=0 command=\"nothing\" class=\"CommandNotFound\" \
             error=The command nothing has not been found",
            "DEBUG message=client disconnected connection=0",
        ]
    );
    let of_client: Vec<&String> = notes
        .iter()
        .filter(|note| !note.contains("connection="))
        .collect();
    assert_eq!(
        of_client,
        [
            "DEBUG message=ready for commands",
            "TRACE message=command sent id=1 command=\"nothing\"",
            "TRACE message=command answered id=1",
        ]
    );
}
