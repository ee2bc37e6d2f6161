//! What a parser takes.

/// What a parser takes before it gives up on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one value without its white space.
    pub token_size: usize,
    /// Tokens of one value.
    pub token_count: usize,
    /// Arrays and objects inside one another.
    pub nesting: usize,
}

impl Limits {
    /// What QEMU takes: 64 MiB, 2 Mi tokens, 1024 levels. Memory stays below 300 MiB a value.
    pub const QMP: Self = Self {
        token_size: 64 << 20,
        token_count: 2 << 20,
        nesting: 1024,
    };

    /// What our client takes: replies as large as any server sends, 1 GiB and 64 Mi tokens.
    pub const REPLY: Self = Self {
        token_size: 1 << 30,
        token_count: 64 << 20,
        nesting: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::QMP
    }
}
