//! The driver "raw": the node below, or a part of it.

use qapi_runtime::Error;

use super::{SECTOR, not_negative};

/// A window onto the node below.
pub(in crate::block) struct Raw {
    pub(in crate::block) offset: u64,
    /// `None` if it reaches to the end of the node below, wherever that is.
    fixed_size: Option<u64>,
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
        let fixed_size = match size {
            None => None,
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
                Some(size)
            }
        };
        Ok(Self {
            offset,
            fixed_size,
            told,
        })
    }

    /// The size of the window, onto a node of `below` bytes.
    ///
    /// Differs from QEMU: there it keeps its size when only the node below is resized.
    pub(in crate::block) fn size(&self, below: u64) -> u64 {
        let rest = below.saturating_sub(self.offset);
        self.fixed_size
            .unwrap_or_else(|| rest.next_multiple_of(SECTOR))
    }

    /// Whether it keeps its size, whatever becomes of the node below.
    pub(in crate::block) fn has_fixed_size(&self) -> bool {
        self.fixed_size.is_some()
    }

    /// Whether it was told its bounds, so that the node below must keep its size.
    pub(in crate::block) fn is_bounded(&self) -> bool {
        self.told != (None, None)
    }
}
