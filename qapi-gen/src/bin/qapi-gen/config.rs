//! `qapi-gen.toml`, the settings that lie beside a schema.
//!
//! ```toml
//! [lints]
//! missing-since = "deny"
//! doc-line-length = "allow"
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use qapi_gen::diagnostic::{Level, Lint, LintLevels};
use qapi_gen::internals::read_text;
use serde::Deserialize;
use toml::Spanned;

/// The name of the file.
const FILE: &str = "qapi-gen.toml";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    lints: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// The levels of lints that the file beside `schema` sets; the defaults where no such file is.
pub(crate) fn levels_beside(schema: &str) -> io::Result<LintLevels> {
    let path = Path::new(schema).with_file_name(FILE);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LintLevels::default()),
        // The schema's folder may be no folder: the schema has that mistake.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(LintLevels::default());
        }
        Err(error) => return Err(io::Error::other(format!("{}: {error}", path.display()))),
    };
    read_levels(&text).map_err(|(line, message)| {
        io::Error::other(format!("{}:{line}: {message}", path.display()))
    })
}

/// The levels that `text` sets, or the line and the reason why it cannot be read.
fn read_levels(text: &str) -> Result<LintLevels, (usize, String)> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let settings: Settings = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        (line, error.message().to_owned())
    })?;
    let mut levels = LintLevels::default();
    for (name, level) in &settings.lints {
        let lint: Lint = name
            .get_ref()
            .parse()
            .map_err(|error| (line_of(name.span().start), format!("{error}")))?;
        let value = match level.get_ref().as_str() {
            "allow" => Level::Allow,
            "warn" => Level::Warn,
            "deny" => Level::Deny,
            other => {
                let message =
                    format!("unknown level '{other}', expected 'allow', 'warn' or 'deny'");
                return Err((line_of(level.span().start), message));
            }
        };
        levels.set(lint, value);
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_set_by_name() {
        let levels = read_levels("# ours\n[lints]\nmissing-since = \"deny\"\n").expect("good");
        assert_eq!(levels.level(Lint::MissingSince), Level::Deny);
        assert_eq!(levels.level(Lint::UnusedType), Level::Allow);
    }

    #[test]
    fn mistakes_have_a_line() {
        let line = |text| read_levels(text).expect_err("bad").0;
        assert_eq!(line("[lints]\nunused-type = \"warn\"\nfoo = \"deny\"\n"), 3);
        assert_eq!(line("[lints]\nunused-type = \"loud\"\n"), 2);
        assert_eq!(line("[lints]\nunused-type = 1\n"), 2);
        assert_eq!(line("\n[colours]\n"), 2);
        assert_eq!(line("[lints\n"), 1);
    }
}
