//! rustfmt's layout of the few forms that generated code is made of.

/// rustfmt's `max_width`.
pub(super) const MAX_WIDTH: usize = 100;
/// rustfmt's `fn_call_width` and `array_width`.
const ARGUMENTS_WIDTH: usize = 60;

/// Blanks in front of a line.
pub(super) fn indent(out: &mut String, width: usize) {
    const BLANKS: &str = "                                ";
    let mut left = width;
    while left > 0 {
        let n = left.min(BLANKS.len());
        out.push_str(&BLANKS[..n]);
        left -= n;
    }
}

/// One line.
pub(super) fn line(out: &mut String, width: usize, parts: &[&str]) {
    indent(out, width);
    for part in parts {
        out.push_str(part);
    }
    out.push('\n');
}

/// The width of `items` on one line with separators of two characters.
fn joined_width(items: &[&str]) -> usize {
    items.iter().map(|item| item.len()).sum::<usize>() + items.len().saturating_sub(1) * 2
}

fn push_joined(out: &mut String, items: &[&str]) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        out.push_str(item);
    }
}

/// `{head}{receiver}.{method}({arguments}){tail}`, a method call on a name.
pub(super) fn method_call(
    out: &mut String,
    width: usize,
    head: &str,
    receiver: &str,
    method: &str,
    arguments: &[&str],
    tail: &str,
) {
    let arguments_width = joined_width(arguments);
    let call = method.len() + arguments_width + tail.len() + 3;
    indent(out, width);
    out.push_str(head);
    out.push_str(receiver);
    if arguments_width > ARGUMENTS_WIDTH {
        line(out, 0, &[".", method, "("]);
        for argument in arguments {
            line(out, width + 4, &[argument, ","]);
        }
        line(out, width, &[")", tail]);
        return;
    }
    // A `?` counts twice.
    let limit = if tail.starts_with('?') {
        MAX_WIDTH - 2
    } else {
        MAX_WIDTH
    };
    if width + head.len() + receiver.len() + call > limit {
        out.push('\n');
        indent(out, width + 4);
    }
    out.push('.');
    out.push_str(method);
    out.push('(');
    push_joined(out, arguments);
    line(out, 0, &[")", tail]);
}

/// A list in brackets: `{head} {open}{items}{close}{tail}`. Items may have lines of attributes in
/// front of them, which keeps the list from standing on one line.
pub(super) struct List<'a> {
    pub(super) head: &'a str,
    pub(super) open: &'a str,
    pub(super) close: &'a str,
    pub(super) tail: &'a str,
}

impl List<'_> {
    /// `items` with the attribute lines of each, indented by `width + 4`.
    pub(super) fn print(&self, out: &mut String, width: usize, items: &[(String, String)]) {
        let bare: Vec<&str> = items.iter().map(|(_, item)| item.as_str()).collect();
        let items_width = joined_width(&bare);
        let has_attributes = items.iter().any(|(attributes, _)| !attributes.is_empty());
        indent(out, width);
        out.push_str(self.head);
        if has_attributes || items_width > ARGUMENTS_WIDTH {
            line(out, 0, &[" ", self.open]);
            for (attributes, item) in items {
                out.push_str(attributes);
                line(out, width + 4, &[item, ","]);
            }
            line(out, width, &[self.close, self.tail]);
            return;
        }
        let rest = items_width + self.open.len() + self.close.len() + self.tail.len();
        if width + self.head.len() + 1 + rest > MAX_WIDTH {
            out.push('\n');
            indent(out, width + 4);
        } else {
            out.push(' ');
        }
        out.push_str(self.open);
        push_joined(out, &bare);
        line(out, 0, &[self.close, self.tail]);
    }
}

/// A declaration `{head} {type},` of a field, whose type goes to a line of its own when long.
pub(super) fn field(out: &mut String, width: usize, head: &str, ty: &str) {
    if width + head.len() + ty.len() + 2 <= MAX_WIDTH {
        line(out, width, &[head, " ", ty, ","]);
    } else {
        line(out, width, &[head]);
        line(out, width + 4, &[ty, ","]);
    }
}

/// A match arm `{pattern} => {body},`.
pub(super) fn arm(out: &mut String, width: usize, pattern: &str, body: &str) {
    if width + pattern.len() + body.len() + 5 <= MAX_WIDTH {
        line(out, width, &[pattern, " => ", body, ","]);
    } else {
        line(out, width, &[pattern, " => {"]);
        line(out, width + 4, &[body]);
        line(out, width, &["}"]);
    }
}

/// A match arm of several patterns that does nothing.
pub(super) fn empty_arm(out: &mut String, width: usize, patterns: &[String]) {
    let joined = patterns.join(" | ");
    if patterns.len() == 1 || width + joined.len() + " => {}".len() <= MAX_WIDTH {
        line(out, width, &[&joined, " => {}"]);
        return;
    }
    for (n, pattern) in patterns.iter().enumerate() {
        let bar = if n > 0 { "| " } else { "" };
        let end = if n + 1 < patterns.len() { "" } else { " => {}" };
        line(out, width, &[bar, pattern, end]);
    }
}

/// Whether the editions of rustfmt differ over a signature of this width without a body.
///
/// The result must leave room for a brace even where there is none; it goes to a line of its own
/// while the parameters stay.
pub(super) fn is_contested(width: usize) -> bool {
    width == MAX_WIDTH
}

/// `{head}({parameters}){result}{end}`, the signature of a function.
pub(super) fn signature(
    out: &mut String,
    width: usize,
    head: &str,
    parameters: &[&str],
    result: &str,
    end: &str,
) {
    let one_line = width + head.len() + joined_width(parameters) + result.len() + end.len() + 2;
    indent(out, width);
    out.push_str(head);
    out.push('(');
    if one_line <= MAX_WIDTH {
        push_joined(out, parameters);
    } else {
        out.push('\n');
        for parameter in parameters {
            line(out, width + 4, &[parameter, ","]);
        }
        indent(out, width);
    }
    line(out, 0, &[")", result, end]);
}

/// A `use` of `names` (sorted) under `path`.
pub(super) fn use_list(out: &mut String, head: &str, path: &str, names: &[String]) {
    if let [name] = names {
        line(out, 0, &[head, path, "::", name, ";"]);
        return;
    }
    let joined = names.join(", ");
    if head.len() + path.len() + joined.len() + 5 <= MAX_WIDTH - 2 {
        line(out, 0, &[head, path, "::{", &joined, "};"]);
        return;
    }
    line(out, 0, &[head, path, "::{"]);
    let mut column = 0;
    for (n, name) in names.iter().enumerate() {
        // The blank behind a comma counts, though it is not there at the end of a line.
        let blank = usize::from(n + 1 < names.len());
        if column > 0 && column + 2 + name.len() + blank > MAX_WIDTH {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            indent(out, 4);
            column = 4;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(name);
        out.push(',');
        column += name.len() + 1;
    }
    out.push_str("\n};\n");
}

/// rustfmt's `struct_lit_width`.
pub(super) const STRUCT_WIDTH: usize = 18;

/// A string literal. Names have no characters that need an escape, other text might.
pub(super) fn string(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => {
                literal.push('\\');
                literal.push(ch);
            }
            _ if ch.is_control() => literal.extend(ch.escape_default()),
            _ => literal.push(ch),
        }
    }
    literal.push('"');
    literal
}
