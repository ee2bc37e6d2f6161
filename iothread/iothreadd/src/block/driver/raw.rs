//! The driver "raw": the node below, or a part of it.

use qapi_runtime::Error;

use super::{SECTOR, not_negative};

/// A window onto the node below.
pub(in crate::block) struct Raw {
    pub(in crate::block) offset: u64,
    pub(super) size: u64,
    /// The bounds that it was told.
    pub(in crate::block) told: (Option<i64>, Option<i64>),
}

impl Raw {
    /// A window onto a node of `below` bytes.
    pub(in crate::block) fn new(
        offset: Option<i64>,
        size: Option<i64>,
        below: u64,
    ) -> Result<Self, Error> {
        let told = (offset, size);
        let offset = not_negative("offset", offset.unwrap_or(0))?;
        if offset > below {
            return Err(Error::generic(format!(
                "Offset ({offset}) cannot be greater than size of the containing file ({below})"
            )));
        }
        let size = match size {
            None => (below - offset).next_multiple_of(SECTOR),
            Some(size) => {
                let size = not_negative("size", size)?;
                if size > below - offset {
                    return Err(Error::generic(format!(
                        "The sum of offset ({offset}) and size ({size}) has to be smaller or equal to the  \
                         actual size of the containing file ({below})"
                    )));
                }
                if size % SECTOR != 0 {
                    return Err(Error::generic("Specified size is not multiple of 512"));
                }
                size
            }
        };
        Ok(Self { offset, size, told })
    }

    /// Whether it was told its bounds, so that the node below must keep its size.
    pub(in crate::block) fn is_bounded(&self) -> bool {
        self.told != (None, None)
    }
}
