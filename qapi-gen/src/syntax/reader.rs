//! The files of a schema: the top level of each, and the files it includes.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Comments;
use super::ast::{Ast, Definition, Doc, Include, Item, Node, Object};
use super::directive::{parse_include, parse_pragma};
use super::doc::parse_doc;
use super::error::SyntaxError;
use super::lexer::TokenKind;
use super::parser::Parser;
use crate::diagnostic::{Diagnostic, Report};
use crate::limits::{MAX_INCLUDE_DEPTH, MAX_LINE};
use crate::loader::Loader;
use crate::path::{Syntax, join};
use crate::source::{FileId, SourceMap, Span};

/// Reads and parses the schema at `path` with all that it includes.
pub(crate) fn read_schema(
    path: &str,
    loader: &dyn Loader,
    comments: Comments,
    sources: &mut SourceMap,
    report: &mut Report,
) -> Ast {
    let ast = Ast::default();
    let mut reader = Reader {
        loader,
        comments,
        sources,
        ast,
        seen: HashSet::new(),
        open: Vec::new(),
    };
    let identity = reader.loader.identity(Path::new(path));
    match reader.load(path, None, report) {
        Ok(file) => {
            reader.ast.root = Some(file);
            reader.read_file(file, identity, report);
        }
        Err(error) => {
            let error = match error {
                LoadError::Io(error) => SyntaxError::SchemaUnreadable {
                    path: path.to_owned(),
                    reason: reason(&error),
                },
                LoadError::TooLarge => SyntaxError::TooLarge(u64::from(u32::MAX)),
            };
            report.push(Diagnostic::new(error.code(), error.to_string(), None));
            reader.ast.is_incomplete = true;
        }
    }
    reader.ast
}

/// Why a file could not be added to the source map.
enum LoadError {
    Io(io::Error),
    TooLarge,
}

/// The text of `error` without Rust's note of the number.
fn reason(error: &io::Error) -> String {
    // Messages are the same on every system, and Windows has its own in many languages.
    let is_system = error.get_ref().is_none();
    if let (true, Some(words)) = (cfg!(windows) && is_system, words(error.kind())) {
        return words.to_owned();
    }
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// How Unix says why a file cannot be read.
fn words(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::NotFound => "No such file or directory",
        io::ErrorKind::PermissionDenied => "Permission denied",
        io::ErrorKind::IsADirectory => "Is a directory",
        io::ErrorKind::NotADirectory => "Not a directory",
        io::ErrorKind::InvalidFilename => "File name too long",
        _ => return None,
    })
}

struct Reader<'a> {
    loader: &'a dyn Loader,
    comments: Comments,
    sources: &'a mut SourceMap,
    ast: Ast,
    /// Files that were read.
    seen: HashSet<PathBuf>,
    /// Files that are being read, the outermost first.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn load(
        &mut self,
        name: &str,
        included_at: Option<Span>,
        report: &mut Report,
    ) -> Result<FileId, LoadError> {
        let path = Path::new(name);
        let bytes = match included_at {
            None => self.loader.read(path),
            Some(_) => self.loader.read_include(path),
        };
        let bytes = bytes.map_err(LoadError::Io)?;
        if bytes.len() >= u32::MAX as usize {
            return Err(LoadError::TooLarge);
        }
        let (text, bad_at) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let bad_at = error.utf8_error().valid_up_to();
                // What precedes the bad byte is checked all the same.
                let mut bytes = error.into_bytes();
                bytes.truncate(bad_at);
                (String::from_utf8(bytes).unwrap_or_default(), Some(bad_at))
            }
        };
        let file = self
            .sources
            .add(name.to_owned(), text, included_at)
            .ok_or(LoadError::TooLarge)?;
        if let Some(bad_at) = bad_at {
            let at = self.sources.file(file).start() + bad_at as u32;
            self.lose_rest(&SyntaxError::NotUtf8, Span::new(at, at), report);
        }
        Ok(file)
    }

    /// Reports what keeps a file from being read to its end.
    fn lose_rest(&mut self, error: &SyntaxError, at: Span, report: &mut Report) {
        report.push(Diagnostic::new(error.code(), error.to_string(), at));
        self.ast.is_incomplete = true;
    }

    fn read_file(&mut self, file: FileId, identity: PathBuf, report: &mut Report) {
        let source = self.sources.file(file);
        let (text, start) = (source.shared_text(), source.start());
        if let Some((at, len)) = long_line(&text) {
            let at = start + at as u32;
            let span = Span::new(at, at + len as u32);
            return self.lose_rest(&SyntaxError::LineTooLong(MAX_LINE), span, report);
        }
        self.seen.insert(identity.clone());
        self.open.push(identity);
        self.read_items(&mut Parser::new(text, start, self.comments, report));
        self.open.pop();
    }

    fn read_items(&mut self, parser: &mut Parser<'_>) {
        let mut pending: Option<Doc> = None;
        // The expression before was lost: what follows its end may be pieces of it.
        let mut is_recovering = false;
        loop {
            let token = parser.token();
            match token.kind {
                TokenKind::End => break,
                TokenKind::Documentation => {
                    self.flush_doc(parser, &mut pending);
                    pending = Some(parse_doc(parser));
                }
                TokenKind::OpenBrace => {
                    is_recovering = !self.read_expression(parser, &mut pending);
                }
                _ if is_recovering => self.recover(parser, token.span, &mut pending),
                _ => is_recovering = !self.read_expression(parser, &mut pending),
            }
        }
        self.flush_doc(parser, &mut pending);
    }

    /// Lets go of a documentation comment that no definition follows.
    fn flush_doc(&mut self, parser: &mut Parser<'_>, pending: &mut Option<Doc>) {
        let Some(doc) = pending.take() else { return };
        match doc.symbol {
            Some(symbol) => {
                let error = SyntaxError::DocNotFollowed(parser.text(symbol).to_owned());
                parser.error_at_line(&error, symbol, doc.span);
            }
            None => self.ast.items.push(Item::FreeForm(Box::new(doc))),
        }
    }

    /// Goes on where the next expression may start, after the one at `start` was lost.
    fn recover(&mut self, parser: &mut Parser<'_>, start: Span, pending: &mut Option<Doc>) {
        let names = parser.names_between(start);
        self.ast.lost_names.extend(names);
        self.ast.lost_names.extend(parser.recover(start));
        // The comment was for what got lost.
        if let Some(doc) = pending.take() {
            match doc.symbol {
                Some(symbol) => self.ast.lost_names.push(parser.text(symbol).to_owned()),
                None => self.ast.items.push(Item::FreeForm(Box::new(doc))),
            }
        }
    }

    /// Says whether there was an expression.
    fn read_expression(&mut self, parser: &mut Parser<'_>, pending: &mut Option<Doc>) -> bool {
        let start = parser.token().span;
        let Ok(value) = parser.parse_value(0) else {
            self.recover(parser, start, pending);
            return false;
        };
        let span = value.span();
        let Node::Object(object) = value else {
            parser.error_at_line(&SyntaxError::TopLevelNotObject, span, span);
            *pending = None;
            return true;
        };
        if object.get(self.sources, "include").is_some() {
            self.flush_doc(parser, pending);
            self.read_include(parser, &object);
        } else if object.get(self.sources, "pragma").is_some() {
            self.flush_doc(parser, pending);
            parse_pragma(parser, self.sources, &object, &mut self.ast.pragmas);
        } else {
            self.read_definition(parser, object, pending.take());
        }
        true
    }

    fn read_definition(&mut self, parser: &mut Parser<'_>, object: Object, doc: Option<Doc>) {
        // Few of a large schema have one, so it takes no room in the others.
        let doc = match doc {
            Some(doc) if doc.symbol.is_none() => {
                if !doc.is_broken {
                    let error = SyntaxError::DocNotForDefinition;
                    parser.error_at_line(&error, doc.span, doc.span);
                }
                Some(Doc {
                    is_broken: true,
                    ..doc
                })
            }
            other => other,
        };
        self.ast.items.push(Item::Definition(Definition {
            object,
            doc: doc.map(Box::new),
        }));
    }

    fn read_include(&mut self, parser: &mut Parser<'_>, object: &Object) {
        let span = object.span;
        let Some(name) = parse_include(parser, self.sources, object) else {
            self.ast.is_incomplete = true;
            return;
        };
        let including = self.sources.file(self.sources.file_of(span)).name();
        let path = join(including, &name, Syntax::HOST);
        let include = Include {
            span,
            path: path.clone(),
        };
        self.ast.items.push(Item::Include(Box::new(include)));
        let identity = self.loader.identity(Path::new(&path));
        let error = if self.open.contains(&identity) {
            SyntaxError::IncludeLoop(name)
        } else if self.seen.contains(&identity) {
            return;
        } else if self.open.len() > MAX_INCLUDE_DEPTH {
            SyntaxError::IncludeTooDeep(MAX_INCLUDE_DEPTH)
        } else {
            match self.load(&path, Some(span), parser.report) {
                Ok(file) => return self.read_file(file, identity, parser.report),
                Err(LoadError::Io(error)) => SyntaxError::IncludeUnreadable {
                    path,
                    reason: reason(&error),
                },
                Err(LoadError::TooLarge) => SyntaxError::TooLarge(u64::from(u32::MAX)),
            }
        };
        let value = object.get(self.sources, "include").map_or(span, Node::span);
        parser.error_at_line(&error, value, span);
        self.ast.is_incomplete |= !matches!(error, SyntaxError::IncludeLoop(_));
    }
}

/// Offset and length of the first line that is too long.
fn long_line(text: &str) -> Option<(usize, usize)> {
    if text.len() <= MAX_LINE {
        return None;
    }
    let mut start = 0;
    for line in text.split(['\n', '\r']) {
        if line.len() > MAX_LINE {
            return Some((start, line.len()));
        }
        start += line.len() + 1;
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::{reason, words};

    #[test]
    fn errors_have_the_words_of_unix() {
        for errno in [
            Errno::NOENT,
            Errno::ACCESS,
            Errno::ISDIR,
            Errno::NOTDIR,
            Errno::NAMETOOLONG,
        ] {
            let error = io::Error::from(errno);
            assert_eq!(words(error.kind()), Some(&*reason(&error)));
        }
        assert_eq!(words(io::ErrorKind::TimedOut), None);
    }
}
