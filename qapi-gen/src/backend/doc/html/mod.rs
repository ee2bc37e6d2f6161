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

use std::ops::ControlFlow;

use super::manual::Manual;
use crate::output::{EmittedFile, Sink};

use page::PageWriter;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/manual.js");

/// All files, each made when it is handed over.
pub(super) fn render(manual: &Manual<'_>, sink: &mut Sink<'_>) -> ControlFlow<()> {
    sink(EmittedFile::new("index.html", index::front(manual)))?;
    for (n, chapter) in manual.chapters.iter().enumerate() {
        if chapter.has_page() {
            let page = PageWriter::chapter(manual, n);
            sink(EmittedFile::new(format!("{}.html", chapter.file), page))?;
        }
    }
    sink(EmittedFile::new("commands.html", index::commands(manual)))?;
    sink(EmittedFile::new("events.html", index::events(manual)))?;
    sink(EmittedFile::new("types.html", index::types(manual)))?;
    sink(EmittedFile::new("members.html", index::members(manual)))?;
    let marker = manual.marker();
    let comment = |text: &str| format!("/* {} */\n{text}", marker.replace("*/", "* /"));
    sink(EmittedFile::new("style.css", comment(STYLE)))?;
    sink(EmittedFile::new("manual.js", comment(SCRIPT)))?;
    let index = comment(&search::index(manual));
    sink(EmittedFile::new("search.js", index))
}
