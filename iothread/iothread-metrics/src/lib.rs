#![doc = include_str!("../README.md")]
//!
//! # How it is made
//!
//! [`names`] says what metrics of IOThreads are called, and [`kernel`] reads those that the kernel counts. A page is made with the
//! functions of `family`, whose labels come from [`label`]; [`Listen`] and [`serve`] are how it is read.

mod classic;
mod family;
pub mod kernel;
mod label;
mod listen;
pub mod names;
mod printable;
mod serve;
mod system;

pub use self::{
    family::{Histogram, Labels, Metric, Page, counters, gauges, histograms, infos, render},
    label::{MAX_LABEL, label},
    listen::Listen,
    printable::printable,
    serve::{Exported, serve},
};
