//! Each QMP command and the part of the server that executes it.

use std::sync::Arc;

use iothread::OnMain;
use iothread_qapi::IoThreadInfo;
use qapi_runtime::message::Request;
use qapi_runtime::{Error, Object, Value};

use crate::calls::CountedService;
use crate::chardev;
use crate::devices;
use crate::finally::Finally;
use crate::hmp;
use crate::host::Host;
use crate::monitor::SessionCommands;
use crate::net::descriptors::SessionDescriptors;
use crate::parts::Parts;
#[expect(deprecated, reason = "handled like everything else")]
use crate::qapi::commands::NbdServerRemove;
use crate::qapi::commands::{
    AddFd, BlockExportDel, BlockResize, BlockdevDel, BlockdevSetActive, ChardevAdd, ChardevChange,
    ChardevRemove, ChardevSendBreak, Closefd, DeviceDel, DeviceListProperties, Getfd,
    HumanMonitorCommand, ObjectDel, QmpCapabilities, QomGet, QomList, QomListProperties,
    QomListTypes, QomSet, QueryBlock, QueryBlockExports, QueryBlockstats, QueryChardev,
    QueryChardevBackends, QueryCommands, QueryFdsets, QueryIothreads, QueryName,
    QueryNamedBlockNodes, QueryQmpSchema, QueryStatus, QueryVersion, QueryYank, RemoveFd,
    RingbufRead, RingbufWrite, XBlockdevSetIothread, XQueryBlockExportQueues,
    XQueryInternalIothreads, XQueryIothreadHistory, XQueryIothreadStats, Yank,
};
use crate::qapi::{
    AddfdInfo, BlockDeviceInfo, BlockExportInfo, BlockExportOptions, BlockExportQueueInfo,
    BlockInfo, BlockStats, BlockdevOptions, ChardevBackendInfo, ChardevInfo, ChardevReturn,
    CommandInfo, Commands, Dispatcher, FdsetInfo, IoThreadHistory, IoThreadStats, NameInfo,
    NbdServerAddOptions, NbdServerOptionsLegacy, ObjectOptions, ObjectPropertyInfo, ObjectTypeInfo,
    StatusInfo, StrOrNull, VersionInfo, YankInstance,
};
use crate::task;

/// Executes the commands of one session.
struct Handler {
    parts: Arc<Parts>,
    descriptors: Arc<SessionDescriptors>,
    /// Name of the session's monitor.
    monitor: String,
}

/// The commands that run where their session does, and not on the main loop: they only read memory, under locks that are held
/// for moments, or belong to their session. None of them emits an event, which would come after the reply, nor asks the
/// file system.
const INLINE: &[&str] = &[
    // Descriptors belong to the session.
    AddFd::COMMAND,
    Closefd::COMMAND,
    Getfd::COMMAND,
    RemoveFd::COMMAND,
    QomGet::COMMAND,
    QomList::COMMAND,
    QomListProperties::COMMAND,
    QueryBlockExports::COMMAND,
    QueryBlockstats::COMMAND,
    QueryChardev::COMMAND,
    QueryChardevBackends::COMMAND,
    QueryCommands::COMMAND,
    QueryFdsets::COMMAND,
    QueryIothreads::COMMAND,
    QueryName::COMMAND,
    QueryQmpSchema::COMMAND,
    QueryStatus::COMMAND,
    QueryVersion::COMMAND,
    QueryYank::COMMAND,
    XQueryBlockExportQueues::COMMAND,
    XQueryInternalIothreads::COMMAND,
    XQueryIothreadHistory::COMMAND,
    XQueryIothreadStats::COMMAND,
    // Out of band, so that it helps where nothing else does.
    Yank::COMMAND,
];

/// The names of all commands, in the order of the service.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let commands = Dispatcher::<Handler>::COMMANDS.iter();
    commands.map(|it| it.info.name)
}

/// The commands as one session of a monitor has them.
pub(crate) fn of_session(
    parts: &Arc<Parts>,
    descriptors: &Arc<SessionDescriptors>,
    monitor: &str,
) -> SessionCommands {
    let dispatcher = Dispatcher::new(Arc::new(Handler {
        parts: Arc::clone(parts),
        descriptors: Arc::clone(descriptors),
        monitor: monitor.to_owned(),
    }));
    SessionCommands {
        service: Arc::new(CountedService::new(dispatcher, &parts.calls, monitor)),
        runs_inline: |command| INLINE.contains(&command.name),
    }
}

impl Handler {
    /// What those parts ask for that only the main loop may change; not for commands among [`INLINE`].
    fn on_main(&self) -> Result<OnMain<'_>, Error> {
        self.parts.host.on_main()
    }
}

impl Commands for Handler {
    fn add_fd(&self, arguments: AddFd) -> Result<AddfdInfo, Error> {
        let sets = &self.parts.descriptor_sets;
        sets.add(&self.descriptors, arguments.fdset_id, arguments.opaque)
    }

    async fn block_export_add(&self, arguments: BlockExportOptions) -> Result<(), Error> {
        self.parts.add_export(&self.descriptors, &arguments).await
    }

    async fn block_export_del(&self, arguments: BlockExportDel) -> Result<(), Error> {
        let BlockExportDel { id, mode } = arguments;
        self.parts.delete_export(&id, mode.as_ref()).await
    }

    async fn block_resize(&self, arguments: BlockResize) -> Result<(), Error> {
        let BlockResize {
            device,
            node_name,
            size,
        } = arguments;
        let (device, node) = (device.unwrap_or_default(), node_name.unwrap_or_default());
        self.parts.resize(&device, &node, size).await
    }

    async fn blockdev_add(&self, arguments: BlockdevOptions) -> Result<(), Error> {
        let Parts {
            host,
            descriptor_sets,
            ..
        } = &*self.parts;
        host.blocks
            .add(&host.main, descriptor_sets, arguments)
            .await
    }

    async fn blockdev_del(&self, arguments: BlockdevDel) -> Result<(), Error> {
        let Host { blocks, main, .. } = &*self.parts.host;
        let name = &arguments.node_name;
        task::see_through(main, |main, gone| blocks.delete(main, name, gone)).await?
    }

    async fn blockdev_set_active(&self, arguments: BlockdevSetActive) -> Result<(), Error> {
        let BlockdevSetActive { node_name, active } = arguments;
        let blocks = &self.parts.host.blocks;
        blocks
            .set_active(&self.parts.host.main, node_name, active)
            .await
    }

    async fn chardev_add(&self, arguments: ChardevAdd) -> Result<ChardevReturn, Error> {
        let ChardevAdd { id, backend } = arguments;
        let chardevs = &self.parts.host.chardevs;
        chardevs.add(id, backend, &self.descriptors).await
    }

    async fn chardev_change(&self, arguments: ChardevChange) -> Result<ChardevReturn, Error> {
        let ChardevChange { id, backend } = arguments;
        let chardevs = &self.parts.host.chardevs;
        chardevs.change(id, backend, &self.descriptors).await
    }

    fn chardev_remove(&self, arguments: ChardevRemove) -> Result<(), Error> {
        self.parts
            .host
            .chardevs
            .remove(self.on_main()?, &arguments.id)
    }

    fn chardev_send_break(&self, arguments: ChardevSendBreak) -> Result<(), Error> {
        self.parts.host.chardevs.send_break(&arguments.id)
    }

    fn closefd(&self, arguments: Closefd) -> Result<(), Error> {
        self.descriptors.close(&arguments.fdname)
    }

    async fn device_add(&self, arguments: Object) -> Result<Value, Error> {
        let devices = &self.parts.devices;
        devices.add(&self.parts.host, arguments).await?;
        Ok(Value::Object(Object::new()))
    }

    fn device_del(&self, arguments: DeviceDel) -> Result<(), Error> {
        let Parts { devices, host, .. } = &*self.parts;
        devices.delete(host, &arguments.id)
    }

    fn device_list_properties(
        &self,
        arguments: DeviceListProperties,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        devices::list_properties(&self.parts.host.tree, &arguments.typename)
    }

    fn getfd(&self, arguments: Getfd) -> Result<(), Error> {
        self.descriptors.keep(arguments.fdname)
    }

    async fn human_monitor_command(&self, arguments: HumanMonitorCommand) -> Result<String, Error> {
        if arguments.cpu_index.is_some() {
            // There are none.
            return Err(Error::generic("Parameter 'cpu-index' expects a CPU number"));
        }
        Ok(hmp::execute(&self.parts, &arguments.command_line, Some(&self.monitor)).await)
    }

    async fn nbd_server_add(&self, arguments: NbdServerAddOptions) -> Result<(), Error> {
        self.parts.add_over_nbd(arguments).await
    }

    #[expect(deprecated, reason = "handled like everything else")]
    async fn nbd_server_remove(&self, arguments: NbdServerRemove) -> Result<(), Error> {
        let NbdServerRemove { name, mode } = arguments;
        self.parts.remove_over_nbd(&name, mode.as_ref()).await
    }

    async fn nbd_server_start(&self, arguments: NbdServerOptionsLegacy) -> Result<(), Error> {
        let nbd = &self.parts.nbd;
        nbd.find_and_start(&self.parts.host, &self.descriptors, arguments)
            .await
    }

    async fn nbd_server_stop(&self) -> Result<(), Error> {
        self.parts.stop_nbd().await
    }

    async fn object_add(&self, arguments: ObjectOptions) -> Result<(), Error> {
        let Parts { objects, host, .. } = &*self.parts;
        objects.add(host, arguments).await
    }

    async fn object_del(&self, arguments: ObjectDel) -> Result<(), Error> {
        let Parts { objects, host, .. } = &*self.parts;
        let monitor = Some(&*self.monitor);
        objects.delete_for(host, &arguments.id, monitor).await
    }

    /// Sessions execute it themselves.
    fn qmp_capabilities(&self, _: QmpCapabilities) -> Result<(), Error> {
        Ok(())
    }

    fn qom_get(&self, arguments: QomGet) -> Result<Value, Error> {
        self.parts
            .host
            .tree
            .get(&arguments.path, &arguments.property)
    }

    fn qom_list(&self, arguments: QomList) -> Result<Vec<ObjectPropertyInfo>, Error> {
        self.parts.host.tree.list(&arguments.path)
    }

    fn qom_list_properties(
        &self,
        arguments: QomListProperties,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        self.parts.host.tree.list_properties(&arguments.typename)
    }

    fn qom_list_types(&self, arguments: QomListTypes) -> Result<Vec<ObjectTypeInfo>, Error> {
        let abstract_too = arguments.r#abstract.unwrap_or(false);
        let tree = &self.parts.host.tree;
        Ok(tree.list_types(arguments.implements.as_deref(), abstract_too))
    }

    fn qom_set(&self, arguments: QomSet) -> Result<(), Error> {
        let tree = &self.parts.host.tree;
        tree.set(&arguments.path, &arguments.property, &arguments.value)
    }

    async fn query_block(&self, _: QueryBlock) -> Result<Vec<BlockInfo>, Error> {
        let Host { blocks, main, .. } = &*self.parts.host;
        blocks.query_devices(main).await
    }

    fn query_block_exports(&self) -> Result<Vec<BlockExportInfo>, Error> {
        Ok(self.parts.exports.query())
    }

    fn query_blockstats(&self, arguments: QueryBlockstats) -> Result<Vec<BlockStats>, Error> {
        let blocks = &self.parts.host.blocks;
        Ok(match arguments.query_nodes {
            Some(true) => blocks.node_statistics(),
            Some(false) | None => blocks.device_statistics(),
        })
    }

    fn query_chardev(&self) -> Result<Vec<ChardevInfo>, Error> {
        Ok(self.parts.host.chardevs.query())
    }

    fn query_chardev_backends(&self) -> Result<Vec<ChardevBackendInfo>, Error> {
        Ok(chardev::query_backends())
    }

    fn query_commands(&self) -> Result<Vec<CommandInfo>, Error> {
        let name = |name: &str| CommandInfo {
            name: name.to_owned(),
        };
        Ok(names().map(name).collect())
    }

    fn query_fdsets(&self) -> Result<Vec<FdsetInfo>, Error> {
        Ok(self.parts.descriptor_sets.query())
    }

    fn query_iothreads(&self) -> Result<Vec<IoThreadInfo>, Error> {
        described(&self.parts.host.threads.registry().query_iothreads())
    }

    fn query_name(&self) -> Result<NameInfo, Error> {
        Ok(NameInfo {
            name: self.parts.name.clone(),
        })
    }

    async fn query_named_block_nodes(
        &self,
        _: QueryNamedBlockNodes,
    ) -> Result<Vec<BlockDeviceInfo>, Error> {
        let Host { blocks, main, .. } = &*self.parts.host;
        blocks.query_nodes(main).await
    }

    fn query_status(&self) -> Result<StatusInfo, Error> {
        Ok(self.parts.status())
    }

    fn query_version(&self) -> Result<VersionInfo, Error> {
        Ok(self.parts.version.clone())
    }

    fn query_yank(&self) -> Result<Vec<YankInstance>, Error> {
        Ok(self.parts.host.yanks.query())
    }

    fn quit(&self) -> Result<(), Error> {
        self.parts.quit();
        Ok(())
    }

    fn remove_fd(&self, arguments: RemoveFd) -> Result<(), Error> {
        let sets = &self.parts.descriptor_sets;
        sets.remove(arguments.fdset_id, arguments.fd)
    }

    fn ringbuf_read(&self, arguments: RingbufRead) -> Result<String, Error> {
        let RingbufRead {
            device,
            size,
            format,
        } = arguments;
        let chardevs = &self.parts.host.chardevs;
        chardevs.with_ringbuf(&device, |ringbuf| ringbuf.read(size, format.as_ref()))
    }

    fn ringbuf_write(&self, arguments: RingbufWrite) -> Result<(), Error> {
        let RingbufWrite {
            device,
            data,
            format,
        } = arguments;
        let chardevs = &self.parts.host.chardevs;
        chardevs.with_ringbuf(&device, |ringbuf| ringbuf.write(&data, format.as_ref()))
    }

    async fn x_blockdev_set_iothread(&self, arguments: XBlockdevSetIothread) -> Result<(), Error> {
        let force = arguments.force.unwrap_or(false);
        let Host {
            blocks,
            threads,
            main,
            ..
        } = &*self.parts.host;
        let thread = || match &arguments.iothread {
            StrOrNull::S(id) => {
                let missing = || Error::generic(format!("Cannot find iothread {id}"));
                threads.find(id).ok_or_else(missing).map(Some)
            }
            StrOrNull::N(_) => Ok(None),
        };
        let name = &arguments.node_name;
        let set = |main: OnMain<'_>, moved: &Finally| {
            blocks.set_iothread(main, name, thread, force, moved)
        };
        task::see_through(main, set).await?
    }

    fn x_query_block_export_queues(
        &self,
        arguments: XQueryBlockExportQueues,
    ) -> Result<Vec<BlockExportQueueInfo>, Error> {
        self.parts.exports.queues(&arguments.id)
    }

    fn x_query_internal_iothreads(&self) -> Result<Vec<IoThreadInfo>, Error> {
        described(
            &self
                .parts
                .host
                .threads
                .registry()
                .query_internal_iothreads(),
        )
    }

    fn x_query_iothread_history(
        &self,
        arguments: XQueryIothreadHistory,
    ) -> Result<IoThreadHistory, Error> {
        let history = self.parts.host.threads.history();
        Ok(history.query(arguments.since))
    }

    fn x_query_iothread_stats(&self) -> Result<Vec<IoThreadStats>, Error> {
        Ok(self.parts.host.threads.query_stats())
    }

    fn yank(&self, arguments: Yank) -> Result<(), Error> {
        self.parts.host.yanks.yank(&arguments.instances)
    }
}

/// Threads as the schema says them. All holders of the server are of kinds that it has.
fn described(threads: &[iothread::IoThreadInfo]) -> Result<Vec<IoThreadInfo>, Error> {
    let described = threads.iter().map(IoThreadInfo::try_from);
    described
        .collect::<Result<_, _>>()
        .map_err(|error| Error::generic(error.to_string()))
}
