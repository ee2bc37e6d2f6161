//! Errors as they travel in `{"error": {"class": ..., "desc": ...}}`.

use std::fmt;

/// The class of a QMP error.
///
/// QMP: section "Error"; the set is closed in QAPI (`QapiErrorClass`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Everything without a class of its own.
    GenericError,
    /// The requested command does not exist or may not run now.
    CommandNotFound,
    /// A device has failed to become active.
    DeviceNotActive,
    /// The requested device has not been found.
    DeviceNotFound,
    /// The requested operation needs a KVM capability that is absent.
    KvmMissingCap,
    /// A class that this library does not know, sent by a newer peer.
    Other(Box<str>),
}

impl ErrorClass {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::GenericError => "GenericError",
            Self::CommandNotFound => "CommandNotFound",
            Self::DeviceNotActive => "DeviceNotActive",
            Self::DeviceNotFound => "DeviceNotFound",
            Self::KvmMissingCap => "KVMMissingCap",
            Self::Other(name) => name,
        }
    }

    /// The class with this name on the wire; never fails, see [`ErrorClass::Other`].
    pub fn from_name(name: &str) -> Self {
        match name {
            "GenericError" => Self::GenericError,
            "CommandNotFound" => Self::CommandNotFound,
            "DeviceNotActive" => Self::DeviceNotActive,
            "DeviceNotFound" => Self::DeviceNotFound,
            "KVMMissingCap" => Self::KvmMissingCap,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed command: what a server sends and a client receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The class.
    pub class: ErrorClass,
    /// Text for people.
    pub desc: String,
}

impl Error {
    /// An error of any class.
    pub fn new(class: ErrorClass, desc: impl Into<String>) -> Self {
        Self {
            class,
            desc: desc.into(),
        }
    }

    /// An error of class `GenericError`.
    pub fn generic(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::GenericError, desc)
    }

    /// A command that the server knows and does not have: what functions of a partial trait of
    /// handlers return, in the reference's words.
    pub fn unsupported() -> Self {
        Self::generic("this feature or command is not currently supported")
    }

    /// An error of class `CommandNotFound`.
    pub fn command_not_found(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::CommandNotFound, desc)
    }

    /// An error of class `DeviceNotFound`.
    pub fn device_not_found(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::DeviceNotFound, desc)
    }

    /// An error of class `DeviceNotActive`.
    pub fn device_not_active(desc: impl Into<String>) -> Self {
        Self::new(ErrorClass::DeviceNotActive, desc)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.desc)
    }
}

impl std::error::Error for Error {}

/// A text that names no value of a QAPI enum; the error of `FromStr` of generated enums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    type_name: &'static str,
    name: Box<str>,
}

impl UnknownName {
    /// `name` is not a value of the QAPI enum `type_name`.
    pub fn new(type_name: &'static str, name: &str) -> Self {
        Self {
            type_name,
            name: name.into(),
        }
    }

    /// The text that was looked up.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not a value of {}", self.name, self.type_name)
    }
}

impl std::error::Error for UnknownName {}
