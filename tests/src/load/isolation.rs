//! What a handler that blocks in one session costs another.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::Qmp;

/// Median round trips of a session that does nothing but ask.
#[derive(Clone, Copy, Debug)]
pub struct Isolation {
    /// While the other session rests.
    pub alone: Duration,
    /// While a handler of the other session blocks.
    pub beside: Duration,
}

/// Blocks one session's handler (command `block` of `qmp-sample`) for this long, and measures another
/// session before and meanwhile, for as long.
///
/// # Errors
///
/// A command fails, or the handler does not block.
pub fn measure(socket: &Path, blocked: Duration) -> Result<Isolation> {
    let mut asking = Qmp::open(socket)?;
    let mut blocking = Qmp::open(socket)?;
    let alone = median_for(&mut asking, blocked)?;
    let milliseconds = u64::try_from(blocked.as_millis())?;
    let request = json!({"execute": "block", "arguments": {"milliseconds": milliseconds}});
    blocking.send(request.to_string().as_bytes())?;
    let start = Instant::now();
    // A little less, so that all of it is beside the handler.
    let beside = median_for(&mut asking, blocked.mul_f64(0.9))?;
    let reply = blocking.read()?;
    anyhow::ensure!(
        reply.get("return").is_some() && start.elapsed() >= blocked.mul_f64(0.95),
        "the handler did not block: {reply}"
    );
    Ok(Isolation { alone, beside })
}

fn median_for(connection: &mut Qmp, duration: Duration) -> Result<Duration> {
    let mut times = Vec::new();
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let start = Instant::now();
        connection.execute("query-name", json!({}))?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
