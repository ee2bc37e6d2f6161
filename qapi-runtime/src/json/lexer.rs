//! The lexer's states: what a byte does to a token that is not complete yet.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Colon,
    Comma,
    Number,
    Keyword,
    String,
}

/// Where the lexer stands between two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LexState {
    /// Between tokens.
    #[default]
    Start,
    /// After a lexical error, until a byte that can begin something new.
    Recovery,
    /// In a string that this quote closes.
    String(u8),
    /// After a backslash in a string that this quote closes.
    Escape(u8),
    Sign,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    Keyword,
}

/// What a byte does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The byte belongs to the token, which goes on.
    Continue(LexState),
    /// The byte completes the token.
    Last(TokenKind),
    /// The token ended before the byte, which is looked at again.
    Before(TokenKind),
    /// The byte is dropped: white space, or part of what is skipped in recovery.
    Skip,
    /// Recovery is over; the byte is looked at again.
    Restart,
    /// The byte belongs to the token and makes it wrong.
    Wrong,
}

/// One transition.
///
/// 0xFE and 0xFF are wrong everywhere, and end recovery; that is how a peer resynchronizes (QMP:
/// section "Forcing the JSON parser into known-good state").
pub(super) fn step(state: LexState, byte: u8) -> Step {
    use LexState as S;
    match state {
        S::Start => start(byte),
        S::Recovery => match byte {
            b'\t' => Step::Skip,
            0..=0x1f | 0xfe..=0xff | b'{' | b'}' | b'[' | b']' | b':' | b',' => Step::Restart,
            0x20..=0xfd => Step::Skip,
        },
        S::String(quote) => match byte {
            _ if byte == quote => Step::Last(TokenKind::String),
            b'\\' => Step::Continue(S::Escape(quote)),
            0x20..=0xfd => Step::Continue(state),
            0..=0x1f | 0xfe..=0xff => Step::Wrong,
        },
        S::Escape(quote) => match byte {
            0x20..=0xfd => Step::Continue(S::String(quote)),
            0..=0x1f | 0xfe..=0xff => Step::Wrong,
        },
        S::Sign => match byte {
            b'0' => Step::Continue(S::Zero),
            b'1'..=b'9' => Step::Continue(S::Digits),
            _ => Step::Wrong,
        },
        S::Zero => match byte {
            b'0'..=b'9' => Step::Wrong,
            b'.' => Step::Continue(S::Point),
            _ => Step::Before(TokenKind::Number),
        },
        S::Digits => match byte {
            b'0'..=b'9' => Step::Continue(S::Digits),
            b'.' => Step::Continue(S::Point),
            b'e' | b'E' => Step::Continue(S::Exponent),
            _ => Step::Before(TokenKind::Number),
        },
        S::Point => match byte {
            b'0'..=b'9' => Step::Continue(S::Fraction),
            _ => Step::Wrong,
        },
        S::Fraction => match byte {
            b'0'..=b'9' => Step::Continue(S::Fraction),
            b'e' | b'E' => Step::Continue(S::Exponent),
            _ => Step::Before(TokenKind::Number),
        },
        S::Exponent => match byte {
            b'+' | b'-' => Step::Continue(S::ExponentSign),
            b'0'..=b'9' => Step::Continue(S::ExponentDigits),
            _ => Step::Wrong,
        },
        S::ExponentSign => match byte {
            b'0'..=b'9' => Step::Continue(S::ExponentDigits),
            _ => Step::Wrong,
        },
        S::ExponentDigits => match byte {
            b'0'..=b'9' => Step::Continue(S::ExponentDigits),
            _ => Step::Before(TokenKind::Number),
        },
        S::Keyword => match byte {
            b'a'..=b'z' => Step::Continue(S::Keyword),
            _ => Step::Before(TokenKind::Keyword),
        },
    }
}

fn start(byte: u8) -> Step {
    match byte {
        b' ' | b'\t' | b'\r' | b'\n' => Step::Skip,
        b'{' => Step::Last(TokenKind::ObjectBegin),
        b'}' => Step::Last(TokenKind::ObjectEnd),
        b'[' => Step::Last(TokenKind::ArrayBegin),
        b']' => Step::Last(TokenKind::ArrayEnd),
        b':' => Step::Last(TokenKind::Colon),
        b',' => Step::Last(TokenKind::Comma),
        b'"' | b'\'' => Step::Continue(LexState::String(byte)),
        b'0' => Step::Continue(LexState::Zero),
        b'1'..=b'9' => Step::Continue(LexState::Digits),
        b'-' => Step::Continue(LexState::Sign),
        b'a'..=b'z' => Step::Continue(LexState::Keyword),
        _ => Step::Wrong,
    }
}
