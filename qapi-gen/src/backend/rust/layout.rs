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

/// One line of a template, broken where rustfmt breaks it. What kind of line it is, its text tells.
pub(super) fn print(out: &mut String, width: usize, text: &str) {
    // rustfmt breaks nothing that is as short as this.
    if width + text.len() <= ARGUMENTS_WIDTH {
        return line(out, width, &[text]);
    }
    match Form::of(text) {
        Form::Plain => line(out, width, &[text]),
        Form::Derive(traits) => derive(out, &traits),
        Form::Impl(interface, name) => impl_of(out, interface, name),
        Form::Function(head, parameters, result, end) => {
            signature(out, width, head, &parameters, result, end);
        }
        Form::Constant(name, value) => constant(out, width, name, value),
        Form::Arm(pattern, body) => arm(out, width, pattern, body),
        Form::Field(head, ty) => field(out, width, head, ty),
        Form::Tuple(head, content, tail) => tuple(out, width, head, content, tail),
        Form::Method(head, receiver, method, arguments, tail) => {
            method_call(out, width, head, receiver, method, &arguments, tail);
        }
        Form::Call(head, callee, arguments, tail) => {
            call(out, width, head, callee, &arguments, tail);
        }
    }
}

/// The forms of lines that may have to be broken.
enum Form<'t> {
    /// None of them.
    Plain,
    /// `#[derive(...)]`
    Derive(Vec<&'t str>),
    /// `impl Interface for Name {`
    Impl(&'t str, &'t str),
    /// Head, parameters, result and end of a signature.
    Function(&'t str, Vec<&'t str>, &'t str, &'t str),
    /// `const NAME: &'static str = value;`
    Constant(&'t str, &'t str),
    /// `pattern => body,`
    Arm(&'t str, &'t str),
    /// `pub name:` and its type.
    Field(&'t str, &'t str),
    /// `Name(`, a type, and what follows: a variant, or a struct.
    Tuple(&'t str, &'t str, &'t str),
    /// Head, receiver, method, arguments and tail.
    Method(&'t str, &'t str, &'t str, Vec<&'t str>, &'t str),
    /// Head, callee, arguments and tail.
    Call(&'t str, &'t str, Vec<&'t str>, &'t str),
}

impl<'t> Form<'t> {
    fn of(text: &'t str) -> Self {
        if text.starts_with("//") {
            return Self::Plain;
        }
        if text.starts_with('#') {
            let list = text.strip_prefix("#[derive(");
            let list = list.and_then(|list| list.strip_suffix(")]"));
            return list.map_or(Self::Plain, |list| Self::Derive(split(list)));
        }
        if let Some(rest) = text.strip_prefix("impl ") {
            let names = rest
                .strip_suffix(" {")
                .and_then(|it| it.split_once(" for "));
            return names.map_or(Self::Plain, |(interface, name)| Self::Impl(interface, name));
        }
        if text.starts_with("fn ") || text.starts_with("pub fn ") {
            return Self::function(text).unwrap_or(Self::Plain);
        }
        if let Some(rest) = text.strip_prefix("const ") {
            let parts = rest.strip_suffix(';');
            let parts = parts.and_then(|it| it.split_once(": &'static str = "));
            return parts.map_or(Self::Plain, |(name, value)| Self::Constant(name, value));
        }
        if let Some((pattern, body)) = text.split_once(" => ") {
            let body = body.strip_suffix(',');
            return body.map_or(Self::Plain, |body| Self::Arm(pattern, body));
        }
        if text.starts_with("pub ") && text.ends_with(',') {
            let field = text.split_once(": ").map(|(head, _)| head.len() + 1);
            let field = field.map(|end| (&text[..end], text[end + 1..].trim_end_matches(',')));
            return field.map_or(Self::Plain, |(head, ty)| Self::Field(head, ty));
        }
        Self::tuple(text)
            .or_else(|| Self::call(text))
            .unwrap_or(Self::Plain)
    }

    fn function(text: &'t str) -> Option<Self> {
        let (head, parameters, rest) = parenthesised(text)?;
        let end = [" {}", " {", ";"]
            .into_iter()
            .find(|end| rest.ends_with(end))?;
        let result = &rest[..rest.len() - end.len()];
        Some(Self::Function(head, split(parameters), result, end))
    }

    fn tuple(text: &'t str) -> Option<Self> {
        let is_struct = text.starts_with("pub struct ");
        let is_variant =
            text.starts_with(|ch: char| ch.is_ascii_uppercase()) && !text.contains(':');
        let tail = [");", "),"].into_iter().find(|tail| text.ends_with(tail))?;
        let (head, content) = text[..text.len() - tail.len()].split_once('(')?;
        let is_plain = is_struct || (is_variant && !head.contains(['.', ' ']));
        is_plain.then(|| Self::Tuple(&text[..head.len() + 1], content, tail))
    }

    fn call(text: &'t str) -> Option<Self> {
        let (before, arguments, tail) = parenthesised(text)?;
        let (head, callee) = match before.rfind(" = ").or_else(|| before.rfind(": ")) {
            Some(at) => before.split_at(
                at + if before[at..].starts_with(" = ") {
                    3
                } else {
                    2
                },
            ),
            None if before.starts_with("..") => before.split_at(2),
            None => ("", before),
        };
        // The rest of a structure has no comma after it; a macro by itself is an item.
        let is_statement = [";", ",", "?;", "?,", ".await?;"].contains(&tail);
        let is_known = (is_statement && !(head.is_empty() && callee.ends_with('!')))
            || (head == ".." && tail.is_empty());
        if !is_known || callee.contains(' ') {
            return None;
        }
        let arguments = split(arguments);
        Some(match callee.rsplit_once('.') {
            Some((receiver, method)) if !callee.contains("::") => {
                Self::Method(head, receiver, method, arguments, tail)
            }
            Some(_) | None => Self::Call(head, callee, arguments, tail),
        })
    }
}

/// What stands before, in and after the first parentheses of `text`.
fn parenthesised(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('(')?;
    let mut depth = 0_usize;
    let mut in_string = false;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'"' => in_string = !in_string,
            b'(' if !in_string => depth += 1,
            b')' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return Some((&text[..open], &text[open + 1..at], &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// The items of a list with commas between them.
fn split(list: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut depth, mut in_string) = (0, 0_usize, false);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'"' => in_string = !in_string,
            b'(' | b'<' | b'[' if !in_string => depth += 1,
            b')' | b'>' | b']' if !in_string => depth = depth.saturating_sub(1),
            b',' if !in_string && depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = list[start..].trim();
    if !last.is_empty() {
        items.push(last);
    }
    items
}

/// `{head}{content}{tail}`, where the head ends with a parenthesis and the tail starts with one.
fn tuple(out: &mut String, width: usize, head: &str, content: &str, tail: &str) {
    if width + head.len() + content.len() + tail.len() <= MAX_WIDTH {
        line(out, width, &[head, content, tail]);
    } else {
        line(out, width, &[head]);
        line(out, width + 4, &[content, ","]);
        line(out, width, &[tail]);
    }
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
fn derive(out: &mut String, traits: &[&str]) {
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
fn method_call(
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
fn call(out: &mut String, width: usize, head: &str, callee: &str, arguments: &[&str], tail: &str) {
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
    // Macros take no comma after the last argument.
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
fn impl_of(out: &mut String, interface: &str, name: &str) {
    if interface.len() + name.len() + "impl  for  {".len() <= MAX_WIDTH {
        line(out, 0, &["impl ", interface, " for ", name, " {"]);
    } else {
        line(out, 0, &["impl ", interface]);
        line(out, 4, &["for ", name]);
        line(out, 0, &["{"]);
    }
}

/// `const {name}: &'static str = {value};`.
fn constant(out: &mut String, width: usize, name: &str, value: &str) {
    let head = format!("const {name}: &'static str =");
    if width + head.len() + value.len() + 2 <= MAX_WIDTH {
        line(out, width, &[&head, " ", value, ";"]);
    } else {
        line(out, width, &[&head]);
        line(out, width + 4, &[value, ";"]);
    }
}

/// A declaration `{head} {type},` of a field, whose type goes to a line of its own when long.
fn field(out: &mut String, width: usize, head: &str, ty: &str) {
    if width + head.len() + ty.len() + 2 <= MAX_WIDTH {
        line(out, width, &[head, " ", ty, ","]);
    } else {
        line(out, width, &[head]);
        line(out, width + 4, &[ty, ","]);
    }
}

/// A match arm `{pattern} => {body},`.
fn arm(out: &mut String, width: usize, pattern: &str, body: &str) {
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

/// `{head}({parameters}){result}{end}`, the signature of a function.
fn signature(
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
    if one_line == MAX_WIDTH && end == ";" {
        // There must be room for a brace even where no brace follows.
        push_joined(out, parameters);
        line(out, 0, &[")"]);
        return line(out, width, &[result.trim_start(), end]);
    }
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
pub(super) fn use_list(out: &mut String, head: &str, path: &str, names: &[&str]) {
    if let [name] = names {
        line(out, 0, &[head, path, "::", name, ";"]);
        return;
    }
    if head.len() + path.len() + joined_width(names) + 5 <= MAX_WIDTH - 2 {
        line(out, 0, &[head, path, "::{", &names.join(", "), "};"]);
        return;
    }
    line(out, 0, &[head, path, "::{"]);
    let mut column = 0;
    for (n, name) in names.iter().enumerate() {
        // The blank after a comma counts, though it is not there at the end of a line.
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
const STRUCT_WIDTH: usize = 18;

/// A value of the struct `name` whose fields may have lines of attributes in front of them, indented by `width + 4`.
pub(super) fn literal(out: &mut String, width: usize, name: &str, fields: &[(String, String)]) {
    let bare: Vec<&str> = fields.iter().map(|(_, field)| field.as_str()).collect();
    let has_attributes = fields.iter().any(|(attributes, _)| !attributes.is_empty());
    if joined_width(&bare) <= STRUCT_WIDTH && !has_attributes {
        return line(out, width, &[name, " { ", &bare.join(", "), " }"]);
    }
    line(out, width, &[name, " {"]);
    for (attributes, field) in fields {
        out.push_str(attributes);
        line(out, width + 4, &[field, ","]);
    }
    line(out, width, &["}"]);
}

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
