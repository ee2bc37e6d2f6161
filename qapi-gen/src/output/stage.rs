//! Files on their way into a folder.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::comparison::{Comparison, Likeness};
use super::lock::FolderLock;
use super::temporary::Temporary;
use super::{MARKER, OutputError, Piece, Summary, WARNING, at};
use crate::loader::open_regular;

/// What happens to files that differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Compare,
    Write,
}

/// Files on their way into a folder.
pub(super) struct Stage<'f> {
    folder: &'f Path,
    purpose: Purpose,
    summary: Summary,
    /// All files by their names in small letters, their kinds, and the folders that they are in.
    made: HashMap<String, PathBuf>,
    kinds: HashSet<OsString>,
    folders: BTreeSet<PathBuf>,
    /// Complete files, and the places that they are for.
    ready: Vec<(Temporary, PathBuf)>,
    /// Folders that were not there before.
    new_folders: Vec<PathBuf>,
    /// Keeps other runs waiting that write to the folder.
    lock: Option<FolderLock>,
    /// The file whose pieces are coming.
    large: Option<Large>,
}

/// A file that comes in pieces. It is compared with the one in its place and, if it may have to be written, written beside
/// it at the same time.
struct Large {
    path: PathBuf,
    /// The file that is in its place.
    found: Option<Comparison>,
    temporary: Option<(Temporary, File)>,
}

impl Large {
    fn push(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if let Some(found) = &mut self.found {
            found.push(bytes).map_err(at(&self.path, "read"))?;
        }
        match &mut self.temporary {
            Some((_, file)) => file.write_all(bytes).map_err(at(&self.path, "write")),
            None => Ok(()),
        }
    }

    /// How like the file in its place is, now that all of this one is there.
    fn likeness(&mut self) -> Result<Likeness, OutputError> {
        match self.found.take() {
            Some(found) => found.finish().map_err(at(&self.path, "read")),
            None => Ok(Likeness::Different),
        }
    }
}

impl<'f> Stage<'f> {
    pub(super) fn new(
        folder: &'f Path,
        others: &[&str],
        purpose: Purpose,
    ) -> Result<Self, OutputError> {
        let mut stage = Self {
            folder,
            purpose,
            summary: Summary::default(),
            made: HashMap::new(),
            kinds: HashSet::new(),
            folders: others.iter().map(|name| folder.join(name)).collect(),
            ready: Vec::new(),
            new_folders: Vec::new(),
            lock: None,
            large: None,
        };
        // What is there is compared, replaced and removed: two runs in turns would leave a bit of each.
        while purpose == Purpose::Write && !stage.lock.as_ref().is_some_and(FolderLock::holds) {
            stage.create_folders(folder)?;
            stage.lock = Some(FolderLock::wait_for(folder));
        }
        Ok(stage)
    }

    /// Compares a file with the one in its place; if they differ and it is to be written, it waits beside its place.
    pub(super) fn add(&mut self, piece: Piece<'_>) -> Result<(), OutputError> {
        let bytes = piece.text.as_bytes();
        let Some(mut file) = self.large.take() else {
            let path = self.folder.join(piece.path);
            self.note(&path)?;
            if piece.is_last {
                return self.add_whole(path, bytes);
            }
            self.large = Some(self.begin_large(path, bytes)?);
            return Ok(());
        };
        file.push(bytes)?;
        if !piece.is_last {
            self.large = Some(file);
            return Ok(());
        }
        let likeness = file.likeness()?;
        if likeness == Likeness::Same {
            self.summary.n_unchanged += 1;
            return Ok(());
        }
        let path = file.path;
        self.ready.extend(
            file.temporary
                .map(|(temporary, _)| (temporary, path.clone())),
        );
        self.changed(path, likeness);
        Ok(())
    }

    fn note(&mut self, path: &Path) -> Result<(), OutputError> {
        self.kinds.extend(path.extension().map(OsStr::to_owned));
        self.folders.extend(path.parent().map(Path::to_owned));
        match self.made.insert(small(path), path.to_owned()) {
            None => Ok(()),
            // Some file systems would have one of the two.
            Some(other) => {
                let reason = format!(
                    "'{}' differs from it in upper and lower case only",
                    other.display()
                );
                Err(at(path, "write")(io::Error::other(reason)))
            }
        }
    }

    fn changed(&mut self, path: PathBuf, likeness: Likeness) {
        match likeness {
            Likeness::LineEnds => self.summary.line_ends.push(path.clone()),
            Likeness::Same | Likeness::Different => {}
        }
        self.summary.changed.push(path);
    }

    fn add_whole(&mut self, path: PathBuf, contents: &[u8]) -> Result<(), OutputError> {
        match Found::at(&path, contents)? {
            Found::Same => {
                self.summary.n_unchanged += 1;
                return Ok(());
            }
            Found::Foreign => self.refuse(&path)?,
            Found::Nothing | Found::Ours => {}
        }
        let likeness = match self.purpose {
            Purpose::Compare => likeness(&path, contents).map_err(at(&path, "read"))?,
            Purpose::Write => {
                self.create_folders(path.parent().unwrap_or(Path::new("")))?;
                let temporary = Temporary::new(&path, contents).map_err(at(&path, "write"))?;
                self.ready.push((temporary, path.clone()));
                Likeness::Different
            }
        };
        self.changed(path, likeness);
        Ok(())
    }

    /// A file that is not ours is in the way.
    fn refuse(&self, path: &Path) -> Result<(), OutputError> {
        match self.purpose {
            Purpose::Compare => Ok(()),
            Purpose::Write => {
                let reason = io::Error::other("it is there already and not generated");
                Err(at(path, "write")(reason))
            }
        }
    }

    /// Takes the first piece of a file that has several.
    fn begin_large(&mut self, path: PathBuf, bytes: &[u8]) -> Result<Large, OutputError> {
        let found = match Found::at(&path, b"")? {
            Found::Nothing => None,
            Found::Foreign => {
                self.refuse(&path)?;
                None
            }
            Found::Same | Found::Ours => {
                let found = open_regular(&path).map_err(at(&path, "read"))?;
                Some(Comparison::new(found))
            }
        };
        let temporary = match self.purpose {
            Purpose::Compare => None,
            Purpose::Write => {
                self.create_folders(path.parent().unwrap_or(Path::new("")))?;
                Some(Temporary::open(&path).map_err(at(&path, "write"))?)
            }
        };
        let mut file = Large {
            path,
            found,
            temporary,
        };
        file.push(bytes)?;
        Ok(file)
    }

    fn create_folders(&mut self, folder: &Path) -> Result<(), OutputError> {
        let missing = folder.ancestors().filter(|it| !it.as_os_str().is_empty());
        let missing: Vec<&Path> = missing.take_while(|folder| !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) if folder.is_dir() => self.new_folders.push(folder.to_owned()),
                // Windows says so of devices.
                Ok(()) => {
                    let reason = io::Error::other("it is no folder");
                    return Err(at(folder, "create")(reason));
                }
                // Somebody else made it at the same time, or will say why nobody can.
                Err(_) if folder.is_dir() => {}
                Err(error) => return Err(at(folder, "create")(error)),
            }
        }
        Ok(())
    }

    /// Puts all files in their places and removes those that are no longer made.
    pub(super) fn finish(mut self) -> Result<Summary, OutputError> {
        self.summary.stale = self.stale_files()?;
        if self.purpose == Purpose::Write {
            for (_, path) in &self.ready {
                can_be_replaced(path).map_err(at(path, "write"))?;
            }
            for path in &self.summary.stale {
                can_be_replaced(path).map_err(at(path, "remove"))?;
            }
            self.new_folders.clear();
            for (temporary, path) in self.ready.drain(..) {
                temporary.persist(&path).map_err(at(&path, "write"))?;
            }
            for path in &self.summary.stale {
                match fs::remove_file(path) {
                    Ok(()) => {}
                    // Another run removed it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(at(path, "remove")(error)),
                }
            }
        }
        Ok(std::mem::take(&mut self.summary))
    }

    /// Generated files of the kinds that were made, which were not.
    fn stale_files(&self) -> Result<Vec<PathBuf>, OutputError> {
        let mut stale = Vec::new();
        for folder in &self.folders {
            let entries = match fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(folder, "list")(error)),
            };
            for entry in entries {
                let path = entry.map_err(at(folder, "list"))?.path();
                let is_candidate = path.extension().is_some_and(|it| self.kinds.contains(it))
                    && !self.is_made(&path)
                    && path.is_file();
                // Nothing equals a missing file, except an empty one, which has no owner.
                if is_candidate && Found::at(&path, b"")? == Found::Ours {
                    stale.push(path);
                }
            }
        }
        stale.sort();
        Ok(stale)
    }
}

impl Stage<'_> {
    /// Whether the file at `path` is one that was made, perhaps under a name that this file system takes for the same.
    fn is_made(&self, path: &Path) -> bool {
        let Some(made) = self.made.get(&small(path)) else {
            return false;
        };
        let real = |path: &Path| fs::canonicalize(path).ok();
        made == path || real(made).is_some_and(|made| real(path) == Some(made))
    }
}

/// Whether a file can be replaced and removed: on Windows nobody may have it open, and it may not be read-only.
fn can_be_replaced(path: &Path) -> io::Result<()> {
    #[cfg(windows)]
    {
        use std::os::windows::fs::OpenOptionsExt as _;

        const DELETE: u32 = 0x1_0000;

        let mut options = fs::OpenOptions::new();
        match options.access_mode(DELETE).share_mode(0).open(path) {
            Ok(_) if fs::metadata(path)?.permissions().readonly() => {
                return Err(io::Error::other("it is read-only"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let _ = path;
    Ok(())
}

/// What is the same for names that differ in upper and lower case only.
fn small(path: &Path) -> String {
    let names = path.components().map(|name| name.as_os_str());
    let names: Vec<_> = names
        .map(|name| name.to_string_lossy().to_lowercase())
        .collect();
    names.join("/")
}

/// How like the file at `path` is to `contents`.
fn likeness(path: &Path, contents: &[u8]) -> io::Result<Likeness> {
    let found = match open_regular(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Likeness::Different),
        Err(error) => return Err(error),
    };
    let mut comparison = Comparison::new(found);
    comparison.push(contents)?;
    comparison.finish()
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Nothing came of it: what was to be in these folders is gone.
        self.ready.clear();
        for folder in self.new_folders.drain(..).rev() {
            // Somebody may have put something there, who needs the folder then.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// How much of a file is looked at to tell whose it is.
const HEAD: u64 = 4096;

/// What is in the place of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Same,
    /// An older one, or one that is empty.
    Ours,
    Foreign,
}

impl Found {
    fn at(path: &Path, contents: &[u8]) -> Result<Self, OutputError> {
        let failed = || at(path, "read");
        let file = match open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(failed()(error)),
        };
        let size = file.metadata().map_err(failed())?.len();
        let is_comparable = size == contents.len() as u64;
        let n_bytes = if is_comparable { size.max(HEAD) } else { HEAD };
        let mut found = Vec::new();
        file.take(n_bytes)
            .read_to_end(&mut found)
            .map_err(failed())?;
        Ok(if is_comparable && found == contents {
            Self::Same
        } else if found.is_empty() || is_ours(&found) {
            Self::Ours
        } else {
            Self::Foreign
        })
    }
}

fn is_ours(contents: &[u8]) -> bool {
    let mut lines = contents.split(|byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default().trim_ascii_end();
    // The type of a document stands before everything else.
    let first = match next() {
        b"<!DOCTYPE html>" => next(),
        first => first,
    };
    let first = String::from_utf8_lossy(first);
    ["// ", "<!-- ", "/* ", ".\\\" "].iter().any(|comment| {
        let text = first.strip_prefix(comment).unwrap_or_default();
        text.starts_with(MARKER) && text.contains(WARNING)
    })
}
