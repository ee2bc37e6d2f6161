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
#[cfg(feature = "compat")]
mod compat;
mod compile;
mod components;
pub mod diagnostic;
#[cfg(feature = "diff")]
pub mod diff;
#[doc(hidden)]
pub mod internals;
pub mod introspection;
pub mod ir;
mod limits;
mod lint;
pub mod loader;
mod markup;
mod name;
mod naming;
mod outcome;
pub mod output;
mod path;
mod print;
mod references;
pub mod source;
mod steps;
mod syntax;
mod text;
#[cfg(feature = "validate")]
pub mod validate;

pub use builder::{BuildError, Builder};
pub use compile::{compile, diagnose};
pub use outcome::{Compiled, Diagnosis, Rejected};
