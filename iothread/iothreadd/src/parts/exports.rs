//! Exports of all kinds, and the commands about those over NBD that came before exports of all kinds had their own.

use iothread::OnMain;
use qapi_runtime::Error;

use super::Parts;
use crate::export::Prepared;
use crate::finally::Finally;
use crate::net::descriptors::SessionDescriptors;
use crate::qapi::{
    BlockExportOptions, BlockExportOptionsNbd, BlockExportOptionsType, BlockExportRemoveMode,
    BlockExportType, NbdServerAddOptions,
};
use crate::{task, vhost_user_blk};

impl Parts {
    /// `block-export-add`
    pub(crate) async fn add_export(
        &self,
        descriptors: &SessionDescriptors,
        options: &BlockExportOptions,
    ) -> Result<(), Error> {
        let add = |main: OnMain<'_>, moved: &Finally| {
            let prepare = |options| self.prepare_export(main, descriptors, options);
            self.exports.add(main, &self.host, options, prepare, moved)
        };
        task::see_through(&self.host.main, add).await?
    }

    /// All kinds of exports.
    fn prepare_export(
        &self,
        main: OnMain<'_>,
        descriptors: &SessionDescriptors,
        options: &BlockExportOptions,
    ) -> Result<Box<dyn Prepared>, Error> {
        match &options.r#type {
            BlockExportOptionsType::Nbd(nbd) => {
                let name = nbd.name.as_ref().unwrap_or(&options.node_name);
                self.nbd.prepare(main, name, nbd.description.as_deref())
            }
            BlockExportOptionsType::VhostUserBlk(device) => {
                vhost_user_blk::prepare(descriptors, device)
            }
            BlockExportOptionsType::Unknown(name) => Err(Error::generic(format!(
                "Parameter 'type' does not accept value '{name}'"
            ))),
        }
    }

    /// `block-export-del`
    pub(crate) async fn delete_export(
        &self,
        id: &str,
        mode: Option<&BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        let mode = mode.unwrap_or(&BlockExportRemoveMode::Safe);
        let delete = |main: OnMain<'_>, gone: &Finally| {
            self.exports.delete(main, &self.host, id, mode, gone)
        };
        task::see_through(&self.host.main, delete).await?
    }

    /// `nbd-server-stop`
    pub(crate) async fn stop_nbd(&self) -> Result<(), Error> {
        let stop = |main: OnMain<'_>, gone: &Finally| {
            self.nbd.stop(main)?;
            self.exports
                .remove_all(main, &self.host, &BlockExportType::Nbd, gone);
            Ok(())
        };
        task::see_through(&self.host.main, stop).await?
    }

    /// `nbd-server-add`
    pub(crate) async fn add_over_nbd(&self, wanted: NbdServerAddOptions) -> Result<(), Error> {
        let NbdServerAddOptions {
            name,
            description,
            device,
            writable,
        } = wanted;
        let name = name.unwrap_or_else(|| device.clone());
        let is_writable = self.host.blocks.is_writable(&device).ok_or_else(|| {
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
        self.add_export(&nobody, &options).await
    }

    /// `nbd-server-remove`
    pub(crate) async fn remove_over_nbd(
        &self,
        name: &str,
        mode: Option<&BlockExportRemoveMode>,
    ) -> Result<(), Error> {
        let is_another = self
            .exports
            .query()
            .iter()
            .any(|it| it.id == name && it.r#type != BlockExportType::Nbd);
        if is_another {
            return Err(Error::generic(format!(
                "Block export '{name}' is not an NBD export"
            )));
        }
        self.delete_export(name, mode).await
    }
}
