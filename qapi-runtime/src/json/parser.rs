//! The incremental parser.

use super::Document;
use super::fast::FastParser;
use super::grammar::{Grammar, TextRange, clear_retaining, growth_of};
use super::lexer::{LexState, Step, TokenKind, step};
use super::limits::Limits;
use super::mistake::{ParseError, Place};
use super::scan::{scan_string, scan_string_part, scan_word, skip_space};
use super::text::{decode_string, lossy};

/// What [`Parser::feed`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All bytes are consumed; no value is complete.
    Incomplete,
    /// A value is complete and can be read with [`Parser::document`].
    Value,
    /// The input is wrong. The parser goes on after the mistake: what is left of a value whose brackets are open is skipped.
    Error(ParseError),
}

/// Makes values out of bytes that come in pieces.
///
/// A value ends where its brackets balance; a number or keyword at top level ends with the byte
/// after it. A mistake is reported at once, with the line and column of its token, counted from the
/// start of the stream in bytes from 1. After a mistake in the grammar, or a value that passes a limit, tokens are dropped
/// until the brackets balance. A token that is wrong in itself ends the value, or the dropping, there.
///
/// The parser holds at most one value: memory is bounded by [`Limits`], and reused from value to
/// value.
#[derive(Debug, Default)]
pub struct Parser {
    limits: Limits,
    state: LexState,
    /// The bytes of a token that an earlier piece began.
    token: Vec<u8>,
    /// Where that token began.
    token_place: Place,
    /// Where the next byte stands.
    place: Place,
    /// Whether the next byte ended the token before it, or a recovery.
    is_late: bool,
    /// Whether tokens are dropped until the brackets balance.
    is_skipping: bool,
    grammar: Grammar,
    fast: FastParser,
    document: Document,
    n_tokens: usize,
    token_size: usize,
    braces: isize,
    brackets: isize,
}

/// White space up to this length between tokens is copied rather than cut out.
const SHORT_SPACE: usize = 4;

impl Parser {
    /// A parser at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The last complete value, until the next call of [`Parser::feed`].
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Takes the last complete value and leaves `spare`, whose memory is used again unless it is
    /// large.
    pub(crate) fn replace_document(&mut self, mut spare: Document) -> Document {
        let mut text = std::mem::take(&mut spare.text).into_bytes();
        clear_retaining(&mut text);
        // Nothing is left in it, so it is UTF-8.
        spare.text = String::from_utf8(text).unwrap_or_default();
        clear_retaining(&mut spare.nodes);
        std::mem::replace(&mut self.document, spare)
    }

    /// Takes the last complete value.
    pub fn take_document(&mut self) -> Document {
        self.replace_document(Document::default())
    }

    /// Whether a value has begun and is not complete.
    pub fn is_mid_value(&self) -> bool {
        self.n_tokens > 0
            || self.is_skipping
            || !matches!(self.state, LexState::Start | LexState::Recovery)
    }

    /// How many bytes of memory it holds, the last value included.
    pub fn memory(&self) -> usize {
        self.token.capacity() + self.grammar.memory() + self.fast.memory() + self.document.memory()
    }

    /// By how many bytes its memory grows if it takes so many bytes of input: what is full becomes twice as large.
    pub(crate) fn growth(&self, n_bytes: usize) -> usize {
        growth_of(&self.token, n_bytes) + self.grammar.growth(n_bytes)
    }

    /// Gives back the memory that is kept for the next value, unless one has begun.
    pub(crate) fn trim(&mut self) {
        if !self.is_mid_value() {
            self.token = Vec::new();
            self.fast = FastParser::default();
            self.grammar.trim();
            self.document = Document::default();
        }
    }

    /// Refuses a value that has begun, as if it had passed the limit on the size of a value: its memory is free at once, and
    /// what is still to come of it is dropped. The mistake to be told; `None` if no value has begun, or one is dropped already.
    pub fn refuse_value(&mut self) -> Option<ParseError> {
        if !self.is_mid_value() || self.is_skipping {
            return None;
        }
        self.forget_tokens();
        self.grammar.trim();
        self.document = Document::default();
        self.token.truncate(1);
        self.token.shrink_to_fit();
        self.is_skipping = true;
        Some(ParseError::new(TOKEN_SIZE))
    }

    /// Forgets a value that has begun.
    pub fn reset(&mut self) {
        self.state = LexState::Start;
        clear_retaining(&mut self.token);
        self.reset_value();
    }

    fn reset_value(&mut self) {
        self.forget_tokens();
        self.is_skipping = false;
        self.braces = 0;
        self.brackets = 0;
    }

    /// Forgets what a value has so far, except the brackets that are open.
    fn forget_tokens(&mut self) {
        self.grammar.clear();
        self.n_tokens = 0;
        self.token_size = 0;
    }

    /// Reports a mistake, and drops what is left of its value.
    #[cold]
    fn refuse(&mut self, error: ParseError) -> Parsed {
        if self.is_balanced() {
            self.reset_value();
        } else {
            self.forget_tokens();
            self.is_skipping = true;
        }
        Parsed::Error(error)
    }

    /// Ends the stream: a number or keyword at its very end is complete now, and a value that is
    /// not complete is an error. `None` if nothing has begun.
    pub fn finish(&mut self) -> Option<Parsed> {
        let parsed = match self.state {
            LexState::Start => None,
            LexState::Recovery => {
                self.state = LexState::Start;
                None
            }
            LexState::Zero | LexState::Digits | LexState::Fraction | LexState::ExponentDigits => {
                self.token_done(TokenKind::Number)
            }
            LexState::Keyword => self.token_done(TokenKind::Keyword),
            LexState::String(_)
            | LexState::Escape(_)
            | LexState::Sign
            | LexState::Point
            | LexState::Exponent
            | LexState::ExponentSign => {
                let error = self.stray();
                let is_told = self.is_skipping;
                self.reset();
                (!is_told).then_some(Parsed::Error(error))
            }
        };
        if parsed.is_some() {
            return parsed;
        }
        let is_told = self.is_skipping;
        let is_over = self.n_tokens == 0;
        self.reset();
        if is_over || is_told {
            return None;
        }
        Some(Parsed::Error(self.premature()))
    }

    fn premature(&self) -> ParseError {
        ParseError::syntax(self.place, "premature end of input")
    }

    /// Takes bytes off the front of `input` up to the end of a value or the first mistake.
    ///
    /// Call again with the rest until it is empty.
    pub fn feed(&mut self, input: &mut &[u8]) -> Parsed {
        if self.n_tokens == 0
            && self.state == LexState::Start
            && !self.is_skipping
            && let Some(parsed) = self.counting(input, Self::whole_value)
        {
            return parsed;
        }
        loop {
            if self.state == LexState::Start
                && let Some(parsed) = self.counting(input, Self::tokens)
            {
                return parsed;
            }
            if input.is_empty() {
                return Parsed::Incomplete;
            }
            if let Some(parsed) = self.counting(input, Self::partial) {
                return parsed;
            }
        }
    }

    /// Takes bytes by `take`, and counts the lines and columns of those that it took.
    #[inline]
    fn counting(
        &mut self,
        input: &mut &[u8],
        take: impl FnOnce(&mut Self, &mut &[u8]) -> Option<Parsed>,
    ) -> Option<Parsed> {
        let bytes = *input;
        let parsed = take(self, input);
        self.place = self.place.after(&bytes[..bytes.len() - input.len()]);
        parsed
    }

    /// A complete value straight from `input`, if it is well formed and of the common kind.
    fn whole_value(&mut self, input: &mut &[u8]) -> Option<Parsed> {
        let bytes = *input;
        let start = skip_space(bytes, 0);
        let bytes = &bytes[start..];
        // A token is at least a byte, so fewer bytes cannot pass the limits.
        let most = self
            .limits
            .token_size
            .min(self.limits.token_count)
            .saturating_sub(1);
        let cut = &bytes[..bytes.len().min(most)];
        let end = self
            .fast
            .parse(cut, self.limits.nesting, &mut self.document)?;
        *input = &bytes[end..];
        self.is_late = false;
        Some(Parsed::Value)
    }

    /// Complete tokens straight from `input`, while there are any.
    ///
    /// The source is copied in long runs, of which strings that need no decoding are ranges:
    /// `bytes[copied..]` is where the current run starts, `solid` the end of its last token.
    fn tokens(&mut self, input: &mut &[u8]) -> Option<Parsed> {
        let bytes = *input;
        // The byte that ended a number or keyword: a token that begins with it stands one column further in messages, as
        // in the reference.
        let mut ended_at = std::mem::take(&mut self.is_late).then_some(0);
        let mut at = skip_space(bytes, 0);
        let mut copied = at;
        let mut solid = at;
        let parsed = loop {
            let Some(&byte) = bytes.get(at) else {
                break None;
            };
            let start = at;
            match byte {
                b'{' | b'}' | b'[' | b']' | b':' | b',' => {
                    at += 1;
                    let kind = match byte {
                        b'{' => TokenKind::ObjectBegin,
                        b'}' => TokenKind::ObjectEnd,
                        b'[' => TokenKind::ArrayBegin,
                        b']' => TokenKind::ArrayEnd,
                        b':' => TokenKind::Colon,
                        _ => TokenKind::Comma,
                    };
                    if !self.admit_bracket(kind) {
                        break Some(self.limit());
                    }
                    if !self.is_skipping {
                        self.grammar.structural(kind, &bytes[copied..]);
                    }
                }
                b'"' | b'\'' => {
                    let Some((end, plain)) = scan_string(bytes, at + 1, byte) else {
                        break None;
                    };
                    at = end + 1;
                    if !self.admit(at - start) {
                        break Some(self.limit());
                    }
                    if self.is_skipping {
                    } else if plain {
                        let range = TextRange {
                            start: (self.grammar.text.len() + (start + 1 - copied)) as u32,
                            len: (end - start - 1) as u32,
                        };
                        self.grammar.string(range, &bytes[copied..]);
                    } else {
                        self.grammar.text.extend_from_slice(&bytes[copied..start]);
                        copied = at;
                        self.decode(&bytes[start + 1..end], byte);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {
                    at = skip_space(bytes, at);
                    if at - start > SHORT_SPACE && !self.is_skipping {
                        self.grammar.text.extend_from_slice(&bytes[copied..start]);
                        copied = at;
                        solid = at;
                    }
                    continue;
                }
                b'0'..=b'9' | b'-' | b'a'..=b'z' => {
                    let Some((end, kind)) = scan_word(bytes, at) else {
                        break None;
                    };
                    at = end;
                    if !self.admit(at - start) {
                        break Some(self.limit());
                    }
                    if !self.is_skipping {
                        let (token, tail) = (&bytes[start..end], &bytes[copied..]);
                        match kind {
                            TokenKind::Number => self.grammar.number(token, tail),
                            _ => self.grammar.keyword(token, tail),
                        }
                    }
                }
                _ => break None,
            }
            solid = at;
            let is_word = !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"' | b'\'');
            if let Some(message) = self.grammar.take_error() {
                let is_late = ended_at == Some(start);
                let place = self.place.after(&bytes[..start]).shifted(is_late);
                self.is_late = is_word;
                break Some(self.refuse(ParseError::syntax(place, &message)));
            }
            ended_at = is_word.then_some(at);
            if self.is_balanced() {
                self.is_late = is_word;
                *input = &bytes[at..];
                if std::mem::take(&mut self.is_skipping) {
                    self.reset_value();
                    copied = at;
                    continue;
                }
                self.grammar.text.extend_from_slice(&bytes[copied..solid]);
                return Some(self.complete());
            }
        };
        *input = &bytes[at..];
        if parsed.is_none() {
            self.is_late = ended_at == Some(at);
            if !self.is_skipping {
                self.grammar.text.extend_from_slice(&bytes[copied..solid]);
            }
        }
        parsed
    }

    /// A string that does not stand for itself, given without its quotes.
    fn decode(&mut self, content: &[u8], quote: u8) {
        let start = self.grammar.text.len();
        match decode_string(content, quote, &mut self.grammar.text) {
            Ok(()) => {
                let range = TextRange {
                    start: start as u32,
                    len: (self.grammar.text.len() - start) as u32,
                };
                self.grammar.string(range, &[]);
            }
            Err(error) => self.grammar.wrong_string(&error),
        }
    }

    /// One byte of a token that is not complete in one piece, or is wrong.
    fn partial(&mut self, input: &mut &[u8]) -> Option<Parsed> {
        let (&byte, rest) = input.split_first()?;
        if self.token.is_empty() {
            self.token_place = self.place.shifted(self.is_late);
        }
        self.is_late = false;
        match step(self.state, byte) {
            Step::Continue(state) => {
                *input = rest;
                self.token.push(byte);
                self.state = state;
                if let LexState::String(quote) = state {
                    // The rest of a string that does not end here in one go.
                    let room = self.limits.token_size.saturating_sub(self.token.len());
                    let end = scan_string_part(rest, quote).min(room);
                    if !self.is_skipping {
                        self.token.extend_from_slice(&rest[..end]);
                    }
                    *input = &rest[end..];
                }
                if self.is_skipping {
                    // Its first byte is enough to go on.
                    self.token.truncate(1);
                }
            }
            Step::Last(kind) => {
                *input = rest;
                self.token.push(byte);
                return self.token_done(kind);
            }
            Step::Before(kind) => {
                self.is_late = true;
                return self.token_done(kind);
            }
            Step::Skip => {
                *input = rest;
                self.token.clear();
            }
            Step::Restart => {
                self.token.clear();
                self.state = LexState::Start;
                self.is_late = true;
            }
            Step::Wrong => {
                *input = rest;
                self.token.push(byte);
                let error = self.stray();
                let is_told = self.is_skipping;
                self.reset();
                self.state = LexState::Recovery;
                return (!is_told).then_some(Parsed::Error(error));
            }
        }
        if self.token.len() > self.limits.token_size {
            let is_told = self.is_skipping;
            self.reset();
            return (!is_told).then(|| Parsed::Error(ParseError::new(TOKEN_SIZE)));
        }
        None
    }

    fn stray(&self) -> ParseError {
        let message = format!("stray '{}'", lossy(&self.token));
        ParseError::syntax(self.token_place, &message)
    }

    fn token_done(&mut self, kind: TokenKind) -> Option<Parsed> {
        self.state = LexState::Start;
        let token = std::mem::take(&mut self.token);
        let parsed = self.whole_token(kind, &token);
        self.token = token;
        clear_retaining(&mut self.token);
        parsed
    }

    fn whole_token(&mut self, kind: TokenKind, token: &[u8]) -> Option<Parsed> {
        let admitted = match token {
            [b'{' | b'}' | b'[' | b']' | b':' | b','] => self.admit_bracket(kind),
            _ => self.admit(token.len()),
        };
        if !admitted {
            return Some(self.limit());
        }
        if !self.is_skipping {
            match kind {
                TokenKind::Number => self.grammar.number(token, &[]),
                TokenKind::Keyword => self.grammar.keyword(token, &[]),
                TokenKind::String => {
                    let quote = token.first().copied().unwrap_or(b'"');
                    self.decode(token.get(1..token.len() - 1).unwrap_or(&[]), quote);
                }
                TokenKind::ObjectBegin
                | TokenKind::ObjectEnd
                | TokenKind::ArrayBegin
                | TokenKind::ArrayEnd
                | TokenKind::Colon
                | TokenKind::Comma => self.grammar.structural(kind, &[]),
            }
        }
        if let Some(message) = self.grammar.take_error() {
            let error = ParseError::syntax(self.token_place, &message);
            return Some(self.refuse(error));
        }
        if !self.is_balanced() {
            return None;
        }
        if self.is_skipping {
            self.reset_value();
            return None;
        }
        Some(self.complete())
    }

    /// Counts a token; false if it passes a limit.
    #[inline]
    fn admit(&mut self, len: usize) -> bool {
        if self.is_skipping {
            return true;
        }
        self.n_tokens += 1;
        self.token_size += len;
        self.token_size < self.limits.token_size && self.n_tokens <= self.limits.token_count
    }

    /// Counts a bracket.
    #[inline]
    fn admit_bracket(&mut self, kind: TokenKind) -> bool {
        match kind {
            TokenKind::ObjectBegin => self.braces += 1,
            TokenKind::ObjectEnd => self.braces -= 1,
            TokenKind::ArrayBegin => self.brackets += 1,
            TokenKind::ArrayEnd => self.brackets -= 1,
            TokenKind::Colon
            | TokenKind::Comma
            | TokenKind::Number
            | TokenKind::Keyword
            | TokenKind::String => {}
        }
        self.admit(1)
            && (self.is_skipping || self.braces + self.brackets <= self.limits.nesting as isize)
    }

    /// The message for the token that [`Parser::admit`] has just refused.
    #[cold]
    fn limit(&mut self) -> Parsed {
        let message = if self.token_size >= self.limits.token_size {
            TOKEN_SIZE
        } else if self.n_tokens > self.limits.token_count {
            "JSON token count limit exceeded"
        } else {
            "JSON nesting depth limit exceeded"
        };
        self.refuse(ParseError::new(message))
    }

    /// Whether the value is over: no bracket is open, or more are closed than were opened.
    #[inline]
    fn is_balanced(&self) -> bool {
        !((self.braces > 0 || self.brackets > 0) && self.braces >= 0 && self.brackets >= 0)
    }

    fn complete(&mut self) -> Parsed {
        let text = std::mem::take(&mut self.document.text).into_bytes();
        let text = std::mem::replace(&mut self.grammar.text, text);
        let parsed = match String::from_utf8(text) {
            Ok(text) => {
                self.document.text = text;
                std::mem::swap(&mut self.document.nodes, &mut self.grammar.nodes);
                Parsed::Value
            }
            Err(_) => {
                let message = "invalid UTF-8 sequence in string";
                Parsed::Error(ParseError::syntax(self.place, message))
            }
        };
        self.reset_value();
        parsed
    }
}

impl Document {
    /// Parses the first JSON value of `text`, in the dialect of QMP.
    ///
    /// # Errors
    ///
    /// The reference's text for the first mistake; also when anything but white space follows.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let mut parser = Parser::new(Limits::REPLY);
        let mut rest = text;
        match parser.feed(&mut rest) {
            Parsed::Value => {}
            Parsed::Error(error) => return Err(error),
            Parsed::Incomplete => match parser.finish() {
                Some(Parsed::Value) => return Ok(parser.take_document()),
                Some(Parsed::Error(error)) => return Err(error),
                Some(Parsed::Incomplete) | None => return Err(parser.premature()),
            },
        }
        let document = parser.take_document();
        let behind = parser.place.after(&rest[..skip_space(rest, 0)]);
        match parser.feed(&mut rest) {
            Parsed::Incomplete if !parser.is_mid_value() => Ok(document),
            Parsed::Error(error) => Err(error),
            Parsed::Incomplete | Parsed::Value => {
                Err(ParseError::syntax(behind, "expecting end of input"))
            }
        }
    }
}

const TOKEN_SIZE: &str = "JSON token size limit exceeded";
