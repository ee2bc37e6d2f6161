//! Backends: pure functions of a checked schema.

pub mod dump;
