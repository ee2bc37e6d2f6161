//! Markup inside of running text.

use std::borrow::Cow;

use super::{Inline, Mistake, MistakeKind, Reference, ReferenceKind};

/// Explicit targets of a text: `.. _name: address`.
pub(super) type Targets<'t> = Vec<(&'t str, &'t str)>;

/// Parses the running text `text[start..end]`.
pub(super) fn parse_inline<'t>(
    text: &'t str,
    start: usize,
    end: usize,
    targets: &Targets<'t>,
    mistakes: &mut Vec<Mistake>,
    out: &mut Vec<Inline<'t>>,
) {
    let mut parser = InlineParser {
        text: &text[..end],
        begin: start,
        plain: start,
        unclosed: Vec::new(),
        targets,
        mistakes,
        out,
    };
    parser.parse(start);
}

struct InlineParser<'p, 't> {
    /// The document's text up to the end of what is parsed.
    text: &'t str,
    /// Where what is parsed begins.
    begin: usize,
    /// Where the plain text begins that is not yet in `out`.
    plain: usize,
    /// Marks that are known to have no end any more. A search for one has seen the whole rest,
    /// and is not repeated: the time is linear.
    unclosed: Vec<&'static str>,
    targets: &'p Targets<'t>,
    mistakes: &'p mut Vec<Mistake>,
    out: &'p mut Vec<Inline<'t>>,
}

/// Whether markup may start at a byte.
fn is_marked(byte: u8) -> bool {
    matches!(byte, b'\\' | b'*' | b'`' | b'@' | b':' | b'_')
}

/// Roles that name a definition of the schema.
const SCHEMA_ROLES: [&str; 9] = [
    "qapi:any",
    "qapi:obj",
    "qapi:cmd",
    "qapi:command",
    "qapi:event",
    "qapi:struct",
    "qapi:union",
    "qapi:enum",
    "qapi:alt",
];

/// Roles that name something in the manual around, in files or on command lines.
const OUTSIDE_ROLES: [&str; 4] = ["doc", "ref", "option", "any"];

/// Roles whose text is literal.
const LITERAL_ROLES: [&str; 12] = [
    "code", "literal", "command", "file", "samp", "kbd", "envvar", "program", "c:func", "c:type",
    "math", "guilabel",
];

/// Roles whose text is emphasised.
const EMPHASIS_ROLES: [&str; 6] = [
    "emphasis",
    "title",
    "title-reference",
    "dfn",
    "term",
    "abbr",
];

impl<'t> InlineParser<'_, 't> {
    fn parse(&mut self, start: usize) {
        let mut at = start;
        while let Some(found) = self.text.as_bytes()[at..]
            .iter()
            .position(|byte| is_marked(*byte))
        {
            at += found;
            at = self.markup_at(at);
        }
        self.flush(self.text.len());
    }

    /// Puts the plain text up to `end` out.
    fn flush(&mut self, end: usize) {
        if self.plain < end {
            self.out.push(Inline::Text(&self.text[self.plain..end]));
        }
    }

    /// Puts `inline` out, which spans `start..end`; returns its end.
    fn push(&mut self, start: usize, end: usize, inline: Inline<'t>) -> usize {
        self.flush(start);
        self.plain = end;
        self.out.push(inline);
        end
    }

    /// Looks at the byte at `at`, which may start markup, and returns where to look next.
    fn markup_at(&mut self, at: usize) -> usize {
        let rest = &self.text[at..];
        let taken = match rest.as_bytes()[0] {
            b'\\' => return self.escape(at),
            b'`' if rest.starts_with("``") => self.literal(at),
            b'`' => self.interpreted(at, at, ""),
            b'*' if rest.starts_with("**") => self.emphasis(at, "**"),
            b'*' => self.emphasis(at, "*"),
            b'@' => self.member(at),
            b':' if rest.starts_with("://") => self.address(at),
            b':' => self.role(at),
            _ => self.named_link(at),
        };
        taken.unwrap_or_else(|| {
            // A run of the same mark that is not markup is looked at once.
            let mark = rest.as_bytes()[0];
            let run = rest.bytes().take_while(|byte| *byte == mark).count();
            at + if matches!(mark, b'*' | b'`') { run } else { 1 }
        })
    }

    /// A backslash takes the meaning of the character after it, and is not shown.
    fn escape(&mut self, at: usize) -> usize {
        self.flush(at);
        let escaped = self.text[at + 1..].chars().next();
        match escaped {
            Some(ch) if ch.is_whitespace() => self.plain = at + 1 + ch.len_utf8(),
            Some(_) | None => self.plain = at + 1,
        }
        at + 1 + escaped.map_or(0, char::len_utf8)
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text[self.begin..at].chars().next_back()
    }

    /// Whether markup whose mark stands at `at` and is `len` long may start there.
    fn may_start(&self, at: usize, len: usize) -> bool {
        let Some(after) = self.text[at + len..].chars().next() else {
            return false;
        };
        if after.is_whitespace() {
            return false;
        }
        let Some(before) = self.before(at) else {
            return true;
        };
        let closer = match before {
            '"' | '\'' => Some(before),
            '(' => Some(')'),
            '[' => Some(']'),
            '{' => Some('}'),
            '<' => Some('>'),
            _ => None,
        };
        if closer == Some(after) {
            return false;
        }
        before.is_whitespace() || closer.is_some() || "-/:\u{201c}\u{2018}\u{ab}".contains(before)
    }

    /// Whether markup may end before `end`.
    fn may_end(&self, end: usize) -> bool {
        let after = self.text[end..].chars().next();
        after.is_none_or(|ch| {
            ch.is_whitespace() || "'\")]}>-/\\:.,;!?\u{201d}\u{2019}\u{bb}\u{2014}".contains(ch)
        })
    }

    /// Where the text ends whose `mark` stands at `at`.
    fn find_end(&mut self, at: usize, mark: &'static str) -> Option<usize> {
        let text = self.text;
        let from = at + mark.len();
        self.search(at, mark, |parser, found| {
            // The last ones of a run are the mark.
            let run = text[found..]
                .bytes()
                .take_while(|byte| *byte == mark.as_bytes()[0]);
            let end = found + run.count() - mark.len();
            let before = text[from..end].chars().next_back();
            let is_escaped = mark != "``" && before == Some('\\');
            let is_closed = before.is_some_and(|ch| !ch.is_whitespace())
                && !is_escaped
                && parser.may_end(end + mark.len());
            (end, is_closed)
        })
    }

    /// The first `mark` after the one at `at` of which `is_end` says that it ends the markup.
    fn search(
        &mut self,
        at: usize,
        mark: &'static str,
        is_end: impl Fn(&Self, usize) -> (usize, bool),
    ) -> Option<usize> {
        if self.unclosed.contains(&mark) {
            return None;
        }
        let mut from = at + mark.len();
        while let Some(found) = self.text[from..].find(mark) {
            let (end, is_end) = is_end(self, from + found);
            if is_end {
                return Some(end);
            }
            from = end + mark.len();
        }
        self.unclosed.push(mark);
        self.mistakes.push(Mistake {
            kind: MistakeKind::Unclosed(mark),
            at: at..at + mark.len(),
        });
        None
    }

    fn literal(&mut self, at: usize) -> Option<usize> {
        if !self.may_start(at, 2) {
            return None;
        }
        let end = self.find_end(at, "``")?;
        let literal = &self.text[at + 2..end];
        Some(self.push(at, end + 2, Inline::Literal(literal)))
    }

    fn emphasis(&mut self, at: usize, mark: &'static str) -> Option<usize> {
        if !self.may_start(at, mark.len()) {
            return None;
        }
        let from = at + mark.len();
        let end = self.find_end(at, mark)?;
        let text = unescape(&self.text[from..end]);
        let inline = if mark == "*" {
            Inline::Emphasis(text)
        } else {
            Inline::Strong(text)
        };
        Some(self.push(at, end + mark.len(), inline))
    }

    /// `` `text` ``, whose mark stands at `at` after a role that starts at `start`.
    fn interpreted(&mut self, start: usize, at: usize, role: &'t str) -> Option<usize> {
        if start == at && !self.may_start(at, 1) {
            return None;
        }
        let end = self.find_backquote(at)?;
        let content = &self.text[at + 1..end];
        let after = &self.text[end + 1..];
        // A hyperlink: `text <address>`_ or `name`_.
        let underscores = after.len() - after.trim_start_matches('_').len();
        if role.is_empty() && underscores > 0 {
            let end = end + 1 + underscores.min(2);
            return Some(self.hyperlink(start, end, content));
        }
        // The role may follow.
        let suffix = after.strip_prefix(':').map_or("", role_at);
        let (role, end) = if role.is_empty()
            && !suffix.is_empty()
            && after[1 + suffix.len()..].starts_with(':')
        {
            (suffix, end + suffix.len() + 3)
        } else {
            (role, end + 1)
        };
        let inline = self.role_text(start, end, role, content);
        Some(self.push(start, end, inline))
    }

    /// As [`Self::find_end`] for a backquote, which `_` or a role may follow.
    fn find_backquote(&mut self, at: usize) -> Option<usize> {
        let text = self.text;
        self.search(at, "`", |parser, end| {
            let before = text[at + 1..end].chars().next_back();
            let is_link = text[end + 1..].starts_with(['_', ':']);
            let is_closed = before.is_some_and(|ch| !ch.is_whitespace() && ch != '\\')
                && (is_link || parser.may_end(end + 1));
            (end, is_closed)
        })
    }

    fn hyperlink(&mut self, start: usize, end: usize, content: &'t str) -> usize {
        let inline = match with_target(content) {
            Some((label, address)) if is_address(address) => {
                Inline::Link(unescape(label), without_blanks(address))
            }
            Some((label, name)) => self.named(label, name.trim_end_matches('_'), start..end),
            None => self.named(content, content, start..end),
        };
        self.push(start, end, inline)
    }

    /// A link to an explicit target or to a heading.
    fn named(&self, label: &'t str, name: &'t str, at: std::ops::Range<usize>) -> Inline<'t> {
        let is_it = |(target, _): &&(&str, &str)| target.eq_ignore_ascii_case(name.trim());
        match self.targets.iter().find(is_it) {
            Some((_, address)) if is_address(address) => {
                Inline::Link(unescape(label), without_blanks(address))
            }
            Some(_) | None => Inline::Reference(Reference {
                kind: ReferenceKind::Outside,
                name,
                label: Some(unescape(label)),
                at,
            }),
        }
    }

    /// `name_`, if there is a target of that name.
    fn named_link(&mut self, at: usize) -> Option<usize> {
        if self.targets.is_empty() || !self.may_end(at + 1) {
            return None;
        }
        let is_name = |ch: char| ch.is_alphanumeric() || matches!(ch, '-' | '_' | '.');
        let before = self.text[self.plain..at].char_indices().rev();
        // No target has a longer name.
        let start = before
            .take(60)
            .take_while(|(_, ch)| is_name(*ch))
            .last()
            .map_or(at, |(start, _)| self.plain + start);
        let name = &self.text[start..at];
        let (_, address) = self
            .targets
            .iter()
            .find(|(target, _)| !name.is_empty() && target.eq_ignore_ascii_case(name))?;
        let inline = if is_address(address) {
            Inline::Link(Cow::Borrowed(name), without_blanks(address))
        } else {
            self.named(name, name, start..at + 1)
        };
        Some(self.push(start, at + 1, inline))
    }

    /// `:role:` in front of a backquote.
    fn role(&mut self, at: usize) -> Option<usize> {
        let rest = &self.text[at + 1..];
        let role = role_at(rest);
        let is_role = !role.is_empty() && rest[role.len()..].starts_with(":`");
        if !is_role || self.before(at).is_some_and(char::is_alphanumeric) {
            return None;
        }
        self.interpreted(at, at + role.len() + 2, role)
    }

    fn role_text(
        &mut self,
        start: usize,
        end: usize,
        role: &'t str,
        content: &'t str,
    ) -> Inline<'t> {
        let reference = |kind| {
            let (label, name) = match with_target(content) {
                Some((label, name)) => (Some(unescape(label)), name),
                None => (None, content.trim_start_matches(['~', '!'])),
            };
            let at = start..end;
            Inline::Reference(Reference {
                kind,
                name,
                label,
                at,
            })
        };
        if role.is_empty() || SCHEMA_ROLES.contains(&role) {
            return reference(ReferenceKind::Definition);
        }
        if OUTSIDE_ROLES.contains(&role) {
            return reference(ReferenceKind::Outside);
        }
        if LITERAL_ROLES.contains(&role) {
            return Inline::Literal(content);
        }
        match role {
            "strong" => return Inline::Strong(unescape(content)),
            "sub" | "subscript" | "sup" | "superscript" => return Inline::Text(content),
            _ => {}
        }
        if !EMPHASIS_ROLES.contains(&role) {
            self.mistakes.push(Mistake {
                kind: MistakeKind::UnknownRole(role.to_owned()),
                at: start..end,
            });
        }
        Inline::Emphasis(unescape(content))
    }

    /// `@name`; a full stop that ends the sentence is not part of the name.
    fn member(&mut self, at: usize) -> Option<usize> {
        let is_inside = |ch: char| ch.is_alphanumeric() || matches!(ch, '@' | '.' | '_' | '-');
        if self.before(at).is_some_and(is_inside) {
            return None;
        }
        let rest = &self.text[at + 1..];
        let is_name = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.');
        let end = rest.find(|ch| !is_name(ch)).unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches(['.', '-']);
        if name.is_empty() {
            return None;
        }
        let end = at + 1 + name.len();
        let inline = Inline::Reference(Reference {
            kind: ReferenceKind::Member,
            name,
            label: None,
            at: at..end,
        });
        Some(self.push(at, end, inline))
    }

    /// The address of a page, of which `://` stands at `at`.
    fn address(&mut self, at: usize) -> Option<usize> {
        let before = &self.text[self.plain..at];
        let scheme = ["https", "http", "ftp"]
            .into_iter()
            .find(|scheme| before.ends_with(scheme))?;
        let start = at - scheme.len();
        if self.before(start).is_some_and(char::is_alphanumeric) {
            return None;
        }
        let rest = &self.text[at + 3..];
        let end = rest
            .find(|ch: char| ch.is_whitespace() || ch.is_control() || "<>\"`\\{}|^".contains(ch))
            .unwrap_or(rest.len());
        let mut rest = rest[..end].trim_end_matches(['.', ',', ';', ':', '\'', '!', '?']);
        if rest.ends_with(')') && !rest.contains('(') {
            rest = rest.trim_end_matches([')', '.', ',']);
        }
        if rest.is_empty() {
            return None;
        }
        let end = at + 3 + rest.len();
        let address = &self.text[start..end];
        let inline = Inline::Link(Cow::Borrowed(address), Cow::Borrowed(address));
        Some(self.push(start, end, inline))
    }
}

/// The name of a role at the start of `text`, which may have a colon in it.
fn role_at(text: &str) -> &str {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(u8::is_ascii_alphabetic) {
        return "";
    }
    let is_inside = |at: usize| match bytes[at] {
        b':' => bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic),
        byte => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    };
    // No role is longer.
    let limit = bytes.len().min(40);
    let end = (0..limit).find(|at| !is_inside(*at)).unwrap_or(limit);
    &text[..end]
}

/// `label <target>` in its two parts.
fn with_target(content: &str) -> Option<(&str, &str)> {
    let (label, target) = content.strip_suffix('>')?.rsplit_once('<')?;
    let label = label.trim_end();
    let target = target.trim();
    (!target.is_empty()).then_some(if label.is_empty() {
        (target, target)
    } else {
        (label, target)
    })
}

/// Whether `target` is the address of a page that may be linked: nothing that a browser would run.
fn is_address(target: &str) -> bool {
    ["https://", "http://", "ftp://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme))
}

fn without_blanks(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_whitespace) {
        Cow::Owned(text.split_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Without the backslashes that escape.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        if ch != '\\' {
            out.push(ch);
        } else if let Some(escaped) = chars.next().filter(|ch| !ch.is_whitespace()) {
            out.push(escaped);
        }
    }
    Cow::Owned(out)
}
