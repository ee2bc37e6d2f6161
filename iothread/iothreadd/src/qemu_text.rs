//! What QEMU says where the library has words of its own.

use iothread::{CreateError, DeleteError, HoldError, ParameterError};
use qapi_runtime::Error;

/// A mistake of the library's, as an answer in QEMU's words.
pub(crate) trait QemuText {
    /// The text.
    fn qemu_text(&self) -> String;

    /// The answer.
    fn to_answer(&self) -> Error {
        Error::generic(self.qemu_text())
    }
}

impl QemuText for CreateError {
    fn qemu_text(&self) -> String {
        match self {
            Self::BadId { .. } => "Parameter 'id' expects an identifier".to_owned(),
            Self::Duplicate { id } => duplicate(id),
            Self::Parameter(error) => error.qemu_text(),
            // QEMU ends itself where it has no thread or descriptor left.
            Self::Host { id, source } => format!("cannot create IOThread '{id}': {source}"),
        }
    }
}

impl QemuText for ParameterError {
    fn qemu_text(&self) -> String {
        match self {
            Self::OutOfRange { parameter, .. } => format!(
                "{} value must be in range [0, {}]",
                parameter.as_str(),
                parameter.max_value()
            ),
            Self::ThreadPool { .. } => "bad thread-pool-min/thread-pool-max values".to_owned(),
        }
    }
}

impl QemuText for DeleteError {
    fn qemu_text(&self) -> String {
        match self {
            Self::InUse { id, .. } => format!("object '{id}' is in use, can not be deleted"),
            Self::NotFound { id } => not_found(id),
        }
    }
}

impl QemuText for HoldError {
    fn qemu_text(&self) -> String {
        match self {
            Self::Deleted { id } => not_found(id),
        }
    }
}

/// There is an object of that name.
pub(crate) fn duplicate(id: &str) -> String {
    format!("attempt to add duplicate property '{id}' to object (type 'container')")
}

fn not_found(id: &str) -> String {
    format!("object '{id}' not found")
}

#[cfg(test)]
mod tests {
    use iothread::{IoThread, IoThreadBuilder, Parameter, Registry, holder};

    use super::*;

    #[test]
    fn every_mistake_has_the_words_of_qemu() {
        let registry = Registry::new();
        let new = |id: &str| IoThread::builder(id).registry(&registry);
        let refused = |builder: IoThreadBuilder| builder.spawn().unwrap_err().qemu_text();
        assert_eq!(refused(new("0")), "Parameter 'id' expects an identifier");
        let io0 = new("io0").spawn().unwrap();
        assert_eq!(
            refused(new("io0")),
            "attempt to add duplicate property 'io0' to object (type 'container')"
        );
        let with = |parameter, value| refused(new("io1").parameter(parameter, value));
        assert_eq!(
            with(Parameter::PollGrow, -1),
            "poll-grow value must be in range [0, 9223372036854775807]"
        );
        for value in [-1, 64] {
            assert_eq!(
                with(Parameter::PollWeight, value),
                "poll-weight value must be in range [0, 63]"
            );
        }
        assert_eq!(
            with(Parameter::ThreadPoolMin, 65),
            "bad thread-pool-min/thread-pool-max values"
        );
        let held = io0.get_aio_context(holder::monitor("m")).unwrap();
        assert_eq!(
            io0.delete().unwrap_err().qemu_text(),
            "object 'io0' is in use, can not be deleted"
        );
        drop(held);
        io0.delete().unwrap();
        assert_eq!(
            io0.delete().unwrap_err().qemu_text(),
            "object 'io0' not found"
        );
        let refused = io0.get_aio_context(holder::monitor("m")).unwrap_err();
        assert_eq!(refused.qemu_text(), "object 'io0' not found");
    }
}
