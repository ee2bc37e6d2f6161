//! `--metrics`: what the server does, as metrics over HTTP.
//!
//! - `found`: what there is to tell, as far as there is room for it.
//! - `page`: how that is told.
//!
//! A thread of its own answers scrapes, from numbers that others count for themselves; so a scrape keeps no thread waiting.

mod found;
mod page;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use iothread_metrics::{Exported, Listen, serve};
use thiserror::Error;
use tokio::sync::oneshot;

use self::found::Found;
use crate::net::reach::{Reach, RemoteError, Served};
use crate::parts::Parts;
use crate::report::report;

/// Metrics that cannot be served.
#[derive(Debug, Error)]
pub(crate) enum MetricsError {
    #[error(transparent)]
    Listen(io::Error),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Serves metrics until it is dropped.
pub(crate) struct Metrics {
    thread: Option<JoinHandle<()>>,
    end: Option<oneshot::Sender<()>>,
}

impl Metrics {
    pub(crate) fn serve(
        parts: &Arc<Parts>,
        listen: &Listen,
        reach: Reach,
    ) -> Result<Self, MetricsError> {
        let listener = listen.open().map_err(MetricsError::Listen)?;
        let address = listener.local_addr().map_err(MetricsError::Listen)?;
        reach.check(Served::Metrics, &[address])?;
        let (end, ended) = oneshot::channel();
        let exporter = Arc::new(Exporter(Arc::downgrade(parts)));
        let builder = std::thread::Builder::new().name("metrics".to_owned());
        let thread = builder
            .spawn(move || run(listener, &exporter, ended))
            .map_err(MetricsError::Thread)?;
        // With port 0 the operator has to learn which one it is.
        report(&format!("metrics at http://{address}/metrics"));
        Ok(Self {
            thread: Some(thread),
            end: Some(end),
        })
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        drop(self.end.take());
        // It is about to end, whatever clients do. A panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(listener: TcpListener, exporter: &Arc<Exporter>, ended: oneshot::Receiver<()>) {
    let end = until_dropped(ended);
    if let Err(error) = serve(listener, exporter, end) {
        report(&format!("metrics are not served any more: {error}"));
    }
}

async fn until_dropped(ended: impl Future<Output = Result<(), oneshot::error::RecvError>>) {
    // Nothing is ever sent.
    let _ = ended.await;
}

/// The parts of the server, as long as they are there.
struct Exporter(Weak<Parts>);

impl Exported for Exporter {
    fn metrics(&self) -> Result<String, fmt::Error> {
        let parts = self.0.upgrade().ok_or(fmt::Error)?;
        let found = Found::now(&parts);
        drop(parts);
        page::render(found)
    }

    fn front_page(&self) -> String {
        "iothreadd\n\nMetrics are at /metrics.\n".to_owned()
    }
}
