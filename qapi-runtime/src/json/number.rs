//! Numbers: from their token, and into their wire form.

use super::Node;

/// The value of a number token that the lexer has accepted.
///
/// Integers stay integers while they fit `i64` or, when positive, `u64`; everything else is the
/// nearest double. `-0` is the integer 0, and a double beyond the range is infinite.
pub(super) fn parse_number(token: &[u8]) -> Node {
    let (negative, digits) = match token {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut magnitude: u64 = 0;
    for (index, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return parse_double(token);
        }
        // 19 digits always fit.
        if index < 19 {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else {
            match magnitude
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit)))
            {
                Some(value) => magnitude = value,
                None => return parse_double(token),
            }
        }
    }
    match (i64::try_from(magnitude), negative) {
        (Ok(value), false) => Node::Int(value),
        (Ok(value), true) => Node::Int(-value),
        (Err(_), false) => Node::UInt(magnitude),
        (Err(_), true) if magnitude == 1 << 63 => Node::Int(i64::MIN),
        (Err(_), true) => parse_double(token),
    }
}

fn parse_double(token: &[u8]) -> Node {
    let value = std::str::from_utf8(token)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(f64::NAN);
    Node::Double(value)
}

/// Appends a double as `%.17g` prints it: 17 significant digits, trailing zeros removed, an
/// exponent of at least two digits where it is below -4 or above 16.
///
/// Differs from QEMU: infinity, which QEMU prints as `inf`, becomes a number that every reader
/// takes for infinite, and what is not a number becomes `null`.
pub(super) fn push_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"null");
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"1e+999" } else { b"-1e+999" });
        return;
    }
    // `d.dddddddddddddddde[-]x`, correctly rounded.
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let mut digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    while digits.len() > 1 && digits.last() == Some(&b'0') {
        digits.pop();
    }
    if negative {
        out.push(b'-');
    }
    if !(-4..17).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.push(b'e');
        out.push(if exponent < 0 { b'-' } else { b'+' });
        out.extend_from_slice(format!("{:02}", exponent.unsigned_abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            exponent.unsigned_abs() as usize - 1,
        ));
        out.extend_from_slice(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(&digits);
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        } else {
            let (before, after) = digits.split_at(whole);
            out.extend_from_slice(before);
            out.push(b'.');
            out.extend_from_slice(after);
        }
    }
}

/// Appends an integer.
pub(crate) fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends an integer.
pub(crate) fn push_signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(out, value.unsigned_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        push_double(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_print_as_percent_17g() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (0.1, "0.10000000000000001"),
            (100_000.0, "100000"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e22, "1e+22"),
            (1e300, "1.0000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (1.2345678901234568e29, "1.2345678901234568e+29"),
            (-9.223_372_036_854_776e18, "-9.2233720368547758e+18"),
            (5e-324, "4.9406564584124654e-324"),
            (123.25, "123.25"),
        ] {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn integers_keep_their_width() {
        for (token, node) in [
            ("0", Node::Int(0)),
            ("-0", Node::Int(0)),
            ("9223372036854775807", Node::Int(i64::MAX)),
            ("9223372036854775808", Node::UInt(1 << 63)),
            ("18446744073709551615", Node::UInt(u64::MAX)),
            (
                "18446744073709551616",
                Node::Double(18_446_744_073_709_551_616.0),
            ),
            ("-9223372036854775808", Node::Int(i64::MIN)),
            (
                "-9223372036854775809",
                Node::Double(-9.223_372_036_854_776e18),
            ),
            ("1e2", Node::Double(100.0)),
            ("1e999", Node::Double(f64::INFINITY)),
        ] {
            assert_eq!(parse_number(token.as_bytes()), node, "{token}");
        }
    }
}
