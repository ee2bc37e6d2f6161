//! `Debug` of types that have more inside than anybody wants to see.

/// Shows a type as a struct with these fields, and says that there is more.
macro_rules! debug_by {
    ($name:ident, [$($impl:tt)*] $type:ty, |$it:ident| $($field:ident = $value:expr),+) => {
        $($impl)* std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let $it = self;
                let mut shown = f.debug_struct(stringify!($name));
                $(shown.field(stringify!($field), &$value);)+
                shown.finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use debug_by;
