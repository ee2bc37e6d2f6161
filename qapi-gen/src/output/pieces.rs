//! Files piece by piece, so that none has to be in memory as a whole.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A piece of a file. The pieces of a file come in order, and no other file's come between them; a
/// file that is not large is one piece.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'p> {
    /// Path of the file relative to the output folder.
    pub path: &'p Path,
    /// What comes next in it.
    pub text: &'p str,
    /// Whether nothing follows.
    pub is_last: bool,
}

/// Takes one piece after the other; says when it wants no more.
pub(crate) type Sink<'s> = dyn FnMut(Piece<'_>) -> ControlFlow<()> + 's;

/// A text that is longer is handed on, in bytes.
const LARGE: usize = 4 << 20;

/// Hands files to a sink.
pub(crate) struct Out<'s> {
    sink: &'s mut Sink<'s>,
    path: PathBuf,
    text: String,
    /// Whether the sink wants more.
    state: ControlFlow<()>,
}

impl<'s> Out<'s> {
    pub(crate) fn new(sink: &'s mut Sink<'s>) -> Self {
        Self {
            sink,
            path: PathBuf::new(),
            text: String::new(),
            state: ControlFlow::Continue(()),
        }
    }

    /// A whole file.
    pub(crate) fn file(&mut self, path: impl Into<PathBuf>, contents: &str) -> ControlFlow<()> {
        let path = path.into();
        self.hand_over(&Piece {
            path: &path,
            text: contents,
            is_last: true,
        });
        self.state
    }

    /// Begins a file, which is only written if [`Self::end`] is called.
    pub(crate) fn begin(&mut self, path: impl Into<PathBuf>) {
        self.path = path.into();
        self.text.clear();
    }

    /// The next text of the file.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() >= LARGE {
            self.hand_over_text(false);
        }
    }

    /// Ends the file.
    pub(crate) fn end(&mut self) -> ControlFlow<()> {
        self.hand_over_text(true);
        self.state
    }

    fn hand_over_text(&mut self, is_last: bool) {
        let (path, text) = (
            std::mem::take(&mut self.path),
            std::mem::take(&mut self.text),
        );
        self.hand_over(&Piece {
            path: &path,
            text: &text,
            is_last,
        });
        self.path = path;
    }

    fn hand_over(&mut self, piece: &Piece<'_>) {
        if self.state.is_continue() {
            self.state = (self.sink)(*piece);
        }
    }
}

/// Takes text off a writer's hands.
type Push<'p> = dyn FnMut(&str) + 'p;

/// What becomes of the text of a large file whose first lines depend on the others: it is written twice. The
/// first time the text is dropped, and the first lines are known then; the second time it is handed on.
#[derive(Default)]
pub(crate) struct Relief<'p> {
    push: Option<&'p mut Push<'p>>,
    has_dropped: bool,
}

impl<'p> Relief<'p> {
    /// For the second time.
    pub(crate) fn to(push: &'p mut Push<'p>) -> Self {
        Self {
            push: Some(push),
            has_dropped: false,
        }
    }

    /// Takes `text` away if it is long. Called wherever an end of the text can be told from what follows.
    pub(crate) fn relieve(&mut self, text: &mut String) {
        if text.len() < LARGE {
            return;
        }
        match &mut self.push {
            Some(push) => push(text),
            None => self.has_dropped = true,
        }
        text.clear();
    }

    /// Whether the text has to be written a second time.
    pub(crate) fn has_dropped(&self) -> bool {
        self.has_dropped
    }
}
