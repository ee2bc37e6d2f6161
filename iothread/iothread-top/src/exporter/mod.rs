//! What was found, as metrics over HTTP.

mod classic;
mod listen;
mod metrics;
mod series;
mod serve;

use std::io::{self, Write as _};

pub(crate) use self::listen::Listen;
use crate::options::ExporterOptions;

/// Serves metrics until the process ends.
pub(crate) fn run(options: ExporterOptions) -> io::Result<()> {
    let listener = options.listen.open()?;
    // Whoever asked for any port has to learn which one it is. Nobody may be left to read it.
    let at = listener.local_addr()?;
    let _ = writeln!(io::stderr(), "iothread-top: metrics at http://{at}/metrics");
    let watch = options.looking.start()?;
    let limits = series::Limits {
        n_infos: options.max_holders,
    };
    serve::serve(listener, watch.board(), limits)
}
