//! What is told to `tracing`, for programs that have asked for it by the feature.

#[cfg(feature = "tracing")]
mod imp {
    use crate::holder::Holder;

    /// A thread runs its loop.
    pub(crate) fn started(context: &str, thread_id: u32) {
        tracing::debug!(context, thread_id, "event loop started");
    }

    /// A thread has run its loop to the end.
    pub(crate) fn ended(context: &str) {
        tracing::debug!(context, "event loop ended");
    }

    /// A holder is on record.
    pub(crate) fn held(context: &str, holder: &Holder) {
        tracing::debug!(context, %holder, "held");
    }

    /// A record is struck out.
    pub(crate) fn released(context: &str, holder: Option<&Holder>) {
        if let Some(holder) = holder {
            tracing::debug!(context, %holder, "released");
        }
    }

    /// A callback has panicked.
    pub(crate) fn panicked(report: &crate::PanicReport) {
        tracing::error!(
            context = report.context,
            callback = %report.callback,
            holder = report.holder.as_ref().map(tracing::field::display),
            message = report.message,
            "panicked"
        );
    }

    /// A loop cannot wait any more.
    pub(crate) fn failed(failure: &crate::LoopFailure) {
        tracing::error!(context = failure.context, error = %failure.source, "event loop failed");
    }

    /// There is no thread for a worker.
    pub(crate) fn no_worker(context: &str, error: &std::io::Error) {
        tracing::warn!(context, %error, "no worker");
    }
}

#[cfg(not(feature = "tracing"))]
mod imp {
    use crate::holder::Holder;

    pub(crate) fn started(_: &str, _: u32) {}
    pub(crate) fn ended(_: &str) {}
    pub(crate) fn held(_: &str, _: &Holder) {}
    pub(crate) fn released(_: &str, _: Option<&Holder>) {}
    pub(crate) fn panicked(_: &crate::PanicReport) {}
    pub(crate) fn failed(_: &crate::LoopFailure) {}
    pub(crate) fn no_worker(_: &str, _: &std::io::Error) {}
}

pub(crate) use self::imp::{ended, failed, held, no_worker, panicked, released, started};
