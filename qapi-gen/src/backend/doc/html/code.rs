//! Code with its syntax shown.

use super::address::address_of;
use super::escape::push_text;
use crate::backend::doc::manual::Manual;
use crate::ir::Entity;
use crate::markup::Code;
use crate::markup::qmp::{Token, TokenKind, tokens};
use crate::references::Target;

/// Appends a block of code.
pub(super) fn push_code(out: &mut String, manual: &Manual<'_>, file: &str, code: &Code<'_>) {
    let is_qmp = code.is_qmp();
    let is_json = code
        .language
        .is_some_and(|language| language.eq_ignore_ascii_case("json"));
    let class = if is_qmp { "code qmp" } else { "code" };
    out.push_str("<div class=\"");
    out.push_str(class);
    out.push_str("\"><pre tabindex=\"0\"><code>");
    if is_qmp || is_json {
        push_qmp(out, manual, file, code);
    } else {
        for (n, line) in code.lines.iter().enumerate() {
            if n > 0 {
                out.push('\n');
            }
            push_text(out, line.text);
        }
    }
    out.push_str("</code></pre></div>\n");
}

/// Messages, each in an element of its own, so that what a client sends can be copied.
fn push_qmp(out: &mut String, manual: &Manual<'_>, file: &str, code: &Code<'_>) {
    let all = tokens(code);
    let mut tokens = all.iter().enumerate().peekable();
    let mut is_open = false;
    for (n, line) in code.lines.iter().enumerate() {
        let starts = tokens.peek().is_some_and(|(_, token)| {
            token.line == n && matches!(token.kind, TokenKind::FromClient | TokenKind::FromServer)
        });
        if starts && is_open {
            out.push_str("</span>");
            is_open = false;
        }
        if n > 0 {
            out.push('\n');
        }
        if starts {
            let is_client =
                matches!(tokens.peek(), Some((_, token)) if token.kind == TokenKind::FromClient);
            let class = if is_client { "client" } else { "server" };
            out.push_str(&format!("<span class=\"{class}\">"));
            is_open = true;
        }
        let mut at = 0;
        while let Some((index, token)) = tokens.next_if(|(_, token)| token.line == n) {
            push_text(out, &line.text[at..token.range.start]);
            push_token(out, manual, file, code, &all, index);
            at = token.range.end;
        }
        push_text(out, &line.text[at..]);
    }
    if is_open {
        out.push_str("</span>");
    }
}

fn push_token(
    out: &mut String,
    manual: &Manual<'_>,
    file: &str,
    code: &Code<'_>,
    tokens: &[Token],
    index: usize,
) {
    let text_of = |token: &Token| &code.lines[token.line].text[token.range.clone()];
    let token = &tokens[index];
    let text = text_of(token);
    let is_colon = |token: &&Token| token.kind == TokenKind::Punctuation(b':');
    let class = match token.kind {
        TokenKind::FromClient | TokenKind::FromServer => "arrow",
        TokenKind::String if tokens.get(index + 1).filter(is_colon).is_some() => "key",
        TokenKind::String | TokenKind::OpenString => "string",
        TokenKind::Number => "number",
        TokenKind::Word => "word",
        TokenKind::Elision => "elision",
        TokenKind::Punctuation(_) | TokenKind::Stray => return push_text(out, text),
    };
    let key = index
        .checked_sub(2)
        .filter(|_| class == "string" && is_colon(&&tokens[index - 1]))
        .map(|index| text_of(&tokens[index]));
    let address = key.and_then(|key| named(manual, file, key, text));
    out.push_str("<span class=\"");
    out.push_str(class);
    out.push_str("\">");
    match address {
        Some(address) => {
            let name = &text[1..text.len() - 1];
            out.push_str("&quot;<a href=\"");
            out.push_str(&address);
            out.push_str("\">");
            push_text(out, name);
            out.push_str("</a>&quot;");
        }
        None => push_text(out, text),
    }
    out.push_str("</span>");
}

/// The address of the command or event that `value`, a string with its quotes, names.
fn named(manual: &Manual<'_>, file: &str, key: &str, value: &str) -> Option<String> {
    let name = value.strip_prefix('"')?.strip_suffix('"')?;
    let entity = manual.schema.entity(name)?;
    let is_it = match key {
        "\"execute\"" | "\"exec-oob\"" => matches!(entity, Entity::Command(_)),
        "\"event\"" => matches!(entity, Entity::Event(_)),
        _ => false,
    };
    if is_it {
        address_of(manual, file, Target::Entity(name))
    } else {
        None
    }
}
