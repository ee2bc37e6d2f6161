#![doc = include_str!("../README.md")]
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "iothread")]
mod conversion;
mod qapi;

#[cfg(feature = "iothread")]
#[cfg_attr(docsrs, doc(cfg(feature = "iothread")))]
pub use self::conversion::UnknownKind;
pub use self::qapi::*;
