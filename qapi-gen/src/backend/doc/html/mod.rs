//! The manual as pages for a browser.
//!
//! Every page works from a file, without a server and without JavaScript; scripts add the search,
//! the choice of light and dark, and buttons that copy.

mod address;
mod body;
mod code;
mod entity;
mod escape;
mod index;
mod page;
mod search;

use std::ops::ControlFlow;

use super::manual::Manual;
use crate::output::Out;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/manual.js");

/// All files, each made when it is handed over.
pub(super) fn render(manual: &Manual<'_>, out: &mut Out<'_>) -> ControlFlow<()> {
    index::front(manual, out)?;
    for (n, chapter) in manual.chapters.iter().enumerate() {
        if chapter.has_page() {
            page::chapter(manual, n, out)?;
        }
    }
    index::commands(manual, out)?;
    index::events(manual, out)?;
    index::types(manual, out)?;
    index::members(manual, out)?;
    let marker = format!("/* {} */\n", manual.marker().replace("*/", "* /"));
    out.file("style.css", &format!("{marker}{STYLE}"))?;
    out.file("manual.js", &format!("{marker}{SCRIPT}"))?;
    out.begin("search.js");
    out.push(&marker);
    search::index(manual, out);
    out.end()
}
