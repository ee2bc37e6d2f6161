//! Schemas of servers, kept from run to run.
//!
//! A file below `$XDG_CACHE_HOME/qmp` (`~/.cache/qmp`) has what a server of one version and package answered to
//! `query-qmp-schema`. Programs of one package differ, by architecture for one, and a file may be anything. So what a kept schema
//! refuses is asked of the server again before it is refused ([`crate::check`]), and a file is removed when the server refuses
//! what it allowed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use qapi_gen::internals::read_file;
use qapi_runtime::Value;
use qapi_runtime::client::Greeting;

use crate::system::cache_folder;

/// The longest part of a file's name that is the server's words.
const MAX_WORDS: usize = 80;

/// The file of one version and package.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    path: PathBuf,
}

impl Entry {
    /// The file for a server that greets so; `None` where there is no folder for it.
    pub(crate) fn of(greeting: &Greeting) -> Option<Self> {
        let path = cache_folder()?
            .join("qmp")
            .join(file_name(&greeting.version)?);
        Some(Self { path })
    }

    /// What was kept.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        read_file(&self.path).ok()
    }

    /// Keeps a schema. A cache that cannot be written is not used, and that is not an error.
    pub(crate) fn write(&self, schema: &[u8]) {
        // A failure costs a few milliseconds of the next run.
        let _ = self.try_write(schema);
    }

    fn try_write(&self, schema: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(schema)?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// The server is another one than this is of.
    pub(crate) fn remove(&self) {
        // It may have gone already.
        let _ = fs::remove_file(&self.path);
    }
}

/// The name for a version as greetings have it: what people can read of it, and a number for all of it.
fn file_name(version: &Value) -> Option<String> {
    let number = |part: &str| version.get("qemu")?.get(part)?.as_u64();
    let (major, minor, micro) = (number("major")?, number("minor")?, number("micro")?);
    let package = version.get("package").and_then(Value::as_str);
    let package = package.unwrap_or_default();
    let words: String = package
        .chars()
        .map(|ch| match ch {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '+' => ch,
            _ => '_',
        })
        .take(MAX_WORDS)
        .collect();
    let hash = fnv(package.as_bytes());
    Some(format!("{major}.{minor}.{micro}-{words}-{hash:016x}.json"))
}

/// FNV-1a, 64 bits: the same in every build.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_safe_and_distinct() {
        let name = |package: &str| {
            let qemu = [("major", 10), ("minor", 0), ("micro", 2)];
            let qemu = qemu.map(|(name, number)| (name.to_owned(), Value::Int(number)));
            let version = Value::from_iter([
                ("qemu".to_owned(), Value::from_iter(qemu)),
                ("package".to_owned(), Value::from(package)),
            ]);
            file_name(&version).expect("a version")
        };
        assert!(name("Debian 1:10").starts_with("10.0.2-Debian_1_10-"));
        assert_ne!(name("Debian 1:10"), name("Debian 1_10"));
        assert!(!name("../../x\u{1b}").contains(['/', '\u{1b}']));
        assert!(name(&"x".repeat(5000)).len() < 150);
        assert_eq!(file_name(&Value::Null), None);
    }
}
