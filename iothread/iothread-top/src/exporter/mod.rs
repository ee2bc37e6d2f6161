//! What was found, as metrics over HTTP.

mod metrics;
mod series;

use std::fmt;
use std::future;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Instant;

use iothread_metrics::{Exported, serve};

use self::series::{Limits, Series};
use crate::options::ExporterOptions;
use crate::sample::Watch;

/// Serves metrics until the process ends.
pub(crate) fn run(options: ExporterOptions) -> io::Result<()> {
    let listener = options.listen.open()?;
    // With port 0 the operator has to learn which one it is. There may be no one left to read it.
    let at = listener.local_addr()?;
    let _ = writeln!(io::stderr(), "iothread-top: metrics at http://{at}/metrics");
    let exporter = Exporter {
        watch: options.looking.start()?,
        limits: Limits {
            n_infos: options.max_holders,
        },
    };
    serve(listener, &Arc::new(exporter), future::pending())
}

/// What was found last.
struct Exporter {
    watch: Watch,
    limits: Limits,
}

impl Exported for Exporter {
    fn metrics(&self) -> Result<String, fmt::Error> {
        let board = self.watch.board();
        let series = Series::new(board.looks(), board.n_left_out(), self.limits);
        metrics::page(series, Instant::now())
    }

    fn front_page(&self) -> String {
        metrics::front_page(self.watch.board().looks().len())
    }
}
