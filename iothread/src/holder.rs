//! Short constructors for [`IoThreadHolder`].

use crate::qapi::{
    IoThreadHolder, IoThreadHolderBlockExport, IoThreadHolderBlockNode, IoThreadHolderMonitor,
    IoThreadHolderQomObject,
};

/// A QOM object, named by its canonical path.
pub fn qom_object(qom_path: impl Into<String>) -> IoThreadHolder {
    IoThreadHolder::QomObject(IoThreadHolderQomObject {
        qom_path: qom_path.into(),
    })
}

/// A block node, named by its node name.
pub fn block_node(node_name: impl Into<String>) -> IoThreadHolder {
    IoThreadHolder::BlockNode(IoThreadHolderBlockNode {
        node_name: node_name.into(),
    })
}

/// A block export, named by its id.
pub fn block_export(export_id: impl Into<String>) -> IoThreadHolder {
    IoThreadHolder::BlockExport(IoThreadHolderBlockExport {
        export_id: export_id.into(),
    })
}

/// A monitor, named by its id or the name it was given for want of one.
pub fn monitor(monitor_name: impl Into<String>) -> IoThreadHolder {
    IoThreadHolder::Monitor(IoThreadHolderMonitor {
        monitor_name: monitor_name.into(),
    })
}
