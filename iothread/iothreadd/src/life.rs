//! The end of the server, for those who ask for it and those who keep it waiting.

/// The life of the server, as its parts may act on it.
pub(crate) trait Life: Send + Sync {
    /// Whether it is ending.
    fn is_ending(&self) -> bool;

    /// Ends it in an orderly way, after what the main loop has accepted so far. From any thread.
    fn quit(&self);

    /// A session of a monitor is over, perhaps the last one that the end waits for. From any thread.
    fn session_is_over(&self);
}
