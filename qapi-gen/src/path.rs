//! Paths by names alone: no file is looked at. How a system writes them is a parameter, so that tests on any system know all of
//! them.

/// How a system writes paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    Unix,
    Windows,
}

impl Syntax {
    /// That of the system that runs this.
    pub(crate) const HOST: Self = if cfg!(windows) {
        Self::Windows
    } else {
        Self::Unix
    };

    fn is_separator(self, ch: char) -> bool {
        ch == '/' || (ch == '\\' && self == Self::Windows)
    }

    fn separator(self) -> &'static str {
        match self {
            Self::Unix => "/",
            Self::Windows => "\\",
        }
    }
}

/// What stands before the names of a path: a drive, a share or a device of Windows, and nothing elsewhere.
#[derive(Debug, Default)]
struct Volume {
    /// Its bytes in the path.
    len: usize,
    /// The same text for all ways to write it.
    name: String,
    /// After it `/` is a character, and `.` and `..` are names: Windows takes the path as it is.
    is_verbatim: bool,
    /// The path starts at the volume's root, whatever comes.
    is_rooted: bool,
}

impl Volume {
    fn of(path: &str, syntax: Syntax) -> Self {
        match syntax {
            Syntax::Unix => Self::default(),
            Syntax::Windows => Self::of_windows(path),
        }
    }

    fn of_windows(path: &str) -> Self {
        let is_separator = |ch| Syntax::Windows.is_separator(ch);
        if let Some(rest) = path.strip_prefix(r"\\?\") {
            return Self::of_verbatim(path, rest);
        }
        if let Some(rest) = path
            .strip_prefix(is_separator)
            .and_then(|rest| rest.strip_prefix(is_separator))
            .filter(|rest| !rest.is_empty())
        {
            // `\\server\share` and `\\.\device`.
            let share = words(rest, 2, is_separator);
            let name = format!(r"\\{}", rest[..share].replace('/', r"\")).to_ascii_lowercase();
            return Self {
                len: path.len() - rest.len() + share,
                name,
                is_verbatim: false,
                is_rooted: true,
            };
        }
        match drive(path) {
            Some(name) => Self {
                len: name.len(),
                name,
                is_verbatim: false,
                is_rooted: path[2..].starts_with(is_separator),
            },
            None => Self::default(),
        }
    }

    /// Of a path that begins with `\\?\`, and goes on with `rest`.
    fn of_verbatim(path: &str, rest: &str) -> Self {
        let is_separator = |ch| ch == '\\';
        let start = path.len() - rest.len();
        let unc = rest.get(..4).filter(|it| it.eq_ignore_ascii_case(r"UNC\"));
        let (len, name) = match (unc, drive(rest)) {
            (Some(unc), _) => {
                let share = &rest[unc.len()..];
                let len = words(share, 2, is_separator);
                let name = format!(r"\\{}", &share[..len]).to_ascii_lowercase();
                (unc.len() + len, name)
            }
            (None, Some(name)) if matches!(rest[2..].chars().next(), None | Some('\\')) => {
                (name.len(), name)
            }
            (None, _) => {
                let len = words(rest, 1, is_separator);
                (len, path[..start + len].to_ascii_lowercase())
            }
        };
        Self {
            len: start + len,
            name,
            is_verbatim: true,
            is_rooted: true,
        }
    }
}

/// `X:`, if `path` begins with a drive.
fn drive(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let is_drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    is_drive.then(|| path[..2].to_ascii_uppercase())
}

/// The length of the first `n` words of `text`.
fn words(text: &str, n: usize, is_separator: impl Fn(char) -> bool) -> usize {
    let mut ends = text.match_indices(is_separator).map(|(at, _)| at);
    ends.nth(n - 1).unwrap_or(text.len())
}

/// A path without what changes nothing: `.`, what `..` takes back, and separators that stand twice.
#[derive(Debug, PartialEq, Eq)]
struct Normal<'p> {
    volume: String,
    is_rooted: bool,
    names: Vec<&'p str>,
}

impl<'p> Normal<'p> {
    fn of(path: &'p str, syntax: Syntax) -> Self {
        let volume = Volume::of(path, syntax);
        let rest = &path[volume.len..];
        let is_separator = |ch| match volume.is_verbatim {
            true => ch == '\\',
            false => syntax.is_separator(ch),
        };
        let is_rooted = volume.is_rooted || rest.starts_with(is_separator);
        Self {
            is_rooted,
            names: plain_names(rest.split(is_separator), is_rooted),
            volume: volume.name,
        }
    }

    fn has_same_start(&self, other: &Self) -> bool {
        (&self.volume, self.is_rooted) == (&other.volume, other.is_rooted)
    }

    fn written(&self, separator: &str) -> String {
        let root = if self.is_rooted { separator } else { "" };
        format!("{}{root}{}", self.volume, self.names.join(separator))
    }
}

fn plain_names<'p>(names: impl Iterator<Item = &'p str>, is_rooted: bool) -> Vec<&'p str> {
    let mut plain = Vec::new();
    for name in names {
        match name {
            "" | "." => {}
            ".." if plain.last().is_some_and(|last| *last != "..") => {
                plain.pop();
            }
            // A root has nothing above it.
            ".." if is_rooted => {}
            _ => plain.push(name),
        }
    }
    plain
}

/// What all ways to write `path` have in common.
pub(crate) fn normal(path: &str, syntax: Syntax) -> String {
    Normal::of(path, syntax).written(syntax.separator())
}

/// `path` seen from `folder`, with `/` between its names. `None` if the two start at different places, such as the current folder
/// and the root, or two drives.
pub(crate) fn relative(folder: &str, path: &str, syntax: Syntax) -> Option<String> {
    let (folder, path) = (Normal::of(folder, syntax), Normal::of(path, syntax));
    if !folder.has_same_start(&path) {
        return None;
    }
    let pairs = folder.names.iter().zip(&path.names);
    let n_common = pairs.take_while(|(left, right)| left == right).count();
    let up = std::iter::repeat_n("..", folder.names.len() - n_common);
    let names: Vec<&str> = up.chain(path.names[n_common..].iter().copied()).collect();
    Some(names.join("/"))
}

/// `path` from where it starts, with `/` between its names.
pub(crate) fn whole(path: &str, syntax: Syntax) -> String {
    Normal::of(path, syntax).written("/")
}

/// The folder of `path`, as it is written there.
pub(crate) fn folder(path: &str, syntax: Syntax) -> &str {
    let volume = Volume::of(path, syntax).len;
    match path[volume..].rfind(|ch| syntax.is_separator(ch)) {
        // The root is a folder, too.
        Some(0) => &path[..volume + 1],
        Some(end) => &path[..volume + end],
        None => &path[..volume],
    }
}

/// `name`, which stands in the file `including`, from where that one's path starts. As the reference writes it: one separator
/// after the folder, the one that is there already, and nothing else is changed.
pub(crate) fn join(including: &str, name: &str, syntax: Syntax) -> String {
    let is_separator = |ch| syntax.is_separator(ch);
    let volume = Volume::of(including, syntax);
    if Volume::of(name, syntax).len > 0 {
        return name.to_owned();
    }
    let (start, rest) = including.split_at(volume.len);
    let joined = match rest.rfind(is_separator) {
        // The root of the same drive.
        _ if name.starts_with(is_separator) => name.to_owned(),
        None => name.to_owned(),
        Some(at) => {
            let (folder, separator) = (&rest[..at], &rest[at..=at]);
            match folder.trim_end_matches(is_separator) {
                // The root folder has no name of its own.
                "" => format!("{folder}{separator}{name}"),
                folder => format!("{folder}{separator}{name}"),
            }
        }
    };
    if volume.is_verbatim {
        // Windows would look for a folder `..`.
        let names = plain_names(joined.split(is_separator), true);
        return format!(r"{start}\{}", names.join(r"\"));
    }
    format!("{start}{joined}")
}

/// Whether Windows has a device of this name in every folder, so that no file can be called so, whatever its extension.
pub(crate) fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    match &*stem {
        "con" | "prn" | "aux" | "nul" => true,
        _ => {
            let number = stem
                .strip_prefix("com")
                .or_else(|| stem.strip_prefix("lpt"));
            // Superscripts are numbers to Windows.
            number.is_some_and(|number| {
                let mut digits = number.chars();
                let is_digit = |ch| matches!(ch, '0'..='9' | '¹' | '²' | '³');
                digits.next().is_some_and(is_digit) && digits.next().is_none()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Syntax::{Unix, Windows};
    use super::*;

    #[test]
    fn modules_are_named_from_the_main_folder() {
        let from = |folder: &str, path: &str| relative(folder, path, Unix);
        assert_eq!(from("", "a.json").as_deref(), Some("a.json"));
        assert_eq!(from("x/y", "x/y/sub/a.json").as_deref(), Some("sub/a.json"));
        assert_eq!(from("x/y", "x/y/sub/../b.json").as_deref(), Some("b.json"));
        let above = from("x/y", "x/y/../../q/b.json");
        assert_eq!(above.as_deref(), Some("../../q/b.json"));
        assert_eq!(from("/x", "/../y/a.json").as_deref(), Some("../y/a.json"));
        assert_eq!(from("x", "/x/a.json"), None);
        // A backslash is a character.
        assert_eq!(from("", r"a\b.json").as_deref(), Some(r"a\b.json"));
    }

    #[test]
    fn modules_have_slashes_on_windows() {
        let from = |folder: &str, path: &str| relative(folder, path, Windows);
        for (folder, path) in [
            ("x", r"x\sub\a.json"),
            (r"x\", "x/sub/a.json"),
            (r"C:\x", "c:/x/y/../sub/a.json"),
            (r"C:\x", r"\\?\C:\x\sub\a.json"),
            ("C:x", r"C:x\sub\a.json"),
            (r"\\Server\share\x", "//server/Share/x/sub/a.json"),
            (r"\\server\share\x", r"\\?\UNC\server\share\x\sub\a.json"),
            (r"\x", "/x/sub/a.json"),
        ] {
            let name = from(folder, path);
            assert_eq!(name.as_deref(), Some("sub/a.json"), "{folder} {path}");
        }
        let above = from(r"C:\x\y", r"C:\x\q\b.json");
        assert_eq!(above.as_deref(), Some("../q/b.json"));
        for (folder, path) in [
            (r"C:\x", r"D:\x\a.json"),
            (r"C:\x", r"C:x\a.json"),
            (r"C:\x", r"\x\a.json"),
            (r"\\server\one", r"\\server\two\a.json"),
        ] {
            assert_eq!(from(folder, path), None, "{folder} {path}");
        }
        assert_eq!(whole(r"d:\x\.\a.json", Windows), "D:/x/a.json");
    }

    #[test]
    fn ways_to_write_a_path_are_one() {
        let one = |syntax, paths: &[&str]| {
            for path in paths {
                assert_eq!(normal(path, syntax), paths[0], "{path}");
            }
        };
        one(Unix, &["/x/b", "/x/b/", "//x/./b", "/x/a/../b", "/../x/b"]);
        one(Unix, &["../b", "./../b", "a/../../b"]);
        one(Unix, &[r"a\..\b"]);
        one(
            Windows,
            &["b.json", "./b.json", r"a\..\b.json", r".\b.json"],
        );
        one(
            Windows,
            &[
                r"C:\x\b.json",
                "c:/x/b.json",
                r"C:\x/a\../b.json",
                r"C:\..\x\b.json",
                r"\\?\C:\x\b.json",
                r"\\?\c:\x\b.json",
            ],
        );
        one(Windows, &["C:b.json", r"c:.\b.json", r"C:a\..\b.json"]);
        one(
            Windows,
            &[
                r"\\server\share\b.json",
                "//SERVER/Share/b.json",
                r"\\server\share\..\b.json",
                r"\\?\UNC\server\share\b.json",
                r"\\?\unc\server\share\b.json",
            ],
        );
        one(Windows, &[r"\\.\pipe\a", r"//./pipe/a"]);
        // Nothing but a backslash separates here, and Windows looks for what is written.
        assert_eq!(normal(r"\\?\C:\x/b", Windows), r"C:\x/b");
        assert_eq!(normal("", Windows), "");
        assert_eq!(normal(r"\\", Windows), r"\");
        assert_eq!(normal(r"\\?\", Windows), r"\\?\\");
        assert_eq!(normal("é:b", Windows), "é:b");
    }

    #[test]
    fn included_files_are_named_as_the_including_one() {
        let joined = |including, name, expected: &str| {
            assert_eq!(join(including, name, Unix), expected, "{including} {name}");
        };
        joined("main.json", "a.json", "a.json");
        joined("x/main.json", "../a.json", "x/../a.json");
        joined("x//main.json", "a.json", "x/a.json");
        joined("/main.json", "a.json", "/a.json");
        joined("//main.json", "a.json", "//a.json");
        joined("x/main.json", "/a.json", "/a.json");
        joined(r"x\main.json", "a.json", "a.json");
        let joined = |including, name, expected: &str| {
            let found = join(including, name, Windows);
            assert_eq!(found, expected, "{including} {name}");
        };
        joined(r"x\main.json", "sub/a.json", r"x\sub/a.json");
        joined("x/main.json", r"sub\a.json", r"x/sub\a.json");
        joined(r"x\\main.json", "a.json", r"x\a.json");
        joined("C:main.json", "a.json", "C:a.json");
        joined(r"C:\main.json", "a.json", r"C:\a.json");
        joined(r"C:\x\main.json", r"\a.json", r"C:\a.json");
        joined(r"C:\x\main.json", "D:a.json", "D:a.json");
        joined(
            r"\\server\share\x\main.json",
            "/a.json",
            r"\\server\share/a.json",
        );
        joined(
            r"\\server\share\main.json",
            "a.json",
            r"\\server\share\a.json",
        );
        joined(r"\\?\C:\x\main.json", "../sub/a.json", r"\\?\C:\sub\a.json");
        joined(
            r"\\?\C:\x\main.json",
            r"\\server\share\a.json",
            r"\\server\share\a.json",
        );
    }

    #[test]
    fn folders_are_as_they_are_written() {
        assert_eq!(folder("x/y/a.json", Unix), "x/y");
        assert_eq!(folder("/a.json", Unix), "/");
        assert_eq!(folder(r"x\a.json", Unix), "");
        assert_eq!(folder(r"x/y\a.json", Windows), "x/y");
        assert_eq!(folder(r"C:\a.json", Windows), r"C:\");
        assert_eq!(folder("C:a.json", Windows), "C:");
        assert_eq!(folder(r"\\s\t\a.json", Windows), r"\\s\t\");
    }

    #[test]
    fn devices_have_no_files() {
        for name in ["con", "NUL", "Aux", "prn", "com1", "LPT9", "com0", "com¹"] {
            assert!(is_device(name), "{name}");
        }
        for name in [
            "", "com", "com10", "console", "lpt", "nul_", "comx", "com-1",
        ] {
            assert!(!is_device(name), "{name}");
        }
    }
}
