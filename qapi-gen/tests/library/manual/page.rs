//! A strict reader of the HTML that we write: it takes less than a browser does.

use std::collections::{HashMap, HashSet};

/// Elements without an end tag.
const VOID: [&str; 4] = ["meta", "link", "br", "hr"];

/// Elements that may not stand in a paragraph.
const BLOCKS: [&str; 12] = [
    "p",
    "div",
    "ul",
    "ol",
    "dl",
    "pre",
    "blockquote",
    "table",
    "article",
    "h1",
    "h2",
    "hr",
];

/// What is in a page.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) ids: Vec<String>,
    pub(crate) links: Vec<String>,
    /// For each definition the text of its article.
    pub(crate) articles: HashMap<String, String>,
    /// For each definition its links, with what they show.
    pub(crate) article_links: HashMap<String, Vec<(String, String)>>,
}

/// Reads `html`; the error tells what is wrong with it and where.
pub(crate) fn read(html: &str) -> Result<Page, String> {
    let rest = html
        .strip_prefix("<!DOCTYPE html>\n<!-- ")
        .ok_or("no type of document")?;
    let (comment, mut rest) = rest.split_once("-->").ok_or("a comment that never ends")?;
    if comment.trim_end().contains("--") {
        return Err("'--' in a comment".into());
    }
    let mut page = Page::default();
    let mut open: Vec<String> = Vec::new();
    let mut article: Option<String> = None;
    let mut link: Option<(String, String)> = None;
    while !rest.is_empty() {
        let at = rest.find('<').unwrap_or(rest.len());
        let text = unescape(&rest[..at])?;
        if let Some((_, shown)) = &mut link {
            shown.push_str(&text);
        }
        if let Some(name) = &article {
            page.articles
                .entry(name.clone())
                .or_default()
                .push_str(&text);
        }
        rest = &rest[at..];
        let Some(tag) = rest.strip_prefix('<') else {
            break;
        };
        let end = tag.find('>').ok_or("a tag that never ends")?;
        let (tag, tail) = (&tag[..end], &tag[end + 1..]);
        rest = tail;
        if let Some(name) = tag.strip_prefix('/') {
            let opened = open
                .pop()
                .ok_or_else(|| format!("</{name}> without start"))?;
            if opened != name {
                return Err(format!("</{name}> ends <{opened}>"));
            }
            match name {
                "td" | "th" => {
                    if let Some(name) = &article {
                        page.articles.entry(name.clone()).or_default().push(' ');
                    }
                }
                "article" => article = None,
                "a" => {
                    if let (Some(name), Some(link)) = (&article, link.take()) {
                        let links = page.article_links.entry(name.clone()).or_default();
                        links.push(link);
                    }
                }
                _ => {}
            }
            continue;
        }
        let (name, attributes) = attributes(tag)?;
        for block in ["p", "h1", "h2", "h3", "h4", "h5", "h6", "dt"] {
            if open.iter().any(|open| open == block) && BLOCKS.contains(&name.as_str()) {
                return Err(format!("<{name}> in <{block}>"));
            }
        }
        if name == "a" && open.iter().any(|open| open == "a") {
            return Err("a link in a link".into());
        }
        if let Some(id) = attributes.get("id") {
            if id.is_empty() || id.contains(char::is_whitespace) {
                return Err(format!("id '{id}'"));
            }
            page.ids.push(id.clone());
            if name == "article" {
                article = Some(id.clone());
                page.articles.entry(id.clone()).or_default();
            }
        }
        if let Some(href) = attributes.get("href") {
            page.links.push(href.clone());
            if name == "a" {
                link = Some((href.clone(), String::new()));
            }
        }
        page.links.extend(attributes.get("src").cloned());
        if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    if let Some(name) = open.pop() {
        return Err(format!("<{name}> never ends"));
    }
    let unique: HashSet<&String> = page.ids.iter().collect();
    if unique.len() != page.ids.len() {
        let mut seen = HashSet::new();
        let twice = page.ids.iter().find(|id| !seen.insert(*id));
        return Err(format!("id {twice:?} is there twice"));
    }
    Ok(page)
}

/// The name of an element and its attributes; a value stands between double quotes.
fn attributes(tag: &str) -> Result<(String, HashMap<String, String>), String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!("element '{name}'"));
    }
    let mut attributes = HashMap::new();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let attribute = &rest[..end];
        if !attribute
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            return Err(format!("attribute '{attribute}' of <{name}>"));
        }
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(quoted) = rest.strip_prefix("=\"") {
            let end = quoted.find('"').ok_or("an attribute that never ends")?;
            value = unescape(&quoted[..end])?;
            rest = &quoted[end + 1..];
        }
        if attributes.insert(attribute.to_owned(), value).is_some() {
            return Err(format!("attribute '{attribute}' twice in <{name}>"));
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    Ok((name.to_owned(), attributes))
}

/// The text of escaped text, in which nothing else has a meaning.
fn unescape(text: &str) -> Result<String, String> {
    if text.contains('>') {
        return Err(format!("'>' in text: {text}"));
    }
    if let Some(ch) = text.chars().find(|ch| is_forbidden(*ch)) {
        return Err(format!("character {:04X} in text: {text}", ch as u32));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after
            .split_once(';')
            .ok_or_else(|| format!("'&' in text: {text}"))?;
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => return Err(format!("entity '{name}'")),
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Characters that no output has: controls, and what changes the direction of text.
pub(crate) fn is_forbidden(ch: char) -> bool {
    (ch.is_control() && ch != '\n' && ch != '\t')
        || matches!(ch, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{200b}' | '\u{feff}')
}
