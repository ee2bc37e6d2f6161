//! Prints how long it takes to decode a `blockdev-add` request and an event, bytes to types, and
//! to answer a command in process, bytes to bytes.
//! The argument is the number of rounds: `cargo bench -p qapi-runtime --bench decode-speed -- 100000`. Beside it stands a tree of serde_json, as a yardstick.

use std::hint::black_box;
use std::time::Instant;

use qapi_runtime::codegen::{read_enum, write_enum};
use qapi_runtime::json::{Kind, Limits, Parsed, Parser};
use qapi_runtime::session::{Session, SessionConfig};
use qapi_runtime::visit::{
    Enumeration, Input, Members, Mode, ObjectInput, ObjectOutput, Output, Visit, VisitError,
};

/// A part of BlockdevOptions with its base and the branches used here.
#[derive(Debug)]
#[allow(dead_code, reason = "only decoded")]
struct BlockdevOptions {
    node_name: Option<String>,
    discard: Option<OnOff>,
    cache: Option<Cache>,
    active: Option<bool>,
    read_only: Option<bool>,
    auto_read_only: Option<bool>,
    force_share: Option<bool>,
    detect_zeroes: Option<OnOff>,
    branch: Branch,
}

#[derive(Debug)]
#[allow(dead_code, reason = "only decoded")]
enum Branch {
    Qcow2 {
        file: Box<BlockdevRef>,
        backing: Option<Box<BlockdevRef>>,
        lazy_refcounts: Option<bool>,
        l2_cache_size: Option<u64>,
    },
    File {
        filename: String,
        pr_manager: Option<String>,
        aio: Option<OnOff>,
        aio_max_batch: Option<i64>,
        locking: Option<OnOff>,
        drop_cache: Option<bool>,
    },
}

#[derive(Debug)]
enum BlockdevRef {
    Definition(BlockdevOptions),
    Reference(String),
}

#[derive(Debug)]
struct Cache {
    direct: Option<bool>,
    no_flush: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
enum OnOff {
    On,
    Off,
    Unmap,
    Native,
    Unknown(Box<str>),
}

impl Enumeration for OnOff {
    const NAME: &'static str = "OnOff";
    const ALL: &'static [Self] = &[Self::On, Self::Off, Self::Unmap, Self::Native];

    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "on" => Self::On,
            "off" => Self::Off,
            "unmap" => Self::Unmap,
            "native" => Self::Native,
            _ => return None,
        })
    }

    fn as_str(&self) -> &str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unmap => "unmap",
            Self::Native => "native",
            Self::Unknown(name) => name,
        }
    }

    fn unknown(name: Box<str>) -> Self {
        Self::Unknown(name)
    }

    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

impl Visit for OnOff {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        read_enum(input)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        write_enum(self, output)
    }
}

impl Members for Cache {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self {
            direct: object.optional("direct")?,
            no_flush: object.optional("no-flush")?,
        })
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        object.optional("direct", &self.direct);
        object.optional("no-flush", &self.no_flush);
    }
}

impl Visit for BlockdevRef {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        match input.kind() {
            Kind::Object => Ok(Self::Definition(Visit::read(input)?)),
            Kind::String => Ok(Self::Reference(Visit::read(input)?)),
            _ => Err(input.invalid_type("BlockdevRef")),
        }
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        match self {
            Self::Definition(value) => value.write(output),
            Self::Reference(value) => value.write(output),
        }
    }
}

impl Members for BlockdevOptions {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        let tag = object.tag("driver")?;
        Ok(Self {
            node_name: object.optional("node-name")?,
            discard: object.optional("discard")?,
            cache: object.optional("cache")?,
            active: object.optional("active")?,
            read_only: object.optional("read-only")?,
            auto_read_only: object.optional("auto-read-only")?,
            force_share: object.optional("force-share")?,
            detect_zeroes: object.optional("detect-zeroes")?,
            branch: match tag {
                "qcow2" => Branch::Qcow2 {
                    file: Box::new(object.required("file")?),
                    backing: object.optional("backing")?.map(Box::new),
                    lazy_refcounts: object.optional("lazy-refcounts")?,
                    l2_cache_size: object.optional("l2-cache-size")?,
                },
                _ => Branch::File {
                    filename: object.required("filename")?,
                    pr_manager: object.optional("pr-manager")?,
                    aio: object.optional("aio")?,
                    aio_max_batch: object.optional("aio-max-batch")?,
                    locking: object.optional("locking")?,
                    drop_cache: object.optional("drop-cache")?,
                },
            },
        })
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

/// BLOCK_JOB_COMPLETED.
#[derive(Debug)]
#[allow(dead_code, reason = "only decoded")]
struct BlockJobCompleted {
    kind: String,
    device: String,
    len: i64,
    offset: i64,
    speed: i64,
    error: Option<String>,
}

impl Members for BlockJobCompleted {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self {
            kind: object.required("type")?,
            device: object.required("device")?,
            len: object.required("len")?,
            offset: object.required("offset")?,
            speed: object.required("speed")?,
            error: object.optional("error")?,
        })
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

const REQUEST: &[u8] = br#"{"execute": "blockdev-add", "arguments": {"driver": "qcow2", "node-name": "disk0", "read-only": false, "discard": "unmap", "cache": {"direct": true, "no-flush": false}, "file": {"driver": "file", "filename": "/var/lib/images/disk0.qcow2", "aio": "native"}}, "id": "libvirt-42"}"#;
const EVENT: &[u8] = br#"{"timestamp": {"seconds": 1267061043, "microseconds": 959568}, "event": "BLOCK_JOB_COMPLETED", "data": {"type": "stream", "device": "virtio-disk0", "len": 10737418240, "offset": 10737418240, "speed": 0}}"#;

fn time(name: &str, mut run: impl FnMut()) {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(200_000);
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{name:28} {best:8.1} ns");
}

fn parse(parser: &mut Parser, bytes: &[u8]) {
    let mut input = black_box(bytes);
    assert_eq!(parser.feed(&mut input), Parsed::Value);
}

fn read<T: Visit>(parser: &Parser, member: &str, mode: Mode) -> T {
    let value = parser.document().root().get(member).expect("is there");
    T::read(&mut Input::at(value, mode, Default::default())).expect("fits")
}

fn main() {
    let mut parser = Parser::new(Limits::QMP);
    time("blockdev-add, tape only", || parse(&mut parser, REQUEST));
    time("blockdev-add, types only", || {
        black_box(read::<BlockdevOptions>(&parser, "arguments", Mode::Strict));
    });
    time("blockdev-add", || {
        parse(&mut parser, REQUEST);
        black_box(read::<BlockdevOptions>(&parser, "arguments", Mode::Strict));
    });
    time("blockdev-add, serde_json", || {
        black_box(serde_json::from_slice::<serde_json::Value>(black_box(REQUEST)).ok());
    });
    time("event, tape only", || parse(&mut parser, EVENT));
    time("event", || {
        parse(&mut parser, EVENT);
        black_box(read::<BlockJobCompleted>(&parser, "data", Mode::Lenient));
    });
    time("event, serde_json", || {
        black_box(serde_json::from_slice::<serde_json::Value>(black_box(EVENT)).ok());
    });
    let service = tests::service();
    let mut session = Session::new(SessionConfig::default());
    let mut say = |text: &[u8]| {
        let mut input = black_box(text);
        let _ = session.advance(&mut input, &service, |_| true);
        let length = session.output().len();
        session.consume_output(length);
        length
    };
    say(br#"{"execute": "qmp_capabilities"}"#);
    time("session, query-name", || {
        assert_eq!(say(br#"{"execute": "query-name", "id": 1}"#), 25);
    });
}
