//! Which process a domain is.

use std::fs;
use std::path::Path;

use super::Domain;
use crate::system;

/// The process that was started with the domain's UUID and runs its emulator; nothing if no such process can be seen, or
/// more than one: then nobody knows which it is.
///
/// libvirt tells no process. Anybody can give a command such arguments, but not make another program of it; whoever can start
/// the emulator itself with that UUID may show threads of theirs as the domain's.
pub(crate) fn find(domain: &Domain) -> Option<u32> {
    if domain.uuid.is_empty() {
        return None;
    }
    let mut found = system::processes().filter(|process| is_it(*process, domain));
    match (found.next(), found.next()) {
        (Some(process), None) => Some(process),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

/// Whether it still is.
pub(super) fn is_it(process: u32, domain: &Domain) -> bool {
    let arguments = system::arguments(process);
    let arguments: Vec<&[u8]> = arguments.split(|it| *it == 0).collect();
    let has_uuid = arguments
        .windows(2)
        .any(|it| it[0] == b"-uuid" && it[1] == domain.uuid.as_bytes());
    if !has_uuid {
        return false;
    }
    let program = system::program(process);
    let emulator = fs::canonicalize(Path::new(&domain.emulator));
    matches!((program, emulator), (Some(program), Ok(emulator)) if program == emulator)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// A program that only says that it is the domain is not.
    #[test]
    fn a_process_is_told_by_uuid_and_program() {
        let sleep = |uuid: &str| {
            let script = "read line";
            Command::new("sh")
                .args(["-c", script, "-uuid", uuid])
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let uuid = format!("00000000-0000-4000-8000-{:012}", std::process::id());
        let mut child = sleep(&uuid);
        // It is another program until it has become this one.
        let program = fs::canonicalize("/bin/sh").unwrap();
        let of = |emulator: &Path| Domain {
            uuid: uuid.clone(),
            emulator: emulator.display().to_string(),
            ..Domain::default()
        };
        ::tests::eventually(|| find(&of(&program)) == Some(child.id()));
        assert_eq!(find(&of(Path::new("/bin/cat"))), None);
        let mut twin = sleep(&uuid);
        ::tests::eventually(|| find(&of(&program)).is_none());
        for child in [&mut child, &mut twin] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
