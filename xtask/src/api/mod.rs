//! The public interface of each library as a file beside it, so that a change shows what it adds and takes away.
//!
//! It is read from the source, not from what the compiler makes of it: the same with every compiler, and in a second.
//! What macros make is not seen.

mod count;
mod item;
mod source;
mod walk;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use self::source::Source;

/// Arguments of `api`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
}

/// How many items a library may show to others. Five ids of qapi-gen's schemas are made by a macro, which is not seen.
const MOST_ITEMS: [(&str, usize); 1] = [("qapi-gen", 120 - 5)];

/// The libraries.
const PACKAGES: [&str; 3] = ["iothread", "qapi-gen", "qapi-runtime"];

const COMMAND: &str = "cargo xtask api";

/// Writes the files or compares them.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check { check() } else { write() }
}

fn write() -> Result<()> {
    let workspace = ::tests::workspace();
    for package in PACKAGES {
        let text = interface(&workspace.join(package), package)?;
        let n_items = count::items(&text, &package.replace('-', "_"));
        println!("{package}: {n_items} items");
        let path = workspace.join(package).join("api.txt");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Fails if a file is not what would be written.
pub(crate) fn check() -> Result<()> {
    let workspace = ::tests::workspace();
    let mut differs = false;
    for package in PACKAGES {
        let now = interface(&workspace.join(package), package)?;
        let path = workspace.join(package).join("api.txt");
        let before = fs::read_to_string(&path);
        let before = before.with_context(|| format!("cannot read {}", path.display()))?;
        for (sign, one, other) in [("-", &before, &now), ("+", &now, &before)] {
            let other: HashSet<&str> = other.lines().collect();
            for line in one.lines().filter(|line| !other.contains(line)) {
                println!("{package}: {sign} {line}");
            }
        }
        differs |= before != now;
        let most = MOST_ITEMS.iter().find(|(name, _)| *name == package);
        let n_items = count::items(&now, &package.replace('-', "_"));
        if let Some((_, most)) = most.filter(|(_, most)| n_items > *most) {
            bail!("{package} shows {n_items} items, and {most} are enough for those who use it");
        }
    }
    if differs {
        bail!("the public interface has changed, run `{COMMAND}`");
    }
    Ok(())
}

/// A line for everything that is public and not hidden, sorted.
fn interface(folder: &Path, package: &str) -> Result<String> {
    let source = Source::read(&folder.join("src/lib.rs"))?;
    let mut lines = walk::public(&source, &package.replace('-', "_"));
    lines.sort();
    lines.dedup();
    lines.push(String::new());
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join("src").join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        let text = interface(folder.path(), "one").expect("readable");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_shown_counts_not_where_it_is() {
        let shown = lines(&[
            (
                "lib.rs",
                "mod inner;\npub use inner::{Shown as Named, go};\n",
            ),
            (
                "inner/mod.rs",
                "mod deep;\npub use self::deep::go;\npub struct Shown { pub a: u8, b: u8 }\n\
                 impl Shown { pub fn new() -> Self { todo!() } fn own(&self) {} }\n\
                 impl Clone for Shown { fn clone(&self) -> Self { todo!() } }\n\
                 pub struct Unseen;\n",
            ),
            (
                "inner/deep.rs",
                "#[must_use]\npub fn go<'a>(x: &'a mut [u8]) -> Option<&'a u8> { None }\n",
            ),
        ]);
        assert_eq!(
            shown,
            [
                "one::Named: impl Clone",
                "one::Named: pub struct Shown",
                "one::Named::a: u8",
                "one::Named::new: pub fn new() -> Self",
                "one::go: #[must_use] pub fn go<'a>(x: &'a mut [u8]) -> Option<&'a u8>",
            ]
        );
    }

    #[test]
    fn what_is_hidden_does_not_count() {
        let shown = lines(&[(
            "lib.rs",
            "#[doc(hidden)] pub mod a { pub fn x() {} }\n#[cfg(test)] pub mod b { pub fn x() {} }\n\
             pub(crate) fn c() {}\n#[cfg(feature = \"f\")] pub const D: u8 = 1;\n\
             pub enum E { F(u8), G { h: u8 } }\npub trait T { const K: u8; fn t(&self) {} }\n",
        )]);
        assert_eq!(
            shown,
            [
                "one::D: #[cfg(feature = \"f\")] pub const D: u8",
                "one::E: pub enum E",
                "one::E::F: F(u8)",
                "one::E::G: G { h: u8 }",
                "one::T: pub trait T",
                "one::T::K: const K: u8",
                "one::T::t: fn t(&self) { .. }",
            ]
        );
    }
}
