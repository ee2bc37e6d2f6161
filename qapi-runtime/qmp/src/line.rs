//! A line of a script or of the shell.

use std::fs::File;

use indexmap::IndexMap;
use qapi_runtime::Value;
use qapi_runtime::client::CallOptions;

use crate::arguments::{self, Written};
use crate::failure::Failure;
use crate::system::with_file;
use crate::words;

/// What a line asks for. Words of our own begin with a dot, which no command does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Line {
    /// It is empty, or a comment.
    Nothing,
    Command(Call),
    /// `.hmp`: a line of the human monitor.
    Human(String),
    /// `.help`, and what of.
    Help(Vec<String>),
    /// `.connect`
    Connect,
    /// `.exit`
    Exit,
}

/// A command that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) command: String,
    pub(crate) arguments: Written,
    /// `.oob`
    pub(crate) is_oob: bool,
    /// `.fd`: files that are opened and go along.
    pub(crate) files: Vec<String>,
}

impl Call {
    /// How it is sent, with the files that go along, which are opened for writing too where that is allowed.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened; nothing was sent then.
    pub(crate) fn options(&self) -> Result<CallOptions, Failure> {
        let mut options = CallOptions::new();
        if self.is_oob {
            options = options.out_of_band();
        }
        for path in &self.files {
            let writing = File::options().read(true).write(true).open(path);
            let file = writing.or_else(|_| File::open(path));
            let sent = file.and_then(|file| with_file(options, file));
            options = sent.map_err(|error| {
                Failure::Usage(format!(".fd {path}: {error}; nothing was sent"))
            })?;
        }
        Ok(options)
    }
}

/// Reads a line.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(crate) fn read(line: &str) -> Result<Line, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Line::Nothing);
    }
    if line.starts_with('{') {
        return request(line).map(Line::Command);
    }
    // The human monitor has quotes of its own.
    if let Some(rest) = own_word(line, ".hmp") {
        return match rest {
            "" => Err(".hmp: a line of the human monitor is expected".to_owned()),
            _ => Ok(Line::Human(rest.to_owned())),
        };
    }
    let words = words::split(line).ok_or("a quote or a bracket is not closed")?;
    let alone = |line: Line| match &words[..] {
        [_] => Ok(line),
        _ => Err(format!("{}: nothing is expected after it", words[0])),
    };
    match words[0].as_str() {
        ".help" => Ok(Line::Help(words[1..].to_vec())),
        ".connect" => alone(Line::Connect),
        ".exit" => alone(Line::Exit),
        _ => call(&words).map(Line::Command),
    }
}

fn own_word<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(word)?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start())
}

fn call(words: &[String]) -> Result<Call, String> {
    let (mut is_oob, mut files) = (false, Vec::new());
    let mut words = words;
    loop {
        match words {
            [word, rest @ ..] if word == ".oob" => {
                is_oob = true;
                words = rest;
            }
            [word, file, rest @ ..] if word == ".fd" => {
                files.push(file.clone());
                words = rest;
            }
            [word, ..] if word.starts_with('.') && word != ".fd" => {
                return Err(format!("'{word}' is not a word of this program: see .help"));
            }
            [command, arguments @ ..] if !command.starts_with('.') => {
                return Ok(Call {
                    command: command.clone(),
                    arguments: arguments::read(arguments)?,
                    is_oob,
                    files,
                });
            }
            _ => return Err("a command is expected".to_owned()),
        }
    }
}

/// A request as it is sent.
fn request(text: &str) -> Result<Call, String> {
    let value = serde_json::from_str::<Value>(text).map_err(|error| format!("no JSON: {error}"))?;
    let mut command = None;
    let mut arguments = Written::Members(IndexMap::new());
    for (name, value) in value.as_object().into_iter().flatten() {
        match (name, value) {
            ("execute" | "exec-oob", Value::String(text)) if command.is_none() => {
                command = Some((text.clone(), name == "exec-oob"));
            }
            ("arguments", Value::Object(_)) => arguments = Written::Json(value.clone()),
            // It gets a number of its own.
            ("id", _) => {}
            _ => return Err(format!("'{name}' has no place in a request, or not so")),
        }
    }
    let (command, is_oob) = command.ok_or("a request with 'execute' or 'exec-oob' is expected")?;
    Ok(Call {
        command,
        arguments,
        is_oob,
        files: Vec::new(),
    })
}

/// The command, and its arguments, that executes a line of the human monitor.
pub(crate) fn human_monitor(line: &str) -> (&'static str, Value) {
    let arguments = Value::from_iter([("command-line".to_owned(), Value::from(line))]);
    ("human-monitor-command", arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let words = |line: &str| match read(line) {
            Ok(Line::Command(call)) => format!("{call:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(read("  "), Ok(Line::Nothing));
        assert_eq!(read("# a 'quote"), Ok(Line::Nothing));
        assert_eq!(
            read(" .hmp  info 'block"),
            Ok(Line::Human("info 'block".into()))
        );
        assert_eq!(read(".exit"), Ok(Line::Exit));
        assert_eq!(
            read(".help a b.c"),
            Ok(Line::Help(vec!["a".into(), "b.c".into()]))
        );
        let text = words(".oob .fd /dev/null add-fd fdset-id=1");
        assert!(
            text.contains("is_oob: true, files: [\"/dev/null\"]"),
            "{text}"
        );
        let text = words(r#"{"exec-oob": "a", "id": 7, "arguments": {"b": 1}}"#);
        assert!(
            text.contains("command: \"a\"") && text.contains("is_oob: true"),
            "{text}"
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, expected) in [
            (".hmp", "a line of the human monitor is expected"),
            (".hm x", "'.hm' is not a word"),
            (".exit now", "nothing is expected"),
            (".fd", "a command is expected"),
            (".fd a", "a command is expected"),
            (".oob", "a command is expected"),
            ("a 'b", "not closed"),
            ("a b", "'b' is not an argument"),
            ("{\"execute\": 1}", "'execute' has no place"),
            ("{\"a\": 1}", "'a' has no place"),
            ("{}", "is expected"),
            ("{", "no JSON"),
            (
                "{\"execute\": \"a\", \"exec-oob\": \"a\"}",
                "'exec-oob' has no place",
            ),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
