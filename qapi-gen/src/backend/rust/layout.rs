//! rustfmt's layout of the few forms that generated code is made of.

/// rustfmt's `max_width`.
pub(super) const MAX_WIDTH: usize = 100;
/// rustfmt's `fn_call_width` and `array_width`.
const ARGUMENTS_WIDTH: usize = 60;
/// rustfmt's `chain_width`.
const CHAIN_WIDTH: usize = 60;
/// The widest list of derives that rustfmt leaves on the line of its attribute, as observed.
const DERIVE_WIDTH: usize = 85;
/// The widest one that it puts on a line of its own.
const DERIVE_NESTED_WIDTH: usize = 96;
/// rustfmt's `short_array_element_width_threshold`: arguments of a broken call that are all no longer share a line.
const SHORT_ARGUMENT: usize = 10;

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

/// `#[derive(...)]`.
pub(super) fn derive(out: &mut String, traits: &[&str]) {
    match joined_width(traits) {
        width if width <= DERIVE_WIDTH => {
            out.push_str("#[derive(");
            push_joined(out, traits);
            out.push_str(")]\n");
        }
        width if width <= DERIVE_NESTED_WIDTH => {
            out.push_str("#[derive(\n    ");
            push_joined(out, traits);
            out.push_str(",\n)]\n");
        }
        _ => {
            out.push_str("#[derive(\n");
            for name in traits {
                line(out, 4, &[name, ","]);
            }
            out.push_str(")]\n");
        }
    }
}

/// `{head}{receiver}.{method}({arguments}){tail}`, a method call on a name or on a field of `self`. A tail may start with `.await`;
/// a head is empty or ends in ` = `.
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
    let is_awaited = tail.starts_with(".await");
    indent(out, width);
    if arguments_width > ARGUMENTS_WIDTH {
        line(out, 0, &[head, receiver, ".", method, "("]);
        for argument in arguments {
            line(out, width + 4, &[argument, ","]);
        }
        line(out, width, &[")", tail]);
        return;
    }
    let arguments = arguments.join(", ");
    // A `?` counts twice.
    let question = usize::from(tail.contains('?'));
    let chain_width = receiver.len() + method.len() + arguments_width + tail.len() + question + 3;
    // One call may be as long as the line, more than one may not.
    let is_chain = is_awaited || receiver.contains('.');
    let is_short = !is_chain || chain_width - ";".len() <= CHAIN_WIDTH;
    if is_short && width + head.len() + chain_width <= MAX_WIDTH {
        line(
            out,
            0,
            &[head, receiver, ".", method, "(", &arguments, ")", tail],
        );
        return;
    }
    if let Some(binding) = head.strip_suffix(" = ")
        && is_short
        && width + 4 + chain_width <= MAX_WIDTH
    {
        line(out, 0, &[binding, " ="]);
        line(
            out,
            width + 4,
            &[receiver, ".", method, "(", &arguments, ")", tail],
        );
        return;
    }
    line(out, 0, &[head, receiver]);
    let tail_head = if is_awaited { "" } else { tail };
    line(
        out,
        width + 4,
        &[".", method, "(", &arguments, ")", tail_head],
    );
    if is_awaited {
        line(out, width + 4, &[tail]);
    }
}

/// `{head}{callee}({arguments}){tail}` as the value of a field or, with a head that ends in ` = `, of a binding. The callee is a
/// function, or a macro with its `!`.
pub(super) fn call(
    out: &mut String,
    width: usize,
    head: &str,
    callee: &str,
    arguments: &[&str],
    tail: &str,
) {
    let arguments_width = joined_width(arguments);
    let call = callee.len() + arguments_width + tail.len() + 2;
    let is_short = arguments_width <= ARGUMENTS_WIDTH;
    indent(out, width);
    if is_short && width + head.len() + call <= MAX_WIDTH {
        line(
            out,
            0,
            &[head, callee, "(", &arguments.join(", "), ")", tail],
        );
        return;
    }
    if let Some(binding) = head.strip_suffix(" = ")
        && is_short
        && width + 4 + call <= MAX_WIDTH
    {
        line(out, 0, &[binding, " ="]);
        line(
            out,
            width + 4,
            &[callee, "(", &arguments.join(", "), ")", tail],
        );
        return;
    }
    let mut width = width;
    if width + head.len() + callee.len() + 1 >= MAX_WIDTH {
        line(out, 0, &[head.trim_end()]);
        width += 4;
        indent(out, width);
        line(out, 0, &[callee, "("]);
    } else {
        line(out, 0, &[head, callee, "("]);
    }
    // Macros take no comma behind the last argument.
    let last_comma = if callee.ends_with('!') { "" } else { "," };
    let separator = if arguments.iter().all(|it| it.len() <= SHORT_ARGUMENT) {
        ", ".to_owned()
    } else {
        let mut separator = ",\n".to_owned();
        indent(&mut separator, width + 4);
        separator
    };
    line(out, width + 4, &[&arguments.join(&separator), last_comma]);
    line(out, width, &[")", tail]);
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

/// `&self.{field}.tag()` as an argument on a line of its own, indented by `width`, or beside others.
pub(super) fn tag_of_field(width: usize, field: &str) -> String {
    let value = format!("&self.{field}.tag()");
    if value.len() - "&".len() <= CHAIN_WIDTH {
        return value;
    }
    let mut value = "&self".to_owned();
    for call in [format!(".{field}"), ".tag()".to_owned()] {
        value.push('\n');
        indent(&mut value, width + 4);
        value.push_str(&call);
    }
    value
}

/// `impl {interface} for {name} {`.
pub(super) fn impl_of(out: &mut String, interface: &str, name: &str) {
    if interface.len() + name.len() + "impl  for  {".len() <= MAX_WIDTH {
        line(out, 0, &["impl ", interface, " for ", name, " {"]);
    } else {
        line(out, 0, &["impl ", interface]);
        line(out, 4, &["for ", name]);
        line(out, 0, &["{"]);
    }
}

/// `const {name}: &'static str = {value};`.
pub(super) fn constant(out: &mut String, width: usize, name: &str, value: &str) {
    let head = format!("const {name}: &'static str =");
    if width + head.len() + value.len() + 2 <= MAX_WIDTH {
        line(out, width, &[&head, " ", value, ";"]);
    } else {
        line(out, width, &[&head]);
        line(out, width + 4, &[value, ";"]);
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
