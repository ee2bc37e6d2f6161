//! What fuzz targets drive, with any text.

use std::sync::Arc;

use super::types::{CONTAINER, MACHINE};
use super::{Object, Tree, container};

/// A path, to whatever object.
pub(crate) fn path(text: &str) {
    let leaf = || -> Arc<dyn Object> { container(&CONTAINER, Vec::new()) };
    let deep = container(
        &CONTAINER,
        vec![("a", container(&CONTAINER, vec![("b", leaf())]))],
    );
    let tree = Tree::default();
    tree.assemble(
        vec![
            (
                "machine",
                container(&MACHINE, vec![("a", leaf()), ("c", leaf())]),
            ),
            ("objects", deep),
        ],
        [],
    );
    // What is found is found again where it was.
    if let Ok(found) = tree.canonical_path(text) {
        let absolute = if found.is_empty() { "/" } else { &found };
        assert_eq!(tree.canonical_path(absolute).as_ref(), Ok(&found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path() {
        for text in [
            "",
            "/",
            "//",
            "a",
            "b",
            "c",
            "a/b",
            "/objects/a/b",
            "objects",
            "/objects//a/",
            "x",
            "/a",
        ] {
            path(text);
        }
    }
}
