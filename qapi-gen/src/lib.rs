#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! ```text
//! path --Loader--> SourceMap --syntax--> tree --check--> ir::Schema --backend--> files
//!        every stage reports into one Report; a mistake never stops a stage
//! ```

#![deny(missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod backend;
mod builder;
pub mod check;
mod compile;
mod components;
pub mod diagnostic;
#[cfg(feature = "diff")]
pub mod diff;
pub mod introspection;
pub mod ir;
mod lint;
pub mod loader;
pub mod markup;
mod name;
pub mod output;
pub mod print;
pub mod references;
pub mod source;
#[doc(hidden)]
pub mod steps;
mod syntax;
mod text;
#[cfg(feature = "validate")]
pub mod validate;

pub use builder::{BuildError, Builder};
pub use check::{Diagnosis, MAX_BASES, MAX_FEATURES, MAX_NAME, MAX_REPEATED, REPEATED_PER_LISTED};
pub use compile::{Compiled, Rejected, compile};
pub use syntax::{MAX_DEPTH, MAX_INCLUDE_DEPTH, MAX_LINE};
