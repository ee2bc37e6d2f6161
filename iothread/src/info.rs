//! What there is to say about an IOThread.

use crate::holder::Holder;
use crate::parameters::Parameters;

/// An IOThread at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoThreadInfo {
    /// Its id.
    pub id: String,
    /// The kernel's id of the thread.
    pub thread_id: u32,
    /// Who holds it, newest first.
    pub holders: Vec<Holder>,
    /// How its event loop is tuned.
    pub parameters: Parameters,
}
