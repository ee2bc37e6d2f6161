//! Schemas of any size in every dimension.
//!
//! A [`Shape`] makes the text of a schema from a number `n`, about in proportion to which its size
//! grows. A walk over schemas should need four times as much for four times the `n`, in every
//! dimension; where the meaning of a schema grows faster than its text, a limit has to say so. The
//! crate has no dependencies, so that anybody can use it.
//!
//! Names are `a`, `b`, ... in the place of digits, so that no two of them differ in one character
//! at the same place more often than those of people would.

mod checked;
mod depth;
mod documented;
mod mistakes;
mod shape;
mod sharing;

pub use shape::{Files, MAIN, Shape, Verdict, name};

/// Every shape.
pub fn all() -> impl Iterator<Item = Shape> {
    let folders = [
        depth::SHAPES,
        sharing::SHAPES,
        checked::SHAPES,
        documented::SHAPES,
        mistakes::SHAPES,
    ];
    folders.into_iter().flatten().copied()
}
