//! Paths by names alone: no file is looked at.

use std::path::{Component, Path};

/// `path` seen from `folder`, with `/` between its parts, by names alone.
pub(crate) fn relative(folder: &Path, path: &Path) -> String {
    let clean = |path: &Path| {
        let mut parts: Vec<String> = Vec::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir if parts.last().is_some_and(|last| last != "..") => {
                    parts.pop();
                }
                other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
            }
        }
        parts
    };
    let (folder, path) = (clean(folder), clean(path));
    let n_common = folder
        .iter()
        .zip(&path)
        .take_while(|(left, right)| left == right)
        .count();
    let up = std::iter::repeat_n("..".to_owned(), folder.len() - n_common);
    up.chain(path[n_common..].iter().cloned())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_from_the_main_folder() {
        let from = |folder: &str, path: &str| relative(Path::new(folder), Path::new(path));
        assert_eq!(from("", "a.json"), "a.json");
        assert_eq!(from("x/y", "x/y/sub/a.json"), "sub/a.json");
        assert_eq!(from("x/y", "x/y/sub/../b.json"), "b.json");
        assert_eq!(from("x/y", "x/y/../../q/b.json"), "../../q/b.json");
    }
}
