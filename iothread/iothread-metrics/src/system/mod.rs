//! What systems have of their own.

mod linux;

pub(crate) use self::linux::*;
