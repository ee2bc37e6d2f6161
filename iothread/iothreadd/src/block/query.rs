//! What the graph looks like to clients.

use std::sync::Arc;

use iothread::MainContext;
use qapi_runtime::Error;

use super::driver::{Driver, RequestLimits};
use super::filename::filename;
use super::io::NodeIo;
use super::{Blocks, Graph, Node};
use crate::qapi::{
    BlockDeviceInfo, BlockDeviceIoStatus, BlockInfo, BlockLimitsInfo, BlockdevCacheInfo,
    BlockdevChild, ImageInfo, ImageInfoSpecific, ImageInfoSpecificFile,
    ImageInfoSpecificFileWrapper,
};
use crate::task;

impl Blocks {
    /// `query-named-block-nodes`: the newest first, as in QEMU.
    pub(crate) async fn query_nodes(
        &self,
        main: &MainContext,
    ) -> Result<Vec<BlockDeviceInfo>, Error> {
        let shown: Vec<_> = {
            let graph = self.graph.lock();
            let show = |node: &Node| (graph.info(node), Arc::clone(&node.io));
            graph.nodes.iter().rev().map(show).collect()
        };
        let complete = |(mut info, io): (BlockDeviceInfo, Arc<NodeIo>)| {
            info.image.actual_size = allocated(&io);
            info
        };
        let ask = move || shown.into_iter().map(complete).collect();
        task::on_worker(main, ask).await
    }

    /// `query-block`: in the order in which devices came, as in QEMU.
    pub(crate) async fn query_devices(&self, main: &MainContext) -> Result<Vec<BlockInfo>, Error> {
        let shown = self.show_devices();
        let complete = |(mut info, io): (BlockInfo, Option<Arc<NodeIo>>)| {
            if let (Some(node), Some(io)) = (&mut info.inserted, io) {
                node.image.actual_size = allocated(&io);
            }
            info
        };
        let ask = move || shown.into_iter().map(complete).collect();
        task::on_worker(main, ask).await
    }

    fn show_devices(&self) -> Vec<(BlockInfo, Option<Arc<NodeIo>>)> {
        let graph = self.graph.lock();
        let mut devices: Vec<_> = graph
            .empty_drives
            .iter()
            .map(|(since, path)| (*since, (drive_info(path, true), None)))
            .collect();
        for node in &graph.nodes {
            let users = node.users.iter();
            for attached in users.filter(|attached| attached.user.is_device()) {
                let user = &attached.user;
                let mut info = drive_info(&user.path, user.is_removable());
                info.inserted = Some(graph.info(node));
                devices.push((attached.since, (info, Some(Arc::clone(&node.io)))));
            }
        }
        devices.sort_by_key(|(since, _)| *since);
        devices.into_iter().map(|(_, shown)| shown).collect()
    }
}

/// What a node takes up on the host. Its file system may be slow to tell.
fn allocated(io: &NodeIo) -> Option<i64> {
    let bytes = io.bottom().driver().allocated()?;
    Some(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// A drive as it is without a medium. All trays are closed, as there is no guest to open them.
fn drive_info(path: &str, is_removable: bool) -> BlockInfo {
    let mut info = BlockInfo::new(String::new(), "unknown".to_owned(), is_removable, false);
    info.qdev = Some(path.to_owned());
    info.tray_open = is_removable.then_some(false);
    info.io_status = Some(BlockDeviceIoStatus::Ok);
    info
}

impl Graph {
    fn info(&self, node: &Node) -> BlockDeviceInfo {
        let bottom = node.io.bottom().driver();
        let filename = filename(&node.io);
        let count = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut image = ImageInfo::new(
            filename.clone(),
            node.io.driver().name().to_owned(),
            count(node.io.size()),
        );
        image.dirty_flag = matches!(bottom, Driver::File(_)).then_some(false);
        image.limits = Some(limits(&node.io));
        if let Driver::File(_) = node.io.driver() {
            let data = ImageInfoSpecificFile::default();
            image.format_specific = Some(ImageInfoSpecific::File(ImageInfoSpecificFileWrapper {
                data,
            }));
        }
        let child = |child: &String| BlockdevChild {
            child: "file".to_owned(),
            node_name: child.clone(),
        };
        BlockDeviceInfo {
            file: filename,
            node_name: node.name.clone(),
            ro: node.io.is_read_only(),
            drv: node.io.driver().name().to_owned(),
            backing_file_depth: 0,
            children: node.child.iter().map(child).collect(),
            active: node.io.is_active(),
            encrypted: false,
            detect_zeroes: node.detect_zeroes.clone(),
            bps: 0,
            bps_rd: 0,
            bps_wr: 0,
            iops: 0,
            iops_rd: 0,
            iops_wr: 0,
            image,
            cache: BlockdevCacheInfo {
                writeback: true,
                direct: node.cache.direct.unwrap_or(false),
                no_flush: node.cache.no_flush.unwrap_or(false),
            },
            write_threshold: 0,
        }
    }
}

/// The most pieces of memory that a request has, as in QEMU.
const MAX_IOV: i64 = 1024;

fn limits(io: &NodeIo) -> BlockLimitsInfo {
    let RequestLimits {
        alignment,
        memory_alignment,
    } = request_limits(io);
    BlockLimitsInfo::new(
        u32::try_from(alignment).unwrap_or(u32::MAX),
        MAX_IOV,
        memory_alignment,
        memory_alignment.max(rustix::param::page_size() as u64),
    )
}

fn request_limits(io: &NodeIo) -> RequestLimits {
    io.driver().limits(|| io.child().map(request_limits))
}
