//! What systems have of their own.

mod linux;
mod unix;

pub(crate) use self::linux::*;
pub(crate) use self::unix::*;
