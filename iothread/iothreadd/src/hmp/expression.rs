//! Numbers in the human monitor: decimal, 0x..., 0..., a character in single quotes, and what operators make of them.
//!
//! Sums bind least, then `& | ^`, then products, as in QEMU's monitor.

use super::line::skip_space;

/// How deep parentheses and signs may stand in each other.
const MAX_DEPTH: usize = 100;

/// The value of the expression at the start of a text, and what follows it.
///
/// # Errors
///
/// In QEMU's words: what is not an expression.
pub(super) fn evaluate(text: &str) -> Result<(i64, &str), String> {
    let mut reader = Reader {
        rest: text,
        depth: 0,
    };
    let value = reader.sum()?;
    Ok((value, reader.rest))
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    /// Takes one of these characters off the front, and the blanks after it.
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let first = self.rest.chars().next()?;
        wanted.contains(&first).then(|| {
            self.rest = skip_space(&self.rest[first.len_utf8()..]);
            first
        })
    }

    fn sum(&mut self) -> Result<i64, String> {
        let mut value = self.bits()?;
        while let Some(operator) = self.take(&['+', '-']) {
            let operand = self.bits()?;
            value = match operator {
                '+' => value.wrapping_add(operand),
                _ => value.wrapping_sub(operand),
            };
        }
        Ok(value)
    }

    fn bits(&mut self) -> Result<i64, String> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(&['&', '|', '^']) {
            let operand = self.product()?;
            value = match operator {
                '&' => value & operand,
                '|' => value | operand,
                _ => value ^ operand,
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<i64, String> {
        let mut value = self.unary()?;
        while let Some(operator) = self.take(&['*', '/', '%']) {
            let operand = self.unary()?;
            value = match operator {
                '*' => value.wrapping_mul(operand),
                _ if operand == 0 => return Err("division by zero".to_owned()),
                '/' => value.wrapping_div(operand),
                _ => value.wrapping_rem(operand),
            };
        }
        Ok(value)
    }

    fn unary(&mut self) -> Result<i64, String> {
        if self.depth == MAX_DEPTH {
            return Err("expression is nested too deeply".to_owned());
        }
        self.depth += 1;
        let value = match self.take(&['+', '-', '~', '(']) {
            Some('+') => self.unary(),
            Some('-') => self.unary().map(i64::wrapping_neg),
            Some('~') => self.unary().map(|value| !value),
            Some(_) => self.sum().and_then(|value| match self.take(&[')']) {
                Some(_) => Ok(value),
                None => Err("')' expected".to_owned()),
            }),
            None => self.literal(),
        };
        self.depth -= 1;
        value
    }

    fn literal(&mut self) -> Result<i64, String> {
        match self.rest.chars().next() {
            None => Err("unexpected end of expression".to_owned()),
            Some('\'') => self.character(),
            Some(first) if first.is_ascii_digit() => self.number(),
            Some(first) => Err(format!("invalid char '{first}' in expression")),
        }
    }

    fn character(&mut self) -> Result<i64, String> {
        let mut chars = self.rest.chars().skip(1);
        match (chars.next(), chars.next()) {
            (Some(ch), Some('\'')) => {
                self.rest = skip_space(&self.rest[2 + ch.len_utf8()..]);
                Ok(i64::from(u32::from(ch)))
            }
            (None, _) => Err("character constant expected".to_owned()),
            (Some(_), _) => Err("missing terminating ' character".to_owned()),
        }
    }

    fn number(&mut self) -> Result<i64, String> {
        let hex = self.rest.strip_prefix("0x");
        let (digits, radix) = match (hex.or(self.rest.strip_prefix("0X")), self.rest) {
            (Some(digits), _) => (digits, 16),
            (None, octal) if octal.starts_with('0') => (octal, 8),
            (None, decimal) => (decimal, 10),
        };
        let end = digits.find(|ch: char| !ch.is_digit(radix));
        let (digits, after) = digits.split_at(end.unwrap_or(digits.len()));
        if digits.is_empty() {
            return Err("invalid char 'x' in expression".to_owned());
        }
        let number = u64::from_str_radix(digits, radix);
        let number = number.map_err(|_| "number too large".to_owned())?;
        self.rest = skip_space(after);
        Ok(number.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_bind_as_in_qemu() {
        for (text, value, rest) in [
            ("5", 5, ""),
            ("0x10 x", 16, "x"),
            ("010", 8, ""),
            ("1+2*3", 7, ""),
            ("(1 + 2) * 3", 9, ""),
            ("6&3+1", 3, ""),
            ("-5 - -3", -2, ""),
            ("~0", -1, ""),
            ("7%4 2", 3, "2"),
            ("'a'+1", 98, ""),
            ("18446744073709551615", -1, ""),
        ] {
            assert_eq!(evaluate(text), Ok((value, rest)), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let deep = "(".repeat(100_000);
        for (text, message) in [
            ("", "unexpected end of expression"),
            ("1+", "unexpected end of expression"),
            ("x", "invalid char 'x' in expression"),
            ("(1", "')' expected"),
            ("1/0", "division by zero"),
            ("18446744073709551616", "number too large"),
            (&deep, "expression is nested too deeply"),
        ] {
            assert_eq!(evaluate(text), Err(message.to_owned()));
        }
    }
}
