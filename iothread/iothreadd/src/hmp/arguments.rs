//! What commands of the human monitor take, and how a line gives it to them.

use super::expression;
use super::line::{is_blank, skip_space, split_word};

/// What a command takes at one place after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    /// A letter after a dash, if it is there.
    Flag(char),
    /// A word, or a text in quotes.
    Word,
    /// The same, if it is there.
    OptionalWord,
    /// The same, where a block device has to be named.
    Device,
    /// The same, if it is there.
    OptionalDevice,
    /// A number, or an expression of numbers.
    Integer,
    /// A number of bytes, with or without a unit; that of a number alone is MiB.
    Size,
    /// All the rest of the line, which is not empty.
    Rest,
    /// The same, or nothing.
    OptionalRest,
}

/// What a line gives to a command: a value for each parameter, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    values: Vec<Argument>,
    /// The QMP monitor that the line came through, if it did.
    monitor: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Argument {
    Flag(bool),
    Text(Option<String>),
    Integer(i64),
}

/// Why a line does not fit the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// A mistake in the command; its name goes before the text.
    OfCommand(String),
    /// A mistake in an expression.
    OfExpression(String),
}

impl Mistake {
    fn of_command(text: impl Into<String>) -> Self {
        Self::OfCommand(text.into())
    }
}

/// What is missing where a word is.
const NO_STRING: &str = "string expected";
const NO_DEVICE: &str = "block device name expected";

impl Arguments {
    /// Reads a line in the order of the parameters, as QEMU does: a flag that stands before another one that comes first
    /// is not found.
    pub(super) fn parse(parameters: &[Parameter], text: &str) -> Result<Self, Mistake> {
        let mut arguments = Vec::with_capacity(parameters.len());
        let mut rest = text;
        for (index, parameter) in parameters.iter().enumerate() {
            rest = skip_space(rest);
            let argument = match *parameter {
                Parameter::Flag(letter) => {
                    let later = &parameters[index + 1..];
                    let (is_there, after) = take_flag(letter, later, rest)?;
                    rest = after;
                    Argument::Flag(is_there)
                }
                Parameter::OptionalWord | Parameter::OptionalDevice if rest.is_empty() => {
                    Argument::Text(None)
                }
                Parameter::Word | Parameter::OptionalWord => take_word(&mut rest, NO_STRING)?,
                Parameter::Device | Parameter::OptionalDevice => take_word(&mut rest, NO_DEVICE)?,
                Parameter::Integer => {
                    let (number, after) =
                        expression::evaluate(rest).map_err(Mistake::OfExpression)?;
                    rest = after;
                    Argument::Integer(number)
                }
                Parameter::Size => {
                    let (size, after) = take_size(rest)
                        .ok_or_else(|| Mistake::OfExpression("invalid size".to_owned()))?;
                    rest = after;
                    Argument::Integer(size)
                }
                Parameter::Rest if rest.is_empty() => {
                    return Err(Mistake::of_command(NO_STRING));
                }
                Parameter::Rest | Parameter::OptionalRest => {
                    let all = std::mem::take(&mut rest);
                    Argument::Text(Some(all.to_owned()))
                }
            };
            arguments.push(argument);
        }
        if !is_blank(rest) {
            return Err(Mistake::of_command(
                "extraneous characters at the end of line",
            ));
        }
        Ok(Self {
            values: arguments,
            monitor: None,
        })
    }

    /// Adds the QMP monitor that the line came through.
    pub(super) fn through(self, monitor: Option<&str>) -> Self {
        let monitor = monitor.map(str::to_owned);
        Self { monitor, ..self }
    }

    pub(super) fn monitor(&self) -> Option<&str> {
        self.monitor.as_deref()
    }

    /// The text of the parameter at `index`; empty if it is left out.
    pub(super) fn text(&self, index: usize) -> &str {
        match self.values.get(index) {
            Some(Argument::Text(Some(text))) => text,
            Some(Argument::Text(None) | Argument::Flag(_) | Argument::Integer(_)) | None => "",
        }
    }

    /// The text of the parameter at `index`, if it is there.
    pub(super) fn optional(&self, index: usize) -> Option<&str> {
        match self.values.get(index) {
            Some(Argument::Text(text)) => text.as_deref(),
            Some(Argument::Flag(_) | Argument::Integer(_)) | None => None,
        }
    }

    /// Whether the flag at `index` is there.
    pub(super) fn flag(&self, index: usize) -> bool {
        matches!(self.values.get(index), Some(Argument::Flag(true)))
    }

    /// The number at `index`.
    pub(super) fn integer(&self, index: usize) -> i64 {
        match self.values.get(index) {
            Some(Argument::Integer(number)) => *number,
            Some(Argument::Text(_) | Argument::Flag(_)) | None => 0,
        }
    }
}

/// Takes a size off the front of a text. It may have a fraction.
fn take_size(text: &str) -> Option<(i64, &str)> {
    let is_part = |ch: char| ch.is_ascii_digit() || ch == '.';
    let (number, after) = match text.strip_prefix("0x") {
        Some(hex) => {
            let end = hex.find(|ch: char| !ch.is_ascii_hexdigit());
            let (digits, after) = hex.split_at(end.unwrap_or(hex.len()));
            // Exact below 2^53, beyond which no MiB are.
            (u64::from_str_radix(digits, 16).ok()? as f64, after)
        }
        None => {
            let end = text.find(|ch: char| !is_part(ch)).unwrap_or(text.len());
            let (number, after) = text.split_at(end);
            (number.parse::<f64>().ok()?, after)
        }
    };
    let unit = after.chars().next().map(|unit| unit.to_ascii_uppercase());
    let shift = match unit {
        Some('B') => Some(0),
        Some('K') => Some(10),
        Some('M') => Some(20),
        Some('G') => Some(30),
        Some('T') => Some(40),
        Some('P') => Some(50),
        Some('E') => Some(60),
        Some(_) | None => None,
    };
    let after = if shift.is_some() { &after[1..] } else { after };
    let size = number * (1_u64 << shift.unwrap_or(20)) as f64;
    (size < (1_u64 << 63) as f64).then_some((size as i64, after))
}

fn take_word(rest: &mut &str, missing: &str) -> Result<Argument, Mistake> {
    let (word, after) = split_word(rest).ok_or_else(|| Mistake::of_command(missing))?;
    *rest = after;
    Ok(Argument::Text(Some(word)))
}

/// Takes a flag off the front of a text. One that is a later parameter is left where it is.
fn take_flag<'t>(
    letter: char,
    later: &[Parameter],
    text: &'t str,
) -> Result<(bool, &'t str), Mistake> {
    let Some(after) = text.strip_prefix('-') else {
        return Ok((false, text));
    };
    let found = after.chars().next();
    match found {
        Some(found) if found == letter => Ok((true, &after[letter.len_utf8()..])),
        Some(found) if later.contains(&Parameter::Flag(found)) => Ok((false, text)),
        found => {
            let found = found.map(String::from).unwrap_or_default();
            Err(Mistake::of_command(format!("unsupported option -{found}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(parameters: &[Parameter], text: &str) -> String {
        match Arguments::parse(parameters, text) {
            Err(Mistake::OfCommand(text) | Mistake::OfExpression(text)) => text,
            Ok(arguments) => panic!("{arguments:?}"),
        }
    }

    #[test]
    fn words_are_taken_one_by_one() {
        let two = [Parameter::Word, Parameter::OptionalWord];
        let arguments = Arguments::parse(&two, r#" a "b c" "#).unwrap();
        assert_eq!(
            (arguments.text(0), arguments.optional(1)),
            ("a", Some("b c"))
        );
        let arguments = Arguments::parse(&two, " a ").unwrap();
        assert_eq!((arguments.text(0), arguments.optional(1)), ("a", None));
        assert_eq!(mistake(&two, ""), "string expected");
        assert_eq!(mistake(&two, "a \"b"), "string expected");
        let too_many = "extraneous characters at the end of line";
        assert_eq!(mistake(&two, "a b c"), too_many);
        assert_eq!(mistake(&[], " x"), too_many);
        assert_eq!(
            mistake(&[Parameter::Device], " "),
            "block device name expected"
        );
        assert_eq!(Arguments::parse(&[], "  "), Ok(Arguments::default()));
    }

    #[test]
    fn flags_come_in_their_order() {
        let block = [
            Parameter::Flag('n'),
            Parameter::Flag('v'),
            Parameter::OptionalDevice,
        ];
        for (text, nodes, verbose, device) in [
            ("", false, false, None),
            ("-n", true, false, None),
            ("-n -v x", true, true, Some("x")),
            ("-v x", false, true, Some("x")),
            ("-v -n", false, true, Some("-n")),
            ("-nx", true, false, Some("x")),
        ] {
            let arguments = Arguments::parse(&block, text).unwrap();
            assert_eq!(
                (arguments.flag(0), arguments.flag(1)),
                (nodes, verbose),
                "{text}"
            );
            assert_eq!(arguments.optional(2), device, "{text}");
        }
        assert_eq!(mistake(&block, "-x"), "unsupported option -x");
        assert_eq!(mistake(&block, "-"), "unsupported option -");
    }

    #[test]
    fn the_rest_is_taken_as_it_stands() {
        let arguments = Arguments::parse(&[Parameter::Rest], " a \"b ").unwrap();
        assert_eq!(arguments.text(0), "a \"b ");
        assert_eq!(mistake(&[Parameter::Rest], " "), "string expected");
        let arguments = Arguments::parse(&[Parameter::OptionalRest], " ").unwrap();
        assert_eq!(arguments.text(0), "");
    }

    #[test]
    fn sizes_have_units() {
        let parameters = [Parameter::Device, Parameter::Size];
        for (text, size) in [
            ("a 3", 3 << 20),
            ("a 4096B", 4096),
            ("a 1.5M", 3 << 19),
            ("a 2g", 2 << 30),
            ("a 0x10", 16 << 20),
        ] {
            let arguments = Arguments::parse(&parameters, text).unwrap();
            assert_eq!(arguments.integer(1), size, "{text}");
        }
        for text in ["a", "a -1", "a x", "a 8E", "a 9999999999999999999999"] {
            assert_eq!(mistake(&parameters, text), "invalid size", "{text}");
        }
        let too_many = "extraneous characters at the end of line";
        assert_eq!(mistake(&parameters, "a 1x"), too_many);
        assert_eq!(mistake(&parameters, ""), "block device name expected");
    }

    #[test]
    fn numbers_are_expressions() {
        let parameters = [Parameter::Word, Parameter::Integer];
        let arguments = Arguments::parse(&parameters, "r 1+2*3").unwrap();
        assert_eq!(arguments.integer(1), 7);
        assert_eq!(mistake(&parameters, "r"), "unexpected end of expression");
        assert_eq!(
            mistake(&parameters, "r x"),
            "invalid char 'x' in expression"
        );
    }
}
