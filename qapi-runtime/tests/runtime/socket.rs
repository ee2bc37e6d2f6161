//! Whose a path is.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Barrier;

use qapi_runtime::socket::{BindError, listen_abstract, listen_path};

/// Leaves a socket on which nobody listens.
fn leave_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
}

#[test]
fn what_a_server_leaves_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    leave_socket(&path);
    let (_socket, file) = listen_path(&path, Some(0o600)).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    UnixStream::connect(&path).unwrap();
    drop(file);
    assert!(!path.exists());
}

#[test]
fn what_lives_or_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let link = folder.path().join("link");
    let target = folder.path().join("target");
    leave_socket(&target);
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let dangling = folder.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    for path in [file.as_path(), &link, &dangling, folder.path()] {
        let error = listen_path(path, None).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AlreadyExists);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    assert!(link.is_symlink() && dangling.is_symlink() && target.exists());

    let stream = folder.path().join("stream");
    let _listener = UnixListener::bind(&stream).unwrap();
    let datagram = folder.path().join("datagram");
    let _datagram = UnixDatagram::bind(&datagram).unwrap();
    for path in [&stream, &datagram] {
        let error = listen_path(path, None).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }
    UnixStream::connect(&stream).unwrap();
}

#[test]
fn a_queue_that_is_full_belongs_to_a_server_that_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (socket, _file) = listen_path(&path, None).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let error = listen_path(&path, None).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
}

/// Of servers that start at the same time on what another one left behind, one gets the path, and clients reach that one.
#[test]
fn one_of_many_starters_gets_the_path() {
    const N_STARTERS: usize = 8;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    for _ in 0..200 {
        leave_socket(&path);
        let barrier = Barrier::new(N_STARTERS);
        let started = std::thread::scope(|scope| {
            let starters: Vec<_> = (0..N_STARTERS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        listen_path(&path, None)
                    })
                })
                .collect();
            let results = starters.into_iter().map(|it| it.join().unwrap());
            results.collect::<Vec<_>>()
        });
        let mut listening = Vec::new();
        for result in started {
            match result {
                Ok(started) => listening.push(started),
                Err(BindError::InUse { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(listening.len(), 1);
        let (socket, file) = listening.pop().unwrap();
        let client = UnixStream::connect(&path).unwrap();
        rustix::net::accept(&socket).unwrap();
        drop((client, file));
        assert!(!path.exists());
    }
}

#[test]
fn the_file_of_another_server_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let (_socket, file) = listen_path(&path, None).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(file);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_folder_that_somebody_keeps_locked_does_not_keep_a_server_out() {
    let folder = tempfile::tempdir().unwrap();
    let locked = std::fs::File::open(folder.path()).unwrap();
    locked.lock().unwrap();
    let (_socket, file) = listen_path(&folder.path().join("socket"), None).unwrap();
    UnixStream::connect(file.path()).unwrap();
}

#[test]
fn errors_name_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/socket");
    let text = listen_path(&path, None).unwrap_err().to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    let name_for = |length: usize| "x".repeat(length - folder.path().as_os_str().len() - 1);
    let (_socket, _file) = listen_path(&folder.path().join(name_for(108)), None).unwrap();
    let long = folder.path().join(name_for(109));
    let text = listen_path(&long, None).unwrap_err().to_string();
    assert!(text.contains("at most 108 bytes"), "{text}");
    let name = format!("qapi-runtime-socket-{}", std::process::id());
    let _socket = listen_abstract(name.as_bytes()).unwrap();
    let error = listen_abstract(name.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("socket '@{name}' is in use by a running server")
    );
}
