//! The line that somebody types: bytes in, lines out.
//!
//! A client that sends whole lines sees nothing of this. A terminal that does not edit lines itself sends each key as it is
//! pressed, and is shown what becomes of the line.

/// The longest history.
const MAX_HISTORY: usize = 64;

/// How wide names are listed at least, and how wide all of a row is.
const LEAST_COLUMN: usize = 10;
const ROW: usize = 80;

/// What stands before the line.
pub(super) const PROMPT: &str = "(iothreadd) ";

/// Finds what a text may go on with: whole words in the place of its last one.
pub(super) type Complete = fn(&str) -> Vec<&'static str>;

/// A line in the making.
pub(super) struct Editor {
    line: String,
    /// A place in the line, in bytes.
    cursor: usize,
    /// The first bytes of a character.
    partial: Vec<u8>,
    /// What has come of a sequence that stands for a key.
    sequence: Option<Vec<u8>>,
    after_return: bool,
    history: Vec<String>,
    /// Which line of the history is shown, and what was typed before that.
    recalled: Option<(usize, String)>,
    echoes: bool,
    complete: Complete,
}

impl Editor {
    /// `echoes` is whether what is typed is shown from the start.
    pub(super) fn new(echoes: bool, complete: Complete) -> Self {
        Self {
            line: String::new(),
            cursor: 0,
            partial: Vec::new(),
            sequence: None,
            after_return: false,
            history: Vec::new(),
            recalled: None,
            echoes,
            complete,
        }
    }

    /// Looks at what has come in one piece. A single key comes from a terminal that sends each as it is pressed, and expects
    /// to be shown the line from then on.
    pub(super) fn look(&mut self, piece: &[u8]) {
        let is_key = match piece {
            [b'\n'] => false,
            [_] => true,
            [0x1b, rest @ ..] => rest.len() <= 3,
            _ => false,
        };
        self.echoes |= is_key;
    }

    /// How long the line is so far.
    pub(super) fn len(&self) -> usize {
        self.line.len() + self.partial.len()
    }

    /// Takes a byte. Returns the line if that ends it; what a terminal is to show is added to `output`.
    pub(super) fn take(&mut self, byte: u8, output: &mut Vec<u8>) -> Option<String> {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if let Some(mut sequence) = self.sequence.take() {
            sequence.push(byte);
            self.take_sequence(sequence, output);
            return None;
        }
        match byte {
            b'\n' if after_return => None,
            b'\r' | b'\n' => Some(self.end(output)),
            0x1b => {
                self.sequence = Some(Vec::new());
                None
            }
            b'\t' if self.echoes => {
                self.complete(output);
                None
            }
            b'\t' => {
                self.insert('\t', output);
                None
            }
            0x0c if self.echoes => {
                output.extend_from_slice(b"\x1b[2J\x1b[1;1H");
                self.redraw(output);
                None
            }
            0x00..0x20 | 0x7f => {
                if self.edit(byte) {
                    self.redraw(output);
                }
                None
            }
            byte => {
                self.partial.push(byte);
                self.take_character(output);
                None
            }
        }
    }

    /// Adds a character once all of it is there.
    fn take_character(&mut self, output: &mut Vec<u8>) {
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let character = text.chars().next();
                self.partial.clear();
                if let Some(character) = character {
                    self.insert(character, output);
                }
            }
            // More of it may come.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => {
                self.partial.clear();
                self.insert(char::REPLACEMENT_CHARACTER, output);
            }
        }
    }

    fn insert(&mut self, character: char, output: &mut Vec<u8>) {
        self.line.insert(self.cursor, character);
        self.cursor += character.len_utf8();
        if self.echoes && self.cursor == self.line.len() {
            output.extend_from_slice(character.to_string().as_bytes());
        } else {
            self.redraw(output);
        }
    }

    /// Carries out a control character. Returns whether anything has changed.
    fn edit(&mut self, byte: u8) -> bool {
        const fn control(letter: u8) -> u8 {
            letter & 0x1f
        }
        const A: u8 = control(b'a');
        const B: u8 = control(b'b');
        const D: u8 = control(b'd');
        const E: u8 = control(b'e');
        const F: u8 = control(b'f');
        const H: u8 = control(b'h');
        const K: u8 = control(b'k');
        const N: u8 = control(b'n');
        const P: u8 = control(b'p');
        const U: u8 = control(b'u');
        const W: u8 = control(b'w');
        match byte {
            A => self.cursor = 0,
            B => self.cursor = self.before(),
            D => self.delete(self.cursor, self.after()),
            E => self.cursor = self.line.len(),
            F => self.cursor = self.after(),
            H | 0x7f => self.delete(self.before(), self.cursor),
            K => self.delete(self.cursor, self.line.len()),
            N => self.recall_later(),
            P => self.recall_earlier(),
            U => self.delete(0, self.cursor),
            W => self.delete(self.start_of_word(), self.cursor),
            _ => return false,
        }
        true
    }

    /// Goes on with a sequence, which ends with a letter or a tilde.
    fn take_sequence(&mut self, sequence: Vec<u8>, output: &mut Vec<u8>) {
        match sequence.as_slice() {
            b"[" | b"O" => self.sequence = Some(sequence),
            // Longer ones stand for no key that is known here.
            [b'[', .., b'0'..=b'9' | b';'] if sequence.len() < 16 => self.sequence = Some(sequence),
            b"[A" | b"OA" => self.recall_earlier(),
            b"[B" | b"OB" => self.recall_later(),
            b"[C" | b"OC" => self.cursor = self.after(),
            b"[D" | b"OD" => self.cursor = self.before(),
            b"[H" | b"OH" | b"[1~" | b"[7~" => self.cursor = 0,
            b"[F" | b"OF" | b"[4~" | b"[8~" => self.cursor = self.line.len(),
            b"[3~" => self.delete(self.cursor, self.after()),
            _ => {}
        }
        if self.sequence.is_none() {
            self.redraw(output);
        }
    }

    /// Where the character before the cursor begins.
    fn before(&self) -> usize {
        let character = self.line[..self.cursor].chars().next_back();
        self.cursor - character.map_or(0, char::len_utf8)
    }

    /// Where the character at the cursor ends.
    fn after(&self) -> usize {
        let character = self.line[self.cursor..].chars().next();
        self.cursor + character.map_or(0, char::len_utf8)
    }

    /// Where the word before the cursor begins.
    fn start_of_word(&self) -> usize {
        last_word(self.line[..self.cursor].trim_end())
    }

    fn delete(&mut self, start: usize, end: usize) {
        self.line.replace_range(start..end, "");
        self.cursor = start;
    }

    fn show(&mut self, line: String) {
        self.cursor = line.len();
        self.line = line;
    }

    fn recall_earlier(&mut self) {
        let (place, typed) = match self.recalled.take() {
            Some((place, typed)) => (place, typed),
            None => (self.history.len(), self.line.clone()),
        };
        let place = place.saturating_sub(1);
        if let Some(line) = self.history.get(place).cloned() {
            self.show(line);
            self.recalled = Some((place, typed));
        }
    }

    fn recall_later(&mut self) {
        let Some((place, typed)) = self.recalled.take() else {
            return;
        };
        match self.history.get(place + 1).cloned() {
            Some(line) => {
                self.show(line);
                self.recalled = Some((place + 1, typed));
            }
            None => self.show(typed),
        }
    }

    fn end(&mut self, output: &mut Vec<u8>) -> String {
        if self.echoes {
            output.extend_from_slice(b"\r\n");
        }
        if !self.partial.is_empty() {
            self.partial.clear();
            self.line.push(char::REPLACEMENT_CHARACTER);
        }
        self.cursor = 0;
        self.recalled = None;
        let line = std::mem::take(&mut self.line);
        if self.echoes && !line.trim().is_empty() && self.history.last() != Some(&line) {
            if self.history.len() == MAX_HISTORY {
                self.history.remove(0);
            }
            self.history.push(line.clone());
        }
        line
    }

    /// Completes the word before the cursor, as far as it is clear; otherwise lists what it may become.
    fn complete(&mut self, output: &mut Vec<u8>) {
        let before = &self.line[..self.cursor];
        let names = (self.complete)(before);
        let start = last_word(before);
        let word = &before[start..];
        let common = common_start(&names);
        let more = match names.as_slice() {
            [] => return,
            [name] => format!("{name} "),
            _ if common.len() > word.len() => common.to_owned(),
            _ => {
                list(&names, output);
                self.redraw(output);
                return;
            }
        };
        self.line.replace_range(start..self.cursor, &more);
        self.cursor = start + more.len();
        self.redraw(output);
    }

    /// Shows the whole line again.
    fn redraw(&self, output: &mut Vec<u8>) {
        if !self.echoes {
            return;
        }
        let line = &self.line;
        output.extend_from_slice(format!("\r{PROMPT}{line}\x1b[K").as_bytes());
        let n_behind = line[self.cursor..].chars().count();
        if n_behind > 0 {
            output.extend_from_slice(format!("\x1b[{n_behind}D").as_bytes());
        }
    }
}

/// Where the last word of a text begins. Blanks may be of several bytes.
fn last_word(text: &str) -> usize {
    text.trim_end_matches(|ch: char| !ch.is_whitespace()).len()
}

/// What all names begin with.
fn common_start(names: &[&'static str]) -> &'static str {
    let Some((first, others)) = names.split_first() else {
        return "";
    };
    let mut end = first.len();
    for other in others {
        let same = first.bytes().zip(other.bytes());
        end = end.min(same.take_while(|(one, other)| one == other).count());
    }
    // Names are ASCII.
    first.get(..end).unwrap_or_default()
}

fn list(names: &[&str], output: &mut Vec<u8>) {
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let width = LEAST_COLUMN.max(longest + 2);
    for row in names.chunks((ROW / width).max(1)) {
        output.extend_from_slice(b"\r\n");
        for name in row {
            output.extend_from_slice(format!("{name:width$}").as_bytes());
        }
    }
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Vec<&'static str> {
        let names = ["info", "quit", "qom-get", "qom-list"];
        let is_start = |name: &&str| name.starts_with(text);
        names.into_iter().filter(is_start).collect()
    }

    /// The lines that keys lead to, and what is shown.
    fn typed(editor: &mut Editor, keys: &[u8]) -> (Vec<String>, String) {
        let mut output = Vec::new();
        let take = |byte: &u8| editor.take(*byte, &mut output);
        let lines = keys.iter().filter_map(take).collect();
        (lines, String::from_utf8(output).unwrap())
    }

    fn lines(keys: &[u8]) -> Vec<String> {
        typed(&mut Editor::new(true, complete), keys).0
    }

    #[test]
    fn lines_end_with_either_or_both() {
        for keys in [&b"a\nb\n"[..], b"a\rb\r", b"a\r\nb\r\n"] {
            assert_eq!(lines(keys), ["a", "b"]);
        }
        assert_eq!(lines(b"a\n\rb\r\r\n"), ["a", "", "b", ""]);
    }

    #[test]
    fn keys_edit_the_line() {
        for (keys, line) in [
            (&b"infx\x7fo"[..], "info"),
            (b"infx\x08o", "info"),
            (b"\x7f\x08a", "a"),
            (b"nfo\x01i\x05!", "info!"),
            (b"nfo\x1b[Hi\x1b[F!", "info!"),
            (b"nfo\x1b[1~i\x1b[4~!", "info!"),
            (b"nfo\x1bOHi\x1bOF!", "info!"),
            (b"if\x02n\x06o", "info"),
            (b"if\x1b[Dn\x1b[Co", "info"),
            (b"if\x1bODn\x1bOCo", "info"),
            (b"xinfo\x01\x04", "info"),
            (b"xinfo\x01\x1b[3~", "info"),
            (b"info\x04", "info"),
            (b"infoxx\x02\x02\x0b", "info"),
            (b"xx info\x02\x02\x02\x02\x15", "info"),
            (b"info x y  \x17\x17", "info "),
            (b"in\x03fo", "info"),
            (b"in\x00\x14\x19fo", "info"),
            (b"in\x1b[12;5Rfo", "info"),
            (b"in\x1b[15~fo", "info"),
            (b"in\x1bxfo", "info"),
            ("aé\u{7f}b".as_bytes(), "ab"),
            ("é\u{2}a\u{5}b".as_bytes(), "aéb"),
            ("a\u{85}é\t".as_bytes(), "a\u{85}é"),
            ("a\u{3000}é\u{17}b".as_bytes(), "a\u{3000}b"),
            (b"a\xffb", "a\u{fffd}b"),
            (b"a\xc3", "a\u{fffd}"),
        ] {
            let keys = [keys, b"\r"].concat();
            assert_eq!(lines(&keys), [line], "{:?}", String::from_utf8_lossy(&keys));
        }
    }

    #[test]
    fn earlier_lines_come_back() {
        let mut editor = Editor::new(true, complete);
        typed(&mut editor, b"a\rb\rb\r \r");
        for (keys, line) in [
            (&b"\x1b[A"[..], "b"),
            (b"\x1b[A\x1b[A", "a"),
            (b"\x10\x10\x10\x10\x10\x10", "a"),
            (b"new\x10\x10\x0e\x0e\x0e", "new"),
            (b"new\x1b[A\x1b[B", "new"),
            (b"\x10x", "newx"),
        ] {
            assert_eq!(typed(&mut editor, &[keys, b"\r"].concat()).0, [line]);
        }
    }

    #[test]
    fn words_are_completed() {
        assert_eq!(lines(b"i\t\r"), ["info "]);
        assert_eq!(lines(b"qo\tl\t\r"), ["qom-list "]);
        assert_eq!(lines(b"x\t\r"), ["x"]);
        let shown = typed(&mut Editor::new(true, complete), b"q\t").1;
        let expected = "q\r\nquit      qom-get   qom-list  \r\n\r(iothreadd) q\x1b[K";
        assert_eq!(shown, expected);
    }

    /// Who sends whole lines is shown nothing, and may use tabs as blanks.
    #[test]
    fn plain_clients_see_nothing() {
        let mut editor = Editor::new(false, complete);
        editor.look(b"info\tname\r\n");
        let (lines, shown) = typed(&mut editor, b"info\tnamex\x7f\x1b[A\r\n");
        assert_eq!((&lines[..], &*shown), (&["info\tname".to_owned()][..], ""));
        editor.look(b"\n");
        assert_eq!(typed(&mut editor, b"\n").1, "");
        editor.look(b"i");
        assert_eq!(typed(&mut editor, b"i").1, "i");
        assert_eq!(
            typed(&mut editor, b"n\x02x").1,
            "n\r(iothreadd) in\x1b[K\x1b[1D\r(iothreadd) ixn\x1b[K\x1b[1D"
        );
    }
}
