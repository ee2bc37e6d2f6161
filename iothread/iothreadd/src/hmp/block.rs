//! The human monitor's commands about block nodes and exports.

use std::fmt::Write as _;
use std::sync::Arc;

use qapi_runtime::Error;

use super::arguments::Arguments;
use super::line::{LINE_END, describe};
use crate::host::Host;
use crate::net::descriptors::SessionDescriptors;
use crate::parts::Parts;
use crate::qapi::{
    BlockDeviceInfo, BlockExportRemoveMode, BlockInfo, InetSocketAddress, InetSocketAddressWrapper,
    NbdServerAddOptions, NbdServerOptionsLegacy, SocketAddressLegacy, UnixSocketAddress,
    UnixSocketAddressWrapper,
};
use crate::task::Work;

/// `nbd_server_start`
pub(super) fn nbd_server_start<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), Error>> {
    Box::pin(async move {
        let options = nbd_server_options(given)?;
        // Descriptors are passed with QMP only.
        let nobody = SessionDescriptors::default();
        let nbd = &parts.nbd;
        nbd.find_and_start(&parts.host, &nobody, options).await
    })
}

pub(super) fn nbd_server_options(given: &Arguments) -> Result<NbdServerOptionsLegacy, Error> {
    let (all, writable, address) = (given.flag(0), given.flag(1), given.text(2));
    if writable && !all {
        return Err(Error::generic("-w only valid together with -a"));
    }
    let unparsable = || Error::generic(format!("error parsing address '{address}'"));
    let addr = if let Some(path) = address.strip_prefix("unix:") {
        let data = UnixSocketAddress {
            path: path.to_owned(),
            r#abstract: None,
            tight: None,
        };
        SocketAddressLegacy::Unix(UnixSocketAddressWrapper { data })
    } else {
        let (host, port) = address.rsplit_once(':').ok_or_else(unparsable)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let data = InetSocketAddress::new(host.to_owned(), port.to_owned());
        SocketAddressLegacy::Inet(InetSocketAddressWrapper { data })
    };
    // With -a QEMU exports the backends of drives. Here are no drives.
    Ok(NbdServerOptionsLegacy::new(addr))
}

/// `nbd_server_stop`
pub(super) fn nbd_server_stop<'a>(
    parts: &'a Arc<Parts>,
    _: &'a Arguments,
) -> Work<'a, Result<(), Error>> {
    Box::pin(parts.stop_nbd())
}

/// `nbd_server_add`
pub(super) fn nbd_server_add<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), Error>> {
    let mut wanted = NbdServerAddOptions::new(given.text(1).to_owned());
    wanted.writable = Some(given.flag(0));
    wanted.name = given.optional(2).map(str::to_owned);
    Box::pin(parts.add_over_nbd(wanted))
}

/// `nbd_server_remove`
pub(super) fn nbd_server_remove<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), Error>> {
    Box::pin(async move {
        let mode = if given.flag(0) {
            BlockExportRemoveMode::Hard
        } else {
            BlockExportRemoveMode::Safe
        };
        parts.remove_over_nbd(given.text(1), Some(&mode)).await
    })
}

/// `block_resize`
///
/// Differs from QEMU: a node is named, as devices have no names here.
pub(super) fn resize<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), Error>> {
    Box::pin(async move {
        let name = given.text(0);
        let node = match parts.host.blocks.is_writable(name) {
            Some(_) => name,
            None => "",
        };
        parts.resize(name, node, given.integer(1)).await
    })
}

/// `info blockstats`
pub(super) fn info_statistics(parts: &Arc<Parts>, _: &Arguments) -> String {
    let mut text = String::new();
    for load in parts.host.blocks.device_statistics() {
        let stats = &load.stats;
        let _ = write!(
            text,
            "{}: rd_bytes={} wr_bytes={} rd_operations={} wr_operations={} flush_operations={} \
             wr_total_time_ns={} rd_total_time_ns={} flush_total_time_ns={} rd_merged={} wr_merged={} \
             idle_time_ns={}{LINE_END}",
            load.device.as_deref().unwrap_or_default(),
            stats.rd_bytes,
            stats.wr_bytes,
            stats.rd_operations,
            stats.wr_operations,
            stats.flush_operations,
            stats.wr_total_time_ns,
            stats.rd_total_time_ns,
            stats.flush_total_time_ns,
            stats.rd_merged,
            stats.wr_merged,
            stats.idle_time_ns.unwrap_or(0),
        );
    }
    text
}

/// `info block-exports`
pub(super) fn info_exports(parts: &Arc<Parts>, _: &Arguments) -> String {
    let mut text = String::new();
    for export in parts.exports.query() {
        // Writing to a string does not fail, here and below.
        let _ = write!(
            text,
            "{}:{LINE_END}  type={}{LINE_END}  node-name={}{LINE_END}  shutting-down={}{LINE_END}",
            export.id, export.r#type, export.node_name, export.shutting_down
        );
    }
    text
}

/// `info block`
pub(super) fn info_block<'a>(parts: &'a Arc<Parts>, given: &'a Arguments) -> Work<'a, String> {
    Box::pin(async move {
        let printed = print_block(parts, given).await;
        printed.unwrap_or_else(|error| describe(&error))
    })
}

async fn print_block(parts: &Arc<Parts>, given: &Arguments) -> Result<String, Error> {
    let (nodes, verbose, wanted) = (given.flag(0), given.flag(1), given.text(2));
    let Host { blocks, main, .. } = &*parts.host;
    let mut output = String::new();
    let is_wanted = |name: &str| wanted.is_empty() || wanted == name;
    // Devices have no names here by which one of them could be meant.
    if !nodes && wanted.is_empty() {
        for (index, device) in blocks.query_devices(main).await?.iter().enumerate() {
            match &device.inserted {
                Some(node) => print_node(&mut output, index, node, Some(device), verbose),
                None => print_empty(&mut output, index, device),
            }
        }
        return Ok(output);
    }
    for (index, node) in blocks.query_nodes(main).await?.iter().enumerate() {
        if is_wanted(&node.node_name) {
            print_node(&mut output, index, node, None, verbose);
        }
    }
    Ok(output)
}

/// Describes a drive without a medium.
fn print_empty(output: &mut String, index: usize, device: &BlockInfo) {
    if index > 0 {
        output.push_str(LINE_END);
    }
    let name = device.qdev.as_deref().unwrap_or_default();
    let _ = write!(output, "{name}: [not inserted]{LINE_END}");
    print_device(output, device);
}

fn print_device(output: &mut String, device: &BlockInfo) {
    if let Some(path) = &device.qdev {
        let _ = write!(output, "    Attached to:      {path}{LINE_END}");
    }
    if device.removable {
        let locked = if device.locked { "" } else { "not " };
        let tray = match device.tray_open {
            Some(true) => ", tray open",
            Some(false) => ", tray closed",
            None => "",
        };
        let _ = write!(
            output,
            "    Removable device: {locked}locked{tray}{LINE_END}"
        );
    }
}

/// Describes a node, and for whom it is there. As in QEMU, those that are left out leave their blank line.
fn print_node(
    output: &mut String,
    index: usize,
    node: &BlockDeviceInfo,
    device: Option<&BlockInfo>,
    verbose: bool,
) {
    if index > 0 {
        output.push_str(LINE_END);
    }
    let read_only = if node.ro { ", read-only" } else { "" };
    let inactive = if node.active { "" } else { ", inactive" };
    let _ = write!(
        output,
        "{}: {} ({}{read_only}{inactive}){LINE_END}",
        node.node_name, node.file, node.drv
    );
    if let Some(device) = device {
        print_device(output, device);
    }
    let direct = if node.cache.direct { ", direct" } else { "" };
    let no_flush = match node.cache.no_flush {
        true => ", ignore flushes",
        false => "",
    };
    let _ = write!(
        output,
        "    Cache mode:       writeback{direct}{no_flush}{LINE_END}"
    );
    let detect_zeroes = node.detect_zeroes.as_str();
    if detect_zeroes != "off" {
        let _ = write!(output, "    Detect zeroes:    {detect_zeroes}{LINE_END}");
    }
    if !verbose {
        return;
    }
    let image = &node.image;
    let _ = write!(
        output,
        "{LINE_END}Images:{LINE_END}image: {}{LINE_END}file format: {}{LINE_END}virtual size: {} ({} \
         bytes){LINE_END}",
        image.filename,
        image.format,
        human_size(image.virtual_size),
        image.virtual_size
    );
    if let Some(size) = image.actual_size {
        let _ = write!(output, "disk size: {}{LINE_END}", human_size(size));
    }
    if let Some(limits) = &image.limits {
        let _ = write!(
            output,
            "Block limits:{LINE_END}    request alignment: {}{LINE_END}    min mem alignment: {}{LINE_END}    \
             opt mem alignment: {}{LINE_END}    max iov: {}{LINE_END}",
            limits.request_alignment,
            limits.min_mem_alignment,
            limits.opt_mem_alignment,
            limits.max_iov
        );
    }
}

/// A size with three significant digits.
fn human_size(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut whole = bytes.max(0).unsigned_abs() as f64;
    while whole >= 1000.0 && unit + 1 < UNITS.len() {
        whole /= 1024.0;
        unit += 1;
    }
    let decimals = match whole {
        hundreds if hundreds >= 99.95 => 0,
        tens if tens >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{whole:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (512, "512 B"),
            (1000, "0.98 KiB"),
            (1 << 20, "1 MiB"),
            (1_073_741_312, "1 GiB"),
            (1_500_000, "1.43 MiB"),
            (15_000_000, "14.3 MiB"),
            (150_000_000, "143 MiB"),
            (i64::MAX, "8 EiB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
