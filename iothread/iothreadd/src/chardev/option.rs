//! Character devices as the command line and the human monitor describe them.

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Object, Value};

use crate::ident;
use crate::keyval::{self, ValueKind};
use crate::qapi::{
    ChardevBackend, ChardevBackendKind, ChardevCommon, ChardevCommonWrapper, ChardevFile,
    ChardevFileWrapper, ChardevHostdev, ChardevHostdevWrapper, ChardevRingbuf,
    ChardevRingbufWrapper, ChardevSocket, ChardevSocketWrapper, FdSocketAddress,
    FdSocketAddressWrapper, InetSocketAddress, InetSocketAddressWrapper, SocketAddressLegacy,
    UnixSocketAddress, UnixSocketAddressWrapper,
};

/// What options there are, by their names, and their forms. As in QEMU, those that a kind of device does not have are not
/// looked at.
const OPTIONS: [(&str, &str); 20] = [
    ("abstract", SWITCH),
    ("append", SWITCH),
    ("delay", SWITCH),
    ("fd", TEXT),
    ("host", TEXT),
    ("id", TEXT),
    ("input-path", TEXT),
    ("ipv4", SWITCH),
    ("ipv6", SWITCH),
    ("logappend", SWITCH),
    ("logfile", TEXT),
    ("nodelay", SWITCH),
    ("path", TEXT),
    ("port", TEXT),
    ("reconnect-ms", NUMBER),
    ("server", SWITCH),
    ("size", SIZE),
    ("tight", SWITCH),
    ("to", NUMBER),
    ("wait", SWITCH),
];

/// How the forms of options are shown.
const SWITCH: &str = "bool (on/off)";
const TEXT: &str = "str";
const NUMBER: &str = "num";
const SIZE: &str = "size";

/// The options, except the one that all devices have, and how their forms are shown.
pub(crate) fn options() -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut options: Vec<_> = OPTIONS
        .into_iter()
        .filter(|(name, _)| *name != "id")
        .collect();
    options.push((BACKEND, TEXT));
    options.sort_unstable();
    options.into_iter()
}

/// The member that may be given without its name.
const BACKEND: &str = "backend";

/// Reads a description: JSON with the arguments of `chardev-add`, or keys and values.
///
/// # Errors
///
/// In QEMU's words: whatever is missing, unknown, or does not fit together.
pub(crate) fn parse(text: &str) -> Result<(String, ChardevBackend), OptionError> {
    if text.starts_with('{') {
        return Ok(parse_json(text)?);
    }
    let mut settings = Settings::parse(text)?;
    settings.check_id()?;
    let id = settings
        .text("id")
        .ok_or_else(|| Error::generic("chardev: no id specified"))?;
    Ok((id, parse_settings(settings)?))
}

/// Reads a description of what a device that exists is to have behind it.
///
/// # Errors
///
/// As [`parse`]; the device is named elsewhere.
pub(crate) fn parse_backend(text: &str) -> Result<ChardevBackend, OptionError> {
    let mut settings = Settings::parse(text)?;
    settings.check_id()?;
    let id = settings.text("id");
    let backend = parse_settings(settings);
    match (id, backend) {
        (_, Err(OptionError::Malformed(error))) => Err(OptionError::Malformed(error)),
        (Some(_), _) => Err(Error::generic("Unexpected 'id' parameter").into()),
        (None, backend) => backend,
    }
}

/// The error for an ID that an option has given already.
pub(crate) fn duplicate(id: &str) -> Error {
    Error::generic(format!("Duplicate ID '{id}' for chardev"))
}

#[expect(deprecated, reason = "there is a newer name, and the old one works")]
fn parse_settings(mut settings: Settings) -> Result<ChardevBackend, OptionError> {
    let name = settings.text(BACKEND);
    let name = name.ok_or_else(|| Error::generic("chardev: \"backend\" missing"))?;
    let kind: ChardevBackendKind = name
        .parse()
        .map_err(|_| Error::generic(format!("'{name}' is not a valid char driver name")))?;
    let logfile = settings.text("logfile");
    let logappend = settings.switch("logappend")?;
    let backend = match kind {
        ChardevBackendKind::Null => ChardevBackend::Null(ChardevCommonWrapper {
            data: ChardevCommon { logfile, logappend },
        }),
        ChardevBackendKind::File => {
            let missing = || Error::generic("chardev: file: no filename given");
            ChardevBackend::File(ChardevFileWrapper {
                data: ChardevFile {
                    logfile,
                    logappend,
                    r#in: settings.text("input-path"),
                    out: settings.text("path").ok_or_else(missing)?,
                    append: settings.switch("append")?,
                },
            })
        }
        ChardevBackendKind::Pipe => {
            let missing = || Error::generic("chardev: pipe: no device path given");
            ChardevBackend::Pipe(ChardevHostdevWrapper {
                data: ChardevHostdev {
                    logfile,
                    logappend,
                    device: settings.text("path").ok_or_else(missing)?,
                },
            })
        }
        ChardevBackendKind::Ringbuf | ChardevBackendKind::Memory => {
            let size = settings.number("size", ValueKind::Size)?;
            let wrapper = ChardevRingbufWrapper {
                data: ChardevRingbuf {
                    logfile,
                    logappend,
                    size,
                },
            };
            match kind {
                ChardevBackendKind::Memory => ChardevBackend::Memory(wrapper),
                _ => ChardevBackend::Ringbuf(wrapper),
            }
        }
        ChardevBackendKind::Socket => ChardevBackend::Socket(ChardevSocketWrapper {
            data: ChardevSocket {
                logfile,
                logappend,
                ..parse_socket(&mut settings)?
            },
        }),
        ChardevBackendKind::Unknown(name) => {
            let desc = format!("'{name}' is not a valid char driver name");
            return Err(OptionError::Refused(Error::generic(desc)));
        }
    };
    Ok(backend)
}

fn parse_json(text: &str) -> Result<(String, ChardevBackend), Error> {
    let document =
        Document::parse(text.as_bytes()).map_err(|error| Error::generic(error.to_string()))?;
    let mut input = Input::new(&document, Mode::Strict);
    let mut object = input.object()?;
    let id = object.required("id")?;
    let backend = object.required("backend")?;
    object.finish()?;
    Ok((id, backend))
}

fn parse_socket(settings: &mut Settings) -> Result<ChardevSocket, OptionError> {
    let (path, host, fd) = (
        settings.text("path"),
        settings.text("host"),
        settings.text("fd"),
    );
    let address = match (path, host, fd) {
        (Some(path), None, None) => SocketAddressLegacy::Unix(UnixSocketAddressWrapper {
            data: UnixSocketAddress {
                path,
                r#abstract: settings.switch("abstract")?,
                // An option that is not given is on.
                tight: Some(settings.switch("tight")?.unwrap_or(true)),
            },
        }),
        (None, Some(host), None) => {
            let missing = || Error::generic("chardev: socket: no port given");
            SocketAddressLegacy::Inet(InetSocketAddressWrapper {
                data: InetSocketAddress {
                    host,
                    port: settings.text("port").ok_or_else(missing)?,
                    numeric: None,
                    to: settings.typed("to", ValueKind::Int)?,
                    ipv4: settings.switch("ipv4")?,
                    ipv6: settings.switch("ipv6")?,
                    keep_alive: None,
                },
            })
        }
        (None, None, fd) => SocketAddressLegacy::Fd(FdSocketAddressWrapper {
            data: FdSocketAddress {
                str: fd.unwrap_or_default(),
            },
        }),
        (_, _, _) => {
            let desc = "None or one of 'path', 'fd' or 'host' option required.";
            return Err(Error::generic(desc).into());
        }
    };
    let server = settings.switch("server")?.unwrap_or(false);
    Ok(ChardevSocket {
        // What every device can be told is seen to elsewhere.
        logfile: None,
        logappend: None,
        addr: address,
        server: Some(server),
        wait: settings.switch("wait")?,
        nodelay: match settings.switch("delay")? {
            Some(delay) => Some(!delay),
            None => settings.switch("nodelay")?,
        },
        reconnect_ms: settings.number("reconnect-ms", ValueKind::Int)?,
    })
}

/// Why options describe no character device.
#[derive(Debug)]
pub(crate) enum OptionError {
    /// They do not have the form of options, or some of them are unknown.
    Malformed(Error),
    Refused(Error),
}

impl From<Error> for OptionError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<OptionError> for Error {
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Malformed(error) | OptionError::Refused(error) => error,
        }
    }
}

/// Keys and values that have not been used yet.
struct Settings(Vec<(String, String)>);

impl Settings {
    fn parse(text: &str) -> Result<Self, OptionError> {
        let pairs = keyval::parse_options(text, BACKEND);
        let is_option = |key: &str| OPTIONS.iter().any(|(name, _)| *name == key);
        let is_known = |key: &str| key == BACKEND || is_option(key);
        match pairs.iter().find(|(key, _)| !is_known(key)) {
            Some((key, _)) => Err(OptionError::Malformed(keyval::invalid(key))),
            None => Ok(Self(pairs)),
        }
    }

    fn check_id(&self) -> Result<(), OptionError> {
        let id = self.0.iter().find(|(key, _)| key == "id");
        match id {
            Some((_, id)) if !ident::is_identifier(id) => {
                Err(OptionError::Malformed(ident::expected()))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    fn typed<T: Visit>(
        &mut self,
        name: &'static str,
        kind: ValueKind,
    ) -> Result<Option<T>, OptionError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let typed: Object = keyval::typed(vec![(name.to_owned(), text)], keyval::INTEGER, |_| {
            Some(kind)
        })
        .map_err(OptionError::Malformed)?;
        let document = Document::from(&Value::Object(typed));
        let mut input = Input::new(&document, Mode::Strict);
        let value = input.object().and_then(|mut object| object.optional(name));
        value.map_err(|error| OptionError::Malformed(error.into()))
    }

    fn switch(&mut self, name: &'static str) -> Result<Option<bool>, OptionError> {
        self.typed(name, ValueKind::Bool)
    }

    fn number(&mut self, name: &'static str, kind: ValueKind) -> Result<Option<i64>, OptionError> {
        self.typed(name, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> ChardevBackend {
        parse(text).unwrap().1
    }

    #[test]
    fn both_forms_mean_the_same() {
        let json = r#"{"id": "c", "backend": {"type": "socket", "data": {
            "addr": {"type": "unix", "data": {"path": "/x", "tight": true}}, "server": true,
            "wait": false}}}"#;
        let text = "socket,id=c,path=/x,server=on,wait=off";
        assert_eq!(parse(json).unwrap(), parse(text).unwrap());
        let json = r#"{"id": "c", "backend": {"type": "ringbuf", "data": {"size": 4096}}}"#;
        assert_eq!(backend(json), backend("ringbuf,id=c,size=4k"));
    }

    #[test]
    fn refusals_have_the_known_texts() {
        for (text, desc) in [
            ("null", "chardev: no id specified"),
            ("id=x", "chardev: \"backend\" missing"),
            ("nope,id=x", "'nope' is not a valid char driver name"),
            (
                "socket,id=x,path=a,host=b",
                "None or one of 'path', 'fd' or 'host' option required.",
            ),
            ("socket,id=x,host=b", "chardev: socket: no port given"),
            ("file,id=x", "chardev: file: no filename given"),
            ("pipe,id=x", "chardev: pipe: no device path given"),
            ("null,id=x,bogus=1", "Invalid parameter 'bogus'"),
            ("null,id=", "Parameter 'id' expects an identifier"),
            ("null,id=1", "Parameter 'id' expects an identifier"),
        ] {
            let error = Error::from(parse(text).unwrap_err());
            assert_eq!(error.desc, desc, "{text}");
        }
    }
}
