//! What is wrong with a text that should be a log.

use std::fmt;

use super::{FORM, TranscriptError, TranscriptErrorKind, VERSION};

impl TranscriptError {
    /// The number of the line, from 1 on.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for TranscriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            TranscriptErrorKind::NotJson(error) => write!(f, "{error}"),
            TranscriptErrorKind::Cut(error) => write!(f, "the log is cut off here: {error}"),
            TranscriptErrorKind::NotALog => {
                write!(
                    f,
                    "not a session log, which begins with {{\"{FORM}\": {VERSION}}}"
                )
            }
            TranscriptErrorKind::OtherVersion(version) => write!(
                f,
                "a session log of version {version}, while only version {VERSION} is known"
            ),
            TranscriptErrorKind::BadMember(name) => write!(f, "'{name}' is not what it should be"),
        }
    }
}

impl std::error::Error for TranscriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            TranscriptErrorKind::NotJson(error) | TranscriptErrorKind::Cut(error) => Some(error),
            TranscriptErrorKind::NotALog
            | TranscriptErrorKind::OtherVersion(_)
            | TranscriptErrorKind::BadMember(_) => None,
        }
    }
}
