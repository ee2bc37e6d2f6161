//! What `tracing` is told.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};

use iothread::{IoThread, Registry, holder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Notes the events of one context, each as a line.
struct Notes(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "thread_id" {
            let _ = write!(self.0, "{}={value:?} ", field.name());
        }
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("iothread")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        // Other tests run at the same time.
        if line.0.contains("context=\"traced\"") {
            let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            notes.push(line.0.trim_end().to_owned());
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn threads_holders_and_panics_are_told() {
    let _expected = tests::panics::expect("traced");
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    tracing::subscriber::set_global_default(Notes(Arc::clone(&notes))).unwrap();
    let io0 = IoThread::builder("traced")
        .registry(&Registry::new())
        .on_panic(|_| {})
        .spawn()
        .unwrap();
    let context = io0.get_aio_context(holder::monitor("m")).unwrap();
    context.post(|_| panic!("traced")).unwrap();
    context.release();
    io0.delete().unwrap();
    let notes = notes.lock().unwrap();
    let of_thread: Vec<_> = notes
        .iter()
        .filter(|note| note.contains("event loop"))
        .collect();
    assert_eq!(
        of_thread,
        [
            "DEBUG message=event loop started context=\"traced\"",
            "DEBUG message=event loop ended context=\"traced\"",
        ]
    );
    let of_holder: Vec<_> = notes
        .iter()
        .filter(|note| !note.contains("event loop"))
        .collect();
    assert_eq!(
        of_holder,
        [
            "DEBUG message=held context=\"traced\" holder=monitor 'm'",
            "ERROR message=panicked context=\"traced\" callback=posted closure holder=monitor 'm' message=\"traced\"",
            "DEBUG message=released context=\"traced\" holder=monitor 'm'",
        ]
    );
}
