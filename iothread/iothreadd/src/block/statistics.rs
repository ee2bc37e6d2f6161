//! `query-blockstats`: how much is asked of nodes.

use super::driver::{Discards, Driver, FileKind};
use super::io::{Count, NodeIo};
use super::{Blocks, Graph, Kind, Node, Totals, UserPath};
use crate::qapi::{BlockDeviceStats, BlockStats, BlockStatsSpecific, BlockStatsSpecificFile};

/// Whose load it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Device,
    Node,
}

impl Blocks {
    /// `query-blockstats` of devices: in the order in which they came, as in QEMU.
    pub(crate) fn device_statistics(&self) -> Vec<BlockStats> {
        let graph = self.graph.lock();
        let mut devices: Vec<_> = graph
            .empty_drives
            .iter()
            .map(|(since, path)| {
                let stats = stats(&Totals::default(), 0, Whose::Device);
                (*since, of_device(path, BlockStats::new(stats)))
            })
            .collect();
        for node in &graph.nodes {
            for attached in node.users.iter().filter(|it| it.user.is_device()) {
                let path = &attached.user.path;
                let totals = node.io.totals_of(path);
                let load = graph.load(node, &totals, Whose::Device);
                devices.push((attached.since, of_device(path, load)));
            }
        }
        devices.sort_by_key(|(since, _)| *since);
        devices.into_iter().map(|(_, load)| load).collect()
    }

    /// `query-blockstats` of nodes: the oldest first, as in QEMU.
    pub(crate) fn node_statistics(&self) -> Vec<BlockStats> {
        let graph = self.graph.lock();
        let nodes = graph.nodes.iter();
        nodes.map(|node| graph.load_of_node(node)).collect()
    }
}

impl Graph {
    /// What all users of a node have asked for.
    ///
    /// Differs from QEMU: there nothing is counted for nodes, nor for exports.
    fn load_of_node(&self, node: &Node) -> BlockStats {
        self.load(node, &node.io.totals(), Whose::Node)
    }

    fn load(&self, node: &Node, totals: &Totals, whose: Whose) -> BlockStats {
        let mut load = BlockStats::new(stats(totals, node.io.highest_write(), whose));
        load.node_name = Some(node.name.clone());
        load.driver_specific = specific(&node.io);
        // There are no more than the nodes.
        let below = node.child.as_deref().and_then(|name| self.find(name).ok());
        load.parent = below.map(|below| Box::new(self.load_of_node(below)));
        load
    }
}

fn of_device(path: &UserPath, mut load: BlockStats) -> BlockStats {
    load.device = Some(String::new());
    load.qdev = Some(path.to_string());
    load
}

fn specific(io: &NodeIo) -> Option<BlockStatsSpecific> {
    let Driver::File(file) = io.driver() else {
        return None;
    };
    let Discards {
        n_done,
        n_failed,
        bytes,
    } = file.discards();
    let counted = BlockStatsSpecificFile {
        discard_nb_ok: n_done,
        discard_nb_failed: n_failed,
        discard_bytes_ok: bytes,
    };
    Some(match file.kind() {
        FileKind::File => BlockStatsSpecific::File(counted),
        FileKind::HostDevice => BlockStatsSpecific::HostDevice(counted),
    })
}

fn stats(totals: &Totals, highest_write: u64, whose: Whose) -> BlockDeviceStats {
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let [read, written, flushed, unmapped]: [Count; 4] =
        [Kind::Read, Kind::Write, Kind::Flush, Kind::Unmap].map(|kind| totals.of(kind));
    BlockDeviceStats {
        rd_bytes: int(read.bytes),
        wr_bytes: int(written.bytes),
        zone_append_bytes: 0,
        unmap_bytes: int(unmapped.bytes),
        rd_operations: int(read.n_done()),
        wr_operations: int(written.n_done()),
        zone_append_operations: 0,
        flush_operations: int(flushed.n_done()),
        unmap_operations: int(unmapped.n_done()),
        rd_total_time_ns: int(read.nanoseconds()),
        wr_total_time_ns: int(written.nanoseconds()),
        zone_append_total_time_ns: 0,
        flush_total_time_ns: int(flushed.nanoseconds()),
        unmap_total_time_ns: int(unmapped.nanoseconds()),
        wr_highest_offset: int(highest_write),
        rd_merged: 0,
        wr_merged: 0,
        zone_append_merged: 0,
        unmap_merged: 0,
        idle_time_ns: totals.idle_time().map(int),
        failed_rd_operations: int(read.n_failed),
        failed_wr_operations: int(written.n_failed),
        failed_zone_append_operations: 0,
        failed_flush_operations: int(flushed.n_failed),
        failed_unmap_operations: int(unmapped.n_failed),
        invalid_rd_operations: 0,
        invalid_wr_operations: 0,
        invalid_zone_append_operations: 0,
        invalid_flush_operations: 0,
        invalid_unmap_operations: 0,
        account_invalid: whose == Whose::Device,
        account_failed: whose == Whose::Device,
        timed_stats: Vec::new(),
    }
}
