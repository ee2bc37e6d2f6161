//! What the fuzz targets drive: each function takes any bytes, and panics where something is wrong.

use clap::Parser as _;
use rustix::fs::OFlags;

use crate::net::descriptors::DescriptorSets;
use crate::net::services;
use crate::options::Options;
use crate::{blockdev, chardev, devices, hmp, keyval, nbd, objects, qom, vhost_user_blk};

/// The handshake of an NBD client.
pub fn nbd_handshake(input: &[u8]) {
    nbd::fuzz::handshake(input);
}

/// Requests of an NBD client; the first byte chooses the export and what was negotiated.
pub fn nbd_requests(input: &[u8]) {
    nbd::fuzz::requests(input);
}

/// Messages of a vhost-user client, and a queue in the memory of a guest; the first byte chooses the disk.
pub fn vhost_user(input: &[u8]) {
    vhost_user_blk::fuzz::messages(input);
    vhost_user_blk::fuzz::queue(input);
}

/// The memory of a guest, as a vhost-user client describes it.
pub fn guest_memory(input: &[u8]) {
    vhost_user_blk::fuzz::memory(input);
}

/// Names that clients give for what there is: paths of objects and devices, places on buses, descriptors, services and where to
/// listen. The first line is the name, the others are a list of services.
pub fn names(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    let (name, list) = text.split_once('\n').unwrap_or((text, ""));
    qom::fuzz::path(name);
    devices::fuzz::names(name);
    hmp::fuzz::address(name);
    services::look_for(list, name);
    // There is no set.
    let opened = DescriptorSets::default().open(name, OFlags::RDWR);
    assert!(opened.is_none_or(|opened| opened.is_err()));
    let listed = format!("/dev/fdset/{name}");
    assert!(
        DescriptorSets::default()
            .open(&listed, OFlags::RDWR)
            .is_some()
    );
}

/// Messages of a vfio-user server.
pub fn vfio_user(input: &[u8]) {
    devices::fuzz::messages(input);
}

/// Packets of two copies of a guest; the first byte chooses their form.
pub fn colo(input: &[u8]) {
    objects::fuzz::comparison(input);
}

/// What is typed into a human monitor, and one line of it.
pub fn human_monitor(input: &[u8]) {
    hmp::fuzz::conversation(input);
    hmp::fuzz::line(input);
}

/// Options of the command line, and descriptions in the human monitor.
pub fn options(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    for pair in keyval::parse_options(text, "type") {
        // What is written in full means the same.
        let (key, value) = pair;
        let is_plain = !key.contains(['=', ',']) && !key.is_empty();
        let full = format!("{key}={}", value.replace(',', ",,"));
        if is_plain {
            assert_eq!(keyval::parse_options(&full, "type"), [(key, value)]);
        }
    }
    let _ = keyval::parse(text, "type");
    keyval::short_forms(text);
    let _ = blockdev::parse(text);
    let _ = chardev::parse(text);
    let _ = chardev::parse_backend(text);
    let _ = devices::parse(text);
    let _ = objects::parse(text);
    let _ = objects::parse_option(text);
    for option in [
        "qmp",
        "monitor",
        "limit",
        "qemu-version",
        "compat",
        "object",
        "device",
    ] {
        let words = ["iothreadd", &format!("--{option}"), text];
        if let Ok(options) = Options::try_parse_from(words) {
            options.limits();
            options.compat();
            options.help();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_names() {
        for text in [
            "",
            "/dev/fdset/1",
            "ssh\nssh 22/tcp # x\n",
            "/objects/a/b\n\n#",
            "unix:x",
        ] {
            names(text.as_bytes());
        }
        names(&[0xff, b'\n', 0xff]);
    }

    #[test]
    fn any_options() {
        for text in [
            "",
            "unix:/run/x,mode=600,id=a",
            "tcp:[::1]:1,pretty=on",
            "qmp=1M,nbd=2G",
            "iothread,id=io0,poll-max-ns=0x10",
            "socket,id=c,path=a,,b,server,nowait",
            "raw,node-name=r,file.driver=file,file.filename=x",
            "{\"driver\": \"null-co\"}",
            "a=,=b,,,c",
            "11.1.0,package=x",
            "help",
        ] {
            options(text.as_bytes());
        }
        options(&[0xff, b',', b'=']);
    }
}
