//! What the command line, the tests and the fuzz targets of this repository use, and nobody else
//! should: it may change with any version. Whoever misses a part of it asks for it to be made public.

pub use crate::loader::{read_file, read_input, read_text};
pub use crate::output::abandon;
pub use crate::print::print;
pub use crate::references::{References, Target};

/// Limits of what a schema may be.
pub mod limits {
    pub use crate::limits::*;
}

/// The markup of documentation comments.
pub mod markup {
    pub use crate::markup::*;
}

/// A count of steps.
pub mod steps {
    pub use crate::steps::taken;
}
