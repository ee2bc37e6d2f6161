//! Named pipes of Windows that are not what a client expects.

use std::io;
use std::time::Instant;

use qapi_runtime::client::LifelineState;
use tokio::net::windows::named_pipe::ServerOptions;

use super::*;

/// The two forms of a name.
fn named() -> (String, Address) {
    let name = unique("qapi-runtime-pipe");
    (format!(r"\\.\pipe\{name}"), Address::Pipe(name.into()))
}

/// Whether a name may have two owners, as it may under Wine 8.
pub(super) fn may_be_shared() -> bool {
    let (path, _) = named();
    let mut alone = ServerOptions::new();
    alone.first_pipe_instance(true);
    let _first = alone.create(&path).unwrap();
    alone.create(&path).is_ok()
}

fn check_io(error: &qapi_runtime::client::ClientError, expected: io::ErrorKind) {
    match error.kind() {
        ClientErrorKind::Io(error) if error.kind() == expected => {}
        _ => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_serves_another_client() {
    let (path, address) = named();
    // As QEMU has it: one client at a time.
    let mut one_at_a_time = ServerOptions::new();
    one_at_a_time.max_instances(1);
    let busy = one_at_a_time.create(&path).unwrap();
    let first = std::fs::File::options().read(true).write(true).open(&path);
    let hasty = || options(&address).handshake_timeout(SHORT);
    let start = Instant::now();
    for error in [
        blocking::Client::connect(hasty()).unwrap_err(),
        Client::connect(hasty()).await.unwrap_err(),
    ] {
        assert!(
            matches!(error.kind(), ClientErrorKind::TimedOut(_)),
            "{error:?}"
        );
        assert_eq!(error.lifeline(), Some(LifelineState::Busy), "{error:?}");
    }
    assert!(start.elapsed() >= 2 * SHORT);
    // It is free again while somebody waits.
    let waiting = options(&address);
    let waiting = std::thread::spawn(move || blocking::Client::connect(waiting));
    tokio::time::sleep(SHORT).await;
    drop((first, busy));
    let server = server();
    let mut listening = server
        .listen(&ListenAddress::Pipe(path.clone().into()))
        .await;
    while listening.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        listening = server
            .listen(&ListenAddress::Pipe(path.clone().into()))
            .await;
    }
    // The client may have met the moment in which there was no pipe.
    if let Err(error) = waiting.join().unwrap() {
        check_io(&error, io::ErrorKind::NotFound);
    }
    Client::connect(options(&address)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_that_are_not_there_or_of_another_kind() {
    let (path, address) = named();
    let error = blocking::Client::connect(options(&address)).unwrap_err();
    check_io(&error, io::ErrorKind::NotFound);
    let error = Client::connect(options(&address)).await.unwrap_err();
    check_io(&error, io::ErrorKind::NotFound);
    // It says something and listens to nobody.
    let _one_way = ServerOptions::new()
        .access_inbound(false)
        .create(&path)
        .unwrap();
    let error = blocking::Client::connect(options(&address)).unwrap_err();
    check_io(&error, io::ErrorKind::PermissionDenied);
    let error = Client::connect(options(&address)).await.unwrap_err();
    check_io(&error, io::ErrorKind::PermissionDenied);
    // A drive.
    let drive = Address::Pipe(r"\\.\C:".into());
    let error = blocking::Client::connect(options(&drive)).unwrap_err();
    check_io(&error, io::ErrorKind::InvalidInput);
}

/// A server that is killed in the middle of a command.
#[tokio::test(flavor = "multi_thread")]
async fn pipes_that_break() {
    let (path, address) = named();
    for is_blocking in [true, false] {
        let pipe = ServerOptions::new().create(&path).unwrap();
        let served = tokio::spawn(async move {
            pipe.connect().await.unwrap();
            let greeting = b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
            pipe.writable().await.unwrap();
            assert_eq!(pipe.try_write(greeting).unwrap(), greeting.len());
            pipe.readable().await.unwrap();
        });
        let error = match is_blocking {
            true => {
                let connecting = options(&address);
                let connect = move || blocking::Client::connect(connecting).unwrap_err();
                tokio::task::spawn_blocking(connect).await.unwrap()
            }
            false => Client::connect(options(&address)).await.unwrap_err(),
        };
        assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
        served.await.unwrap();
    }
}
