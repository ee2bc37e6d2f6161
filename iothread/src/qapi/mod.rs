//! Types of the schema that the library part needs.

/// Who holds an IOThread.
#[derive(Debug, Clone, PartialEq)]
pub enum IoThreadHolder {
    /// A QOM object.
    QomObject(IoThreadHolderQomObject),
    /// A block node.
    BlockNode(IoThreadHolderBlockNode),
    /// A block export.
    BlockExport(IoThreadHolderBlockExport),
    /// A monitor.
    Monitor(IoThreadHolderMonitor),
    /// A kind that the schema does not know; only a client's decoder makes it.
    Unknown(Box<str>),
}

/// A QOM object that holds an IOThread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IoThreadHolderQomObject {
    /// Path of the object.
    pub qom_path: String,
}

/// A block node that holds an IOThread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IoThreadHolderBlockNode {
    /// Name of the node.
    pub node_name: String,
}

/// A block export that holds an IOThread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IoThreadHolderBlockExport {
    /// Id of the export.
    pub export_id: String,
}

/// A monitor that holds an IOThread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IoThreadHolderMonitor {
    /// Name of the monitor.
    pub monitor_name: String,
}

/// Information about an IOThread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IoThreadInfo {
    /// Id of the IOThread.
    pub id: String,
    /// Id of the host thread.
    pub thread_id: i64,
    /// Who holds it, newest first.
    pub holders: Vec<IoThreadHolder>,
    /// Longest polling time in nanoseconds, 0 if polling is off.
    pub poll_max_ns: i64,
    /// Factor by which the polling time grows.
    pub poll_grow: i64,
    /// Divisor by which the polling time shrinks.
    pub poll_shrink: i64,
    /// Weight of the newest event interval, as a shift.
    pub poll_weight: i64,
    /// Largest batch of the AIO engine, 0 for its default.
    pub aio_max_batch: i64,
}
