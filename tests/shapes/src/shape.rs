//! What a shape is, and what schemas are written with.

use std::fmt::Write as _;

/// The files of a schema, the main one first.
#[derive(Debug, Clone)]
pub struct Files(pub Vec<(String, String)>);

/// The name of the main file.
pub const MAIN: &str = "schema.json";

impl Files {
    fn of(text: String) -> Self {
        Self(vec![(MAIN.to_owned(), text)])
    }

    /// The number of bytes in all files.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }
}

/// What a schema of the shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Valid at any size.
    Valid,
    /// Refused, with at least one diagnostic.
    Refused,
    /// Valid while it is small, and past the limit refused with one diagnostic.
    Limited,
}

/// A dimension in which a schema grows.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// What grows, in a few words with hyphens.
    pub name: &'static str,
    /// What is expected of it.
    pub verdict: Verdict,
    /// A size at which a walk that is not linear shows, and one that is takes little time.
    pub n: usize,
    make: fn(usize) -> String,
}

impl Shape {
    /// A schema of size `n`.
    #[must_use]
    pub fn files(&self, n: usize) -> Files {
        if self.name == FILES {
            return many_files(n);
        }
        Files::of((self.make)(n))
    }

    pub(crate) const fn new(
        name: &'static str,
        verdict: Verdict,
        n: usize,
        make: fn(usize) -> String,
    ) -> Self {
        Self {
            name,
            verdict,
            n,
            make,
        }
    }
}

/// The one whose schema has many files.
pub(crate) const FILES: &str = "files";

/// A main file that includes all others.
fn many_files(n: usize) -> Files {
    let mut main = String::new();
    let mut files = Vec::new();
    for i in 0..n {
        let name = name(i);
        let _ = writeln!(main, "{{ 'include': '{name}.json' }}");
        let text = format!("{{ 'struct': 'T{name}', 'data': {{ 'a': 'int' }} }}\n");
        files.push((format!("{name}.json"), text));
    }
    files.insert(0, (MAIN.to_owned(), main));
    Files(files)
}

/// A name for the number `i` without digits: `qaaaaz`, `qaaabz`, ... All are of one length:
/// otherwise a schema would grow faster than the number of its parts. Only where they run out, after
/// 390,625, they are a letter longer.
#[must_use]
pub fn name(mut i: usize) -> String {
    const N_SHORT: usize = 25_usize.pow(4);
    let n_letters = if i < N_SHORT { 4 } else { 5 };
    let mut letters = vec!['a'; n_letters];
    for letter in letters.iter_mut().rev() {
        *letter = char::from(b'a' + (i % 25) as u8);
        i /= 25;
    }
    format!("q{}z", String::from_iter(letters))
}

/// `part` for each number, one after the other.
pub(crate) fn lines(n: usize, part: impl Fn(usize) -> String) -> String {
    (0..n).map(part).collect()
}

/// The parts with commas between them, each on a line of its own.
pub(crate) fn list(n: usize, part: impl Fn(usize) -> String) -> String {
    (0..n).map(part).collect::<Vec<_>>().join(",\n  ")
}
