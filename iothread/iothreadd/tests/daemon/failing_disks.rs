//! Disks that lose what they were given: nobody is told that it is safe.

use std::path::Path;

use rustix::io::Errno;
use serde_json::{Value, json};
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserConfigFlags;

use crate::fuse_disk::{FuseDisk, Writes};
use crate::guest::{self, DATA, Guest};
use crate::harness::{Client, Server};
use crate::nbd::{self, Nbd, TRIM, WRITE, WRITE_ZEROES};
use crate::thin_disk::{PROMISED, ThinDisk};

const FUA: u16 = 1;

const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// A server with a node on a disk, and an export "e" of it.
struct Fixture {
    server: Server,
    client: Client,
}

impl Fixture {
    fn new(disk: &Path) -> Self {
        let server = Server::start(&["--object", "iothread,id=io0"]);
        let mut client = server.client();
        let socket = server.folder().join("nbd");
        let address = json!({"type": "unix", "data": {"path": socket}});
        client.execute("nbd-server-start", json!({"addr": address}));
        let mut fixture = Self { server, client };
        fixture.open(disk);
        fixture
    }

    /// Opens the disk, once more after `close`.
    fn open(&mut self, disk: &Path) {
        let node = json!({"driver": "file", "node-name": "n0", "filename": disk, "locking": "off"});
        self.client.execute("blockdev-add", node);
        self.export("e", "n0", &json!({"iothread": "io0"}));
    }

    fn close(&mut self) {
        for export in ["e", "w", "late"] {
            let deletion = json!({"id": export, "mode": "hard"});
            self.client.execute("block-export-del", deletion);
            while self.client.event()["data"] != json!({"id": export}) {}
        }
        for node in ["w0", "n0"] {
            let deletion = json!({"node-name": node});
            self.client.execute("blockdev-del", deletion);
        }
    }

    fn export(&mut self, id: &str, node: &str, more: &Value) {
        let mut export =
            json!({"type": "nbd", "id": id, "name": id, "node-name": node, "writable": true});
        for (name, value) in more.as_object().unwrap() {
            export[name] = value.clone();
        }
        self.client.execute("block-export-add", export);
    }

    fn nbd(&self, export: &str) -> Nbd {
        Nbd::open(&self.server.folder().join("nbd"), export)
    }

    fn guest_socket(&self) -> std::path::PathBuf {
        self.server.folder().join("vhost")
    }

    /// A guest with a disk of the same node.
    fn guest(&mut self) -> Guest {
        let socket = self.guest_socket();
        let options = json!({"type": "vhost-user-blk", "id": "g", "node-name": "n0", "writable": true,
                             "addr": {"type": "unix", "path": socket}});
        self.client.execute("block-export-add", options);
        Guest::start(&socket, 1, 0)
    }
}

/// Once a flush has failed, nothing is safe any more for anybody, until the node is opened again.
fn check_that_a_failure_is_remembered(
    mut it: Fixture,
    disk: &Path,
    lose: impl FnOnce(&mut Nbd),
    mend: impl FnOnce(),
) {
    let mut first = it.nbd("e");
    let mut second = it.nbd("e");
    let mut guest = it.guest();
    // Nodes above, too.
    let above = json!({"driver": "raw", "node-name": "w0", "file": "n0", "discard": "unmap"});
    it.client.execute("blockdev-add", above);
    it.export("w", "w0", &json!({}));
    let mut third = it.nbd("w");
    for nbd in [&mut first, &mut second, &mut third] {
        assert_eq!(nbd.exchange(nbd::FLUSH, 0, 0, 0), 0);
    }
    assert_eq!(guest.request(0, guest::FLUSH, 0, &[]), 0);

    lose(&mut first);
    // An export that comes later has the same node.
    it.export("late", "n0", &json!({"writethrough": true}));
    let mut late = it.nbd("late");
    for _ in 0..2 {
        for nbd in [&mut first, &mut second, &mut third, &mut late] {
            assert_eq!(nbd.exchange(nbd::FLUSH, 0, 0, 0), EIO);
            // They may fail before they come to the flush.
            for command in [TRIM, WRITE_ZEROES] {
                assert!([EIO, ENOSPC].contains(&nbd.exchange(command, FUA, 0, 4096)));
            }
            let cookie = nbd.request(WRITE, FUA, 0, 512);
            nbd.send(&[1; 512]);
            assert_eq!(nbd.simple(), (cookie, EIO));
        }
        // Every write of this one.
        let cookie = late.request(WRITE, 0, 0, 512);
        late.send(&[1; 512]);
        assert_eq!(late.simple(), (cookie, EIO));
        assert_eq!(guest.request(0, guest::FLUSH, 0, &[]), 1);
        // Writes of a guest that has switched its cache off, and does not flush.
        for is_cached in [0, 1] {
            let flags = VhostUserConfigFlags::empty();
            guest.frontend.set_config(32, flags, &[is_cached]).unwrap();
            let data = [(guest::DATA, 512, 0)];
            let written = guest.request(0, guest::OUT, 0, &data);
            assert_eq!(written, 1 - is_cached);
        }
    }
    // What can be read is read.
    first.read(0, 4096);

    drop(guest);
    it.client
        .execute("block-export-del", json!({"id": "g", "mode": "hard"}));
    it.close();
    mend();
    it.open(disk);
    let mut again = it.nbd("e");
    again.write(0, &[2; 4096]);
    assert_eq!(again.exchange(nbd::FLUSH, 0, 0, 0), 0);
}

#[test]
fn a_device_without_room_stays_failed() {
    let Some(disk) = ThinDisk::new(8 << 20) else {
        return;
    };
    let it = Fixture::new(disk.device());
    let lose = |nbd: &mut Nbd| {
        // More than there is room for; the host finds out when it writes back.
        let data = vec![7; 1 << 20];
        for piece in 16..PROMISED >> 20 {
            // Some of them may fail at once.
            nbd.request(WRITE, 0, piece << 20, 1 << 20);
            nbd.send(&data);
            nbd.simple();
        }
        let error = nbd.exchange(nbd::FLUSH, 0, 0, 0);
        assert_ne!(error, 0);
    };
    check_that_a_failure_is_remembered(it, disk.device(), lose, || disk.make_room());
}

#[test]
fn a_write_back_that_fails_is_not_forgotten() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Back) else {
        return;
    };
    let it = Fixture::new(&disk.path());
    let lose = |nbd: &mut Nbd| {
        nbd.write(8192, &[9; 4096]);
        disk.set_write_error(Some(Errno::IO));
        assert_eq!(nbd.exchange(nbd::FLUSH, 0, 0, 0), EIO);
        disk.set_write_error(None);
        assert_eq!(disk.stored(8192, 4096), [0; 4096], "it is lost");
    };
    check_that_a_failure_is_remembered(it, &disk.path(), lose, || ());
}

#[test]
fn a_flush_that_fails_once_is_not_repeated() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let it = Fixture::new(&disk.path());
    let lose = |nbd: &mut Nbd| {
        disk.fail_syncs(&[Errno::NOSPC]);
        assert_eq!(nbd.exchange(nbd::FLUSH, 0, 0, 0), ENOSPC);
        let n_syncs = disk.n_syncs();
        assert_eq!(nbd.exchange(nbd::FLUSH, 0, 0, 0), EIO);
        assert_eq!(disk.n_syncs(), n_syncs);
    };
    check_that_a_failure_is_remembered(it, &disk.path(), lose, || ());
}

/// Each write is lost or not; a flush that succeeds promises that none before it was.
#[test]
fn no_flush_succeeds_after_a_write_that_was_lost() {
    const PIECE: usize = 64 << 10;
    for is_guest in [false, true] {
        let Some(disk) = ThinDisk::new(8 << 20) else {
            return;
        };
        let mut it = Fixture::new(disk.device());
        let mut nbds = [it.nbd("e"), it.nbd("e")];
        let mut guest = it.guest();
        let n_pieces = (40 << 20) / PIECE;
        let mut written: Vec<(u64, u8)> = Vec::new();
        let mut n_promised = 0;
        let mut n_refused = 0;
        for number in 0..n_pieces {
            let offset = number as u64 * PIECE as u64;
            let fill = u8::try_from(number % 251).unwrap() + 1;
            let is_written = if is_guest {
                guest.write(DATA, &vec![fill; PIECE]);
                let data = [(DATA, u32::try_from(PIECE).unwrap(), 0)];
                guest.request(0, guest::OUT, offset / 512, &data) == 0
            } else {
                let nbd = &mut nbds[number % 2];
                nbd.request(WRITE, 0, offset, u32::try_from(PIECE).unwrap());
                nbd.send(&vec![fill; PIECE]);
                nbd.simple().1 == 0
            };
            if is_written {
                written.push((offset, fill));
            }
            if number % 16 == 15 {
                // Who asks next may not have seen the failure of the one before.
                let [first, second] = &mut nbds;
                let flush = |nbd: &mut Nbd| nbd.exchange(nbd::FLUSH, 0, 0, 0) == 0;
                for is_safe in [
                    flush(first),
                    guest.request(0, guest::FLUSH, 0, &[]) == 0,
                    flush(second),
                ] {
                    if is_safe {
                        n_promised = written.len();
                    } else {
                        n_refused += 1;
                    }
                }
            }
        }
        assert!(n_promised > 0, "nothing is safe although there was room");
        assert!(n_refused > 0, "there was room for everything");
        for (offset, fill) in &written[..n_promised] {
            let stored = disk.stored(*offset, PIECE);
            assert!(
                stored.iter().all(|byte| byte == fill),
                "the piece at {offset} is lost"
            );
        }
    }
}

/// With FUA it is on stable storage when it is done, whether the node discards anything or not.
#[test]
fn what_is_trimmed_with_fua_is_synchronised() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let mut it = Fixture::new(&disk.path());
    let above = json!({"driver": "raw", "node-name": "w0", "file": "n0", "discard": "unmap"});
    it.client.execute("blockdev-add", above);
    let discarding = json!({"driver": "file", "node-name": "d0", "filename": disk.path(), "locking": "off",
                            "discard": "unmap"});
    it.client.execute("blockdev-add", discarding);
    for (id, node) in [("w", "w0"), ("d", "d0")] {
        it.export(id, node, &json!({}));
    }
    it.export("through", "d0", &json!({"writethrough": true}));
    for (export, flags, is_synced) in [
        ("e", 0, false),
        ("e", FUA, true),
        ("w", FUA, true),
        ("d", 0, false),
        ("d", FUA, true),
        ("through", 0, true),
    ] {
        let before = disk.n_syncs();
        let mut nbd = it.nbd(export);
        assert_eq!(nbd.exchange(TRIM, flags, 0, 4096), 0);
        assert_eq!(
            disk.n_syncs() - before,
            usize::from(is_synced),
            "{export}, {flags}"
        );
    }
}

/// A signal in the middle of a system call is not a failure of the disk.
#[test]
fn what_is_interrupted_is_tried_again() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let it = Fixture::new(&disk.path());
    let mut nbd = it.nbd("e");
    for command in [WRITE_ZEROES, nbd::FLUSH] {
        disk.interrupt(3);
        let length = if command == nbd::FLUSH { 0 } else { 4096 };
        assert_eq!(nbd.exchange(command, 0, 0, length), 0);
        assert_eq!(disk.n_interruptions(), 0);
    }
    disk.interrupt(3);
    nbd.write(0, &[1; 4096]);
    assert_eq!(disk.n_interruptions(), 0);
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_else() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let mut it = Fixture::new(&disk.path());
    it.client.add_node("null");
    it.export("null", "null", &json!({"iothread": "io0"}));
    let mut stuck = it.nbd("e");
    disk.hang();
    let cookie = stuck.request(nbd::FLUSH, 0, 0, 0);
    disk.wait_for_held(1);
    let mut other = it.nbd("null");
    other.write(0, &[1; 4096]);
    assert_eq!(other.exchange(nbd::FLUSH, 0, 0, 0), 0);
    it.export("later", "n0", &json!({}));
    it.client
        .execute("block-export-del", json!({"id": "later"}));
    disk.resume();
    assert_eq!(stuck.simple(), (cookie, 0));
}
