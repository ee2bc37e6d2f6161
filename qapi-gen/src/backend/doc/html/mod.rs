//! The manual as pages for a browser.
//!
//! Every page works from a file, without a server and without JavaScript; scripts add the search,
//! the choice of light and dark, and buttons that copy.

mod body;
mod code;
mod entity;
mod escape;
mod index;
mod page;
mod search;

use super::manual::Manual;
use crate::backend::Emission;

use page::PageWriter;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/manual.js");

/// All files.
pub(super) fn render(manual: &Manual<'_>) -> Emission {
    let mut emission = Emission::new();
    emission.push("index.html", index::front(manual));
    for (n, chapter) in manual.chapters.iter().enumerate() {
        if chapter.has_page() {
            let page = PageWriter::chapter(manual, n);
            emission.push(format!("{}.html", chapter.file), page);
        }
    }
    emission.push("commands.html", index::commands(manual));
    emission.push("events.html", index::events(manual));
    emission.push("types.html", index::types(manual));
    emission.push("members.html", index::members(manual));
    let marker = manual.marker();
    let comment = |text: &str| format!("/* {} */\n{text}", marker.replace("*/", "* /"));
    emission.push("style.css", comment(STYLE));
    emission.push("manual.js", comment(SCRIPT));
    emission.push("search.js", comment(&search::index(manual)));
    emission
}
