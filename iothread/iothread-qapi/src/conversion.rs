//! What the library tells of its IOThreads, as QAPI's types say it, which know QEMU's kinds of holders. A program with others has
//! a schema of its own, and makes its types of [`iothread::IoThreadInfo`] itself.

use iothread::{Holder, HolderKind, Parameter};
use thiserror::Error;

use crate::{
    IoThreadHolder, IoThreadHolderBlockExport, IoThreadHolderBlockNode, IoThreadHolderMonitor,
    IoThreadHolderQomObject, IoThreadInfo,
};

/// A holder is of a kind that the schema does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the schema has no holders of the kind '{kind}'")]
#[non_exhaustive]
pub struct UnknownKind {
    /// The kind.
    pub kind: HolderKind,
}

impl TryFrom<&Holder> for IoThreadHolder {
    type Error = UnknownKind;

    fn try_from(holder: &Holder) -> Result<Self, UnknownKind> {
        let name = holder.name().to_owned();
        match holder.kind() {
            HolderKind::QOM_OBJECT => Ok(IoThreadHolderQomObject { qom_path: name }.into()),
            HolderKind::BLOCK_NODE => Ok(IoThreadHolderBlockNode { node_name: name }.into()),
            HolderKind::BLOCK_EXPORT => Ok(IoThreadHolderBlockExport { export_id: name }.into()),
            HolderKind::MONITOR => Ok(IoThreadHolderMonitor { monitor_name: name }.into()),
            kind => Err(UnknownKind { kind }),
        }
    }
}

impl TryFrom<&iothread::IoThreadInfo> for IoThreadInfo {
    type Error = UnknownKind;

    fn try_from(info: &iothread::IoThreadInfo) -> Result<Self, UnknownKind> {
        let holders = info.holders.iter().map(IoThreadHolder::try_from);
        let parameter = |parameter| info.parameters.get(parameter);
        Ok(Self {
            id: info.id.clone(),
            thread_id: info.thread_id.into(),
            holders: holders.collect::<Result<_, _>>()?,
            poll_max_ns: parameter(Parameter::PollMaxNs),
            poll_grow: parameter(Parameter::PollGrow),
            poll_shrink: parameter(Parameter::PollShrink),
            poll_weight: parameter(Parameter::PollWeight),
            aio_max_batch: parameter(Parameter::AioMaxBatch),
        })
    }
}

#[cfg(test)]
mod tests {
    use iothread::{IoThread, Registry, holder};

    use super::*;

    #[test]
    fn kinds_that_the_schema_has_are_said_and_others_are_named() {
        let registry = Registry::new();
        let io0 = IoThread::builder("io0").registry(&registry).spawn();
        let io0 = io0.unwrap();
        for holder in [
            holder::monitor("m"),
            holder::block_export("e"),
            holder::block_node("n"),
            holder::qom_object("/machine/d"),
        ] {
            io0.ref_holder(holder).unwrap();
        }
        let mut info = io0.info();
        let said = IoThreadInfo::try_from(&info).unwrap();
        let tags: Vec<_> = said.holders.iter().map(|it| it.tag().to_string()).collect();
        assert_eq!(
            tags,
            ["qom-object", "block-node", "block-export", "monitor"]
        );
        assert_eq!(
            (said.id, said.thread_id),
            ("io0".to_owned(), io0.thread_id().into())
        );
        assert_eq!((said.poll_max_ns, said.poll_weight), (32_768, 3));
        let vcpu = HolderKind::new("vcpu");
        info.holders.push(Holder::new(vcpu, "cpu0"));
        let error = IoThreadInfo::try_from(&info).unwrap_err();
        assert_eq!(error, UnknownKind { kind: vcpu });
        assert_eq!(
            error.to_string(),
            "the schema has no holders of the kind 'vcpu'"
        );
    }
}
