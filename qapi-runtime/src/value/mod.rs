//! Values whose type no schema says: trees in memory.

mod any;
mod object;

pub use self::any::Value;
pub use self::object::Object;
