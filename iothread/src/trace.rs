//! What is told to `tracing`, for programs that have asked for it by the feature.
#![cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "the feature is off")
)]

use std::fmt::Display;
use std::io;

use crate::holder::Holder;

/// A thread runs its loop.
pub(crate) fn started(context: &str, thread_id: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(context, thread_id, "event loop started");
}

/// A thread has run its loop to the end.
pub(crate) fn ended(context: &str) {
    #[cfg(feature = "tracing")]
    tracing::debug!(context, "event loop ended");
}

/// A holder is on record.
pub(crate) fn held(context: &str, holder: &Holder) {
    #[cfg(feature = "tracing")]
    tracing::debug!(context, %holder, "held");
}

/// A record is struck out.
pub(crate) fn released(context: &str, holder: &Holder) {
    #[cfg(feature = "tracing")]
    tracing::debug!(context, %holder, "released");
}

/// A callback has panicked.
pub(crate) fn panicked(
    context: &str,
    callback: &dyn Display,
    holder: Option<&Holder>,
    message: &str,
) {
    #[cfg(feature = "tracing")]
    tracing::error!(context, %callback, holder = holder.map(tracing::field::display), message, "panicked");
}

/// A loop cannot wait any more.
pub(crate) fn failed(context: &str, error: &io::Error) {
    #[cfg(feature = "tracing")]
    tracing::error!(context, %error, "event loop failed");
}

/// There is no thread for a worker.
pub(crate) fn no_worker(context: &str, error: &io::Error) {
    #[cfg(feature = "tracing")]
    tracing::warn!(context, %error, "no worker");
}
