//! What a server called the types of a schema that was made of its introspection.

/// The names, and what else has to be told again so that it is what was told.
#[derive(Debug, Default)]
pub(crate) struct ToldNames {
    /// By type; `None` for what the server did not tell of.
    pub(crate) types: Vec<Option<ToldName>>,
    /// Elements that nothing leads to, as JSON, with their positions in the array.
    pub(crate) unreached: Vec<(usize, String)>,
}

/// What a server told of a type.
#[derive(Debug)]
pub(crate) struct ToldName {
    /// A number, mostly.
    pub(crate) name: String,
    /// The position in the array.
    pub(crate) position: usize,
    /// Values of a tag that have no branch. In a schema each has one, if only an empty one.
    pub(crate) missing_branches: Vec<String>,
}
