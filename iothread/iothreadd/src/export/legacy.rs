//! `nbd-server-add` and `nbd-server-remove`, which came before exports of all kinds had commands of their own.

use std::sync::Arc;

use qapi_runtime::Error;

use crate::net::descriptors::SessionDescriptors;
use crate::qapi::{
    BlockExportOptions, BlockExportOptionsNbd, BlockExportOptionsType, BlockExportRemoveMode,
    BlockExportType, NbdServerAddOptions,
};
use crate::server::Server;

/// `nbd-server-add`
pub(crate) fn add_over_nbd(server: &Arc<Server>, wanted: NbdServerAddOptions) -> Result<(), Error> {
    let NbdServerAddOptions {
        name,
        description,
        device,
        writable,
    } = wanted;
    let name = name.unwrap_or_else(|| device.clone());
    let is_writable = server.blocks().is_writable(&device).ok_or_else(|| {
        Error::generic(format!(
            "Cannot find device='{device}' nor node-name='{device}'"
        ))
    })?;
    let nbd = BlockExportOptionsNbd {
        name: Some(name.clone()),
        description,
    };
    let mut options = BlockExportOptions::new(BlockExportOptionsType::Nbd(nbd), name, device);
    // What cannot be written is exported read-only, whatever was asked for.
    options.writable = Some(writable.unwrap_or(false) && is_writable);
    // Over NBD exports take no descriptors.
    let nobody = SessionDescriptors::default();
    server.exports().add(server, &nobody, options)
}

/// `nbd-server-remove`
pub(crate) fn remove_over_nbd(
    server: &Arc<Server>,
    name: &str,
    mode: &BlockExportRemoveMode,
) -> Result<(), Error> {
    let exports = server.exports();
    let is_another = exports
        .query()
        .iter()
        .any(|it| it.id == name && it.r#type != BlockExportType::Nbd);
    if is_another {
        return Err(Error::generic(format!(
            "Block export '{name}' is not an NBD export"
        )));
    }
    exports.delete(server, name, mode)
}
