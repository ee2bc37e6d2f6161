use super::*;
use crate::json::Document;

/// A schema of everything: branches in branches, alternates, lists, features, an enumeration as before QEMU 6.2.
const TOLD: &str = r##"[
    {"name": "add", "meta-type": "command", "arg-type": "node", "ret-type": "empty", "features": ["old"]},
    {"name": "look", "meta-type": "command", "arg-type": "empty", "ret-type": "[node]"},
    {"name": "ways", "meta-type": "command", "arg-type": "empty", "ret-type": "[way]"},
    {"name": "[way]", "meta-type": "array", "element-type": "way"},
    {"name": "device_add", "meta-type": "command", "arg-type": "empty", "ret-type": "empty"},
    {"name": "GONE", "meta-type": "event", "arg-type": "gone", "features": ["new"]},
    {"name": "empty", "meta-type": "object", "members": []},
    {"name": "[node]", "meta-type": "array", "element-type": "node"},
    {"name": "gone", "meta-type": "object", "members": [{"name": "id", "type": "str"}]},
    {"name": "node", "meta-type": "object", "tag": "driver", "members": [
        {"name": "driver", "type": "driver"}, {"name": "name", "type": "str", "default": null, "features": ["unstable"]}],
        "variants": [{"case": "file", "type": "file"}, {"case": "copy", "type": "copy"}]},
    {"name": "driver", "meta-type": "enum", "members": [{"name": "file"}, {"name": "copy", "features": ["slow"]}]},
    {"name": "file", "meta-type": "object", "features": ["dynamic"], "members": [{"name": "path", "type": "str"}, {"name": "aio", "type": "aio"}]},
    {"name": "aio", "meta-type": "enum", "values": ["threads", "native"]},
    {"name": "copy", "meta-type": "object", "tag": "way", "members": [
        {"name": "way", "type": "way"}, {"name": "from", "type": "ref"}, {"name": "log", "type": "[ref]"}, {"name": "tags", "type": "any"}],
        "variants": [{"case": "fast", "type": "fast"}, {"case": "safe", "type": "empty"}]},
    {"name": "way", "meta-type": "enum", "members": [{"name": "fast"}, {"name": "safe"}]},
    {"name": "fast", "meta-type": "object", "members": [{"name": "jobs", "type": "int"}]},
    {"name": "[ref]", "meta-type": "array", "element-type": "ref"},
    {"name": "ref", "meta-type": "alternate", "members": [{"type": "node"}, {"type": "str"}]},
    {"name": "any", "meta-type": "builtin", "json-type": "value"},
    {"name": "int", "meta-type": "builtin", "json-type": "int"},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "later", "meta-type": "hologram"}
]"##;

fn read(told: &str) -> Option<PeerSchema> {
    PeerSchema::read(Document::parse(told.as_bytes()).unwrap().root())
}

#[test]
fn what_is_there_is_found() {
    let server = read(TOLD).unwrap();
    for path in [
        "add",
        "add#old",
        "add/arguments",
        "add/arguments/driver",
        "add/arguments/driver=copy",
        "add/arguments/driver=copy#slow",
        "add/arguments/driver=file#dynamic",
        "add/arguments/driver=file/path",
        // In some branch, and in what all branches have.
        "add/arguments/path",
        "add/arguments/jobs",
        "add/arguments/driver=file/name#unstable",
        "add/arguments/driver=file/aio=native",
        "add/arguments/driver=copy/from/driver=copy/from/driver=file/path",
        "add/arguments/driver=copy/way=fast/jobs",
        "add/arguments/driver=copy/way=fast/name",
        "add/arguments/driver=copy/jobs",
        "add/arguments/log/path",
        "look/returns/name",
        "ways/returns=fast",
        "GONE",
        "GONE#new",
        "GONE/data/id",
    ] {
        assert_eq!(server.find(path), Ok(()), "{path}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let server = read(TOLD).unwrap();
    for (path, unknown) in [
        ("del/arguments/id", "del"),
        // Types are no commands.
        ("node", "node"),
        ("later", "later"),
        ("add#new", "add#new"),
        ("add/data/x", "add/data"),
        ("GONE/arguments", "GONE/arguments"),
        ("ways/returns=slow", "ways/returns=slow"),
        ("ways/returns=fast/jobs", "ways/returns=fast/jobs"),
        ("look/returns=fast", "look/returns=fast"),
        ("add/arguments/size/x", "add/arguments/size"),
        ("add/arguments/size=1", "add/arguments/size"),
        ("add/arguments/driver=nbd/host", "add/arguments/driver=nbd"),
        ("add/arguments/driver/x", "add/arguments/driver/x"),
        (
            "add/arguments/driver=file/from",
            "add/arguments/driver=file/from",
        ),
        (
            "add/arguments/driver=copy/way=safe/jobs",
            "add/arguments/driver=copy/way=safe/jobs",
        ),
        ("add/arguments/path=x", "add/arguments/path=x"),
        (
            "add/arguments/driver=file/name#stable",
            "add/arguments/driver=file/name#stable",
        ),
        ("add/arguments/tags/x", "add/arguments/tags/x"),
    ] {
        let error = server.find(path).unwrap_err();
        assert_eq!(error.path(), unknown, "{path}");
        assert_eq!(
            error.to_string(),
            format!("the server does not know '{unknown}'")
        );
        assert!(!server.has(path));
    }
    for path in [
        "",
        "/",
        "add/",
        "add//driver",
        "add/arguments/=x",
        "add/arguments/driver=",
        "add#",
        "add#a#b",
        "add#a/b",
        "add/members/x",
        "a=b",
    ] {
        let error = server.find(path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("'{path}' is no path of a schema")
        );
    }
}

#[test]
fn what_is_sent_is_checked() {
    let server = read(TOLD).unwrap();
    let check = |command: &str, arguments: &str| {
        let arguments = Document::parse(arguments.as_bytes()).unwrap();
        server.check(command, Some(arguments.root()))
    };
    for arguments in [
        "{}",
        "{'driver': 'file', 'path': 'a', 'aio': 'native', 'name': 'n'}",
        "{'way': 'fast', 'jobs': 1, 'from': 'n', 'driver': 'copy', 'tags': {'a': [1]}}",
        "{'driver': 'copy', 'from': {'driver': 'file', 'path': 'a'}, 'log': ['n', {'driver': 'file', 'path': 'a'}]}",
        // Wrong, but known.
        "{'driver': 7, 'path': 'a', 'jobs': 'x'}",
        "{'driver': 'file', 'path': {'a': 1}}",
    ] {
        assert_eq!(check("add", arguments), Ok(()), "{arguments}");
    }
    for (arguments, unknown) in [
        ("{'driver': 'nbd'}", "driver=nbd"),
        ("{'path': 'a', 'driver': 'nbd'}", "driver=nbd"),
        ("{'driver': 'file', 'size': 1}", "size"),
        ("{'driver': 'file', 'from': 'a'}", "from"),
        ("{'driver': 'file', 'aio': 'io_uring'}", "aio=io_uring"),
        ("{'driver': 'copy', 'way': 'safe', 'jobs': 1}", "jobs"),
        (
            "{'driver': 'copy', 'log': ['n', {'driver': 'nbd'}]}",
            "log/driver=nbd",
        ),
        (
            "{'driver': 'copy', 'from': {'driver': 'file', 'size': 1}}",
            "from/size",
        ),
    ] {
        let error = check("add", arguments).unwrap_err();
        assert_eq!(
            error.path(),
            format!("add/arguments/{unknown}"),
            "{arguments}"
        );
    }
    assert_eq!(check("del", "{}").unwrap_err().path(), "del");
    assert_eq!(check("GONE", "{}").unwrap_err().path(), "GONE");
    assert_eq!(
        check("look", "{'a': 1}").unwrap_err().path(),
        "look/arguments/a"
    );
    assert_eq!(check("device_add", "{'driver': 'x', 'drive': 'd'}"), Ok(()));
    assert_eq!(server.check("look", None), Ok(()));
}

/// What a server says may be anything.
#[test]
fn nonsense_is_no_schema_or_has_nothing() {
    for told in ["{}", "7", "[7]", "[{}]", "[{'name': 7}]"] {
        assert!(read(told).is_none(), "{told}");
    }
    let server = read(
        "[{'name': 'a', 'meta-type': 'command', 'arg-type': 'loop', 'ret-type': 'gone'},
          {'name': 'loop', 'meta-type': 'array', 'element-type': 'either'},
          {'name': 'either', 'meta-type': 'alternate', 'members': [{'type': 'loop'}, {'type': 'self'}, {}, 7]},
          {'name': 'self', 'meta-type': 'object', 'tag': 't', 'members': [{'name': 't', 'type': 'gone'}, {}],
           'variants': [{'case': 'x', 'type': 'self'}, {'case': 'y'}]},
          {'name': 'b', 'meta-type': 'command'}, {'name': 'c'}]",
    )
    .unwrap();
    assert!(server.has("a/arguments/t"));
    assert!(server.has("a/returns"));
    for path in [
        "a/arguments/t=x",
        "a/arguments/t/t",
        "a/arguments/u",
        "a/returns/x",
        "b/arguments/x",
        "c",
    ] {
        assert!(!server.has(path), "{path}");
    }
    let deep = Document::parse(b"{'t': 'x', 'u': 1}").unwrap();
    assert_eq!(
        server.check("a", Some(deep.root())).unwrap_err().path(),
        "a/arguments/u"
    );
}
