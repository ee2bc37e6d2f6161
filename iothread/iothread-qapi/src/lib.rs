#![doc = include_str!("../README.md")]
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(feature = "iothread", target_os = "linux"))]
mod conversion;
mod qapi;

#[cfg(all(feature = "iothread", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "iothread", target_os = "linux"))))]
pub use self::conversion::UnknownKind;
pub use self::qapi::*;
