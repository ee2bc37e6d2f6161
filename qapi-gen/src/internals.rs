//! What the command line, the tests and the fuzz targets of this repository use. Nobody else
//! should use it: it may change with any version. If you need a part of it, ask us to make it public.

pub use crate::loader::{read_file, read_input, read_text};
pub use crate::output::abandon;
pub use crate::print::print;
pub use crate::references::{References, Target};

/// With which servers a program works.
#[cfg(feature = "compat")]
pub mod compat {
    pub use crate::compat::*;
}

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
