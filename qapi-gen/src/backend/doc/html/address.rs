//! Where things are.

use super::escape::push_fragment;
use crate::backend::doc::manual::Manual;
use crate::references::Target;

/// The address of `target` as seen from the page `file`; `None` if the manual does not have it.
pub(super) fn address_of(manual: &Manual<'_>, file: &str, target: Target<'_>) -> Option<String> {
    let mut address = String::new();
    let in_chapter = |address: &mut String, name: &str, anchor: &str| {
        let chapter = manual.chapter_of(name)?;
        if chapter.file != file {
            address.push_str(&chapter.file);
            address.push_str(".html");
        }
        address.push('#');
        push_fragment(address, anchor);
        Some(())
    };
    match target {
        Target::Entity(name) => in_chapter(&mut address, name, name)?,
        Target::Part(name, part) => {
            in_chapter(&mut address, name, &manual.anchor(name, part))?;
        }
        Target::Branch(name, value) => {
            in_chapter(&mut address, name, &manual.branch_anchor(name, value))?;
        }
        Target::Parts(name) => {
            address.push_str("members.html#Member-");
            push_fragment(&mut address, name);
        }
        Target::Index => address.push_str("index.html"),
    }
    Some(address)
}
