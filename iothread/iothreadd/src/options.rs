//! The command line.

use clap::{Parser, ValueEnum};
use iothread_metrics::Listen;
use qapi_runtime::address::{Address as QmpAddress, split_settings};
use qapi_runtime::visit::{CompatInput, CompatOutput, CompatPolicy};

use crate::budgets::Limits;
use crate::ident::is_identifier;
use crate::keyval;
use crate::logging;
use crate::net::address::Address;
use crate::net::reach::Reach;
use crate::qapi::VersionInfo;
use crate::version;

/// A QMP server that knows who holds its IOThreads.
#[derive(Debug, Parser)]
#[command(name = "iothreadd", version)]
pub(crate) struct Options {
    /// Serve QMP: unix:PATH[,mode=OCTAL][,abstract=on], tcp:HOST:PORT, fd:NUMBER or stdio, each with [,pretty=on] and
    /// [,id=NAME].
    ///
    /// May be given several times. Each is one monitor, with any number of sessions; "stdio" has one, and the
    /// server ends with it.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_qmp)]
    pub(crate) qmp: Vec<QmpOption>,

    /// Serve the human monitor: unix:PATH[,mode=OCTAL], tcp:HOST:PORT or stdio.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_monitor)]
    pub(crate) monitor: Vec<Address>,

    /// Create an object: TYPE,id=ID[,PROPERTY=VALUE]..., or the same as JSON; "help" and "TYPE,help" list what there
    /// is.
    #[arg(long, value_name = "OBJECT")]
    pub(crate) object: Vec<String>,

    /// Create a character device: BACKEND,id=ID[,PROPERTY=VALUE]..., or the arguments of chardev-add as JSON; "help" lists
    /// what there is.
    #[arg(long, value_name = "CHARDEV")]
    pub(crate) chardev: Vec<String>,

    /// Create a block node: the arguments of blockdev-add as JSON, or DRIVER,node-name=NAME[,PROPERTY=VALUE]...; "help"
    /// lists the drivers.
    #[arg(long, value_name = "NODE")]
    pub(crate) blockdev: Vec<String>,

    /// Plug in a device: DRIVER[,id=ID][,PROPERTY=VALUE]..., or the arguments of device_add as JSON; "help" and
    /// "DRIVER,help" list what there is.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,

    /// Serve metrics over HTTP: HOST:PORT, :PORT on this host alone, or fd:NUMBER of a socket that listens.
    ///
    /// They are at /metrics, as OpenMetrics, and in the older text format for readers that do not ask for that.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<Listen>,

    /// Let other hosts reach monitors and metrics. Without it their addresses must be of the loopback interface.
    ///
    /// They have no passwords. Who can reach a monitor can open every file that the server can, and end it.
    #[arg(long)]
    pub(crate) allow_remote: bool,

    /// Limit the memory that all peers of a kind take up together: qmp=SIZE, nbd=SIZE, vhost-user-blk=SIZE, colo=SIZE,
    /// or several of them with commas, where SIZE is a number of bytes, or one with K, M, G or T.
    ///
    /// The default is 512M for qmp and 256M for the others. Peers share it fairly, and wait when they need more. A
    /// SIZE is at least 1M.
    #[arg(long, value_name = "LIMITS", value_parser = parse_limits)]
    pub(crate) limit: Vec<LimitOption>,

    /// Send an unstable event that is not sent otherwise: IOTHREAD_HOLDERS_CHANGED, when somebody comes to hold an IOThread
    /// or ceases to.
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Vec<OptionalEvent>,

    /// What is logged on the standard error: LEVEL, TARGET=LEVEL, or several of them with commas, where LEVEL is off, error, warn,
    /// info, debug or trace.
    ///
    /// Targets are iothreadd::commands, iothreadd::requests, and iothread for event loops and holders; iothreadd is all of the
    /// server's. Without the option the variable IOTHREADD_LOG says it, and without that nothing is logged.
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<logging::Filter>,

    /// The name that query-name reports.
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The version of QEMU that the greeting and query-version report, for clients that ask for one:
    /// MAJOR.MINOR.MICRO[,package=TEXT].
    ///
    /// Without it they report the version of this program.
    #[arg(long, value_name = "VERSION", value_parser = version::parse)]
    pub(crate) qemu_version: Option<VersionInfo>,

    /// What deprecated and unstable parts of QMP may do: a list of deprecated-input=accept|reject,
    /// deprecated-output=accept|hide, unstable-input=... and unstable-output=....
    #[arg(long, value_name = "POLICY", value_parser = parse_compat)]
    pub(crate) compat: Option<CompatOption>,
}

/// An event that is not sent unless it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptionalEvent {
    #[value(name = "IOTHREAD_HOLDERS_CHANGED")]
    IothreadHoldersChanged,
}

/// A QMP monitor to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QmpOption {
    pub(crate) address: Address,
    pub(crate) pretty: bool,
    /// The monitor's name, if it has one of its own.
    pub(crate) id: Option<String>,
}

/// The policy for special features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompatOption(pub(crate) CompatPolicy);

/// Limits for peers of some kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitOption(Vec<(PeerKind, usize)>);

/// Whose memory is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerKind {
    Qmp,
    Nbd,
    VhostUserBlk,
    Colo,
}

/// The least memory of a kind of peers.
const LEAST_LIMIT: u64 = 1 << 20;

impl Options {
    /// The policy for special features; everything is accepted unless told otherwise.
    pub(crate) fn compat(&self) -> CompatPolicy {
        self.compat.map_or(CompatPolicy::ACCEPT, |option| option.0)
    }

    /// What is logged, if anything is.
    pub(crate) fn log_filter(&self) -> Result<Option<logging::Filter>, String> {
        let variable = || match std::env::var_os(logging::VARIABLE) {
            Some(text) => {
                let filter = text.to_string_lossy().parse();
                let told = |error| format!("{}: {error}", logging::VARIABLE);
                filter.map(Some).map_err(told)
            }
            None => Ok(None),
        };
        self.log
            .clone()
            .map_or_else(variable, |filter| Ok(Some(filter)))
    }

    /// From where monitors may be reached.
    pub(crate) fn reach(&self) -> Reach {
        match self.allow_remote {
            true => Reach::AllHosts,
            false => Reach::ThisHost,
        }
    }

    /// How much memory peers take up; what is told last holds.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (kind, size) in self.limit.iter().flat_map(|option| &option.0) {
            match kind {
                PeerKind::Qmp => limits.qmp = *size,
                PeerKind::Nbd => limits.nbd = *size,
                PeerKind::VhostUserBlk => limits.vhost_user_blk = *size,
                PeerKind::Colo => limits.colo = *size,
            }
        }
        limits
    }
}

fn parse_qmp(text: &str) -> Result<QmpOption, String> {
    let mut pretty = false;
    let mut id = None;
    let address = parse_address(text, &mut |name, value| match (name, value) {
        ("pretty", "on") => {
            pretty = true;
            Some(())
        }
        ("pretty", "off") => Some(()),
        ("id", name) if is_identifier(name) => {
            id = Some(name.to_owned());
            Some(())
        }
        _ => None,
    })?;
    Ok(QmpOption {
        address,
        pretty,
        id,
    })
}

fn parse_monitor(text: &str) -> Result<Address, String> {
    parse_address(text, &mut |_, _| None)
}

/// Reads an address; `other` takes settings that are not the address's own.
fn parse_address(
    text: &str,
    other: &mut dyn FnMut(&str, &str) -> Option<()>,
) -> Result<Address, String> {
    let (address, settings) = split_settings(text);
    let mut mode = None;
    let mut is_abstract = false;
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
        match (name, value) {
            ("mode", digits) => mode = Some(parse_mode(digits)?),
            ("abstract", "" | "on") => is_abstract = true,
            ("abstract", "off") => {}
            // QEMU's way to say what holds here in any case.
            ("server", "" | "on") | ("wait", "off") | ("nowait", "") => {}
            _ => {
                other(name, value).ok_or_else(|| format!("invalid parameter '{setting}'"))?;
            }
        }
    }
    if is_abstract && mode.is_some() {
        return Err("an abstract socket has no mode".to_owned());
    }
    let has_path_settings = mode.is_some() || is_abstract;
    let refused = Err("only a unix socket has a mode, or can be abstract".to_owned());
    if address == "stdio" {
        return match has_path_settings {
            true => refused,
            false => Ok(Address::Stdio),
        };
    }
    if !QmpAddress::names_kind(&address) {
        return Err("neither unix:PATH, tcp:HOST:PORT, fd:NUMBER nor stdio".to_owned());
    }
    match QmpAddress::without_settings(&address).map_err(|error| error.to_string())? {
        QmpAddress::Unix(path) if is_abstract => Ok(Address::Abstract(path.display().to_string())),
        QmpAddress::Unix(path) => Ok(Address::Unix { path, mode }),
        _ if has_path_settings => refused,
        QmpAddress::Tcp(host_and_port) => listen_tcp(&host_and_port),
        QmpAddress::Fd(number) => Ok(Address::Inherited(number)),
        other => Err(format!("monitors are not served at '{other}'")),
    }
}

/// Without authentication, other hosts have to be let in by name.
fn listen_tcp(host_and_port: &str) -> Result<Address, String> {
    let (host, port) = host_and_port
        .rsplit_once(':')
        .ok_or_else(|| "the port is missing".to_owned())?;
    let port = port
        .parse()
        .map_err(|_| format!("'{port}' is not a port number"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Address::Tcp {
        host: if host.is_empty() { "localhost" } else { host }.to_owned(),
        port,
    })
}

fn parse_mode(digits: &str) -> Result<u32, String> {
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        Ok(_) | Err(_) => Err(format!("'{digits}' is not an octal mode up to 777")),
    }
}

fn parse_compat(text: &str) -> Result<CompatOption, String> {
    let mut compat = CompatPolicy::ACCEPT;
    for setting in text.split(',').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let input = match value {
            "accept" => Some(CompatInput::Accept),
            "reject" => Some(CompatInput::Reject),
            _ => None,
        };
        let output = match value {
            "accept" => Some(CompatOutput::Accept),
            "hide" => Some(CompatOutput::Hide),
            _ => None,
        };
        match (name, input, output) {
            ("deprecated-input", Some(input), _) => compat.deprecated_input = input,
            ("unstable-input", Some(input), _) => compat.unstable_input = input,
            ("deprecated-output", _, Some(output)) => compat.deprecated_output = output,
            ("unstable-output", _, Some(output)) => compat.unstable_output = output,
            _ => return Err(format!("invalid parameter '{setting}'")),
        }
    }
    Ok(CompatOption(compat))
}

fn parse_limits(text: &str) -> Result<LimitOption, String> {
    let limit = |setting: &str| {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let kind = match name {
            "qmp" => PeerKind::Qmp,
            "nbd" => PeerKind::Nbd,
            "vhost-user-blk" => PeerKind::VhostUserBlk,
            "colo" => PeerKind::Colo,
            _ => return Err(format!("invalid parameter '{setting}'")),
        };
        let size = keyval::parse_size(value).ok_or_else(|| format!("'{value}' is not a size"))?;
        if size < LEAST_LIMIT {
            return Err(format!("'{value}' is less than 1M"));
        }
        // More than can be addressed means no limit.
        Ok((kind, usize::try_from(size).unwrap_or(usize::MAX)))
    };
    let limits: Result<Vec<_>, _> = text.split(',').map(limit).collect();
    limits.map(LimitOption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let unix = |path: &str, mode| Address::Unix {
            path: path.into(),
            mode,
        };
        let qmp = |text| parse_qmp(text).map(|option| (option.address, option.pretty));
        assert_eq!(qmp("unix:/run/x"), Ok((unix("/run/x", None), false)));
        assert_eq!(
            qmp("unix:a,,b,mode=600,server=on,wait=off,pretty=on"),
            Ok((unix("a,b", Some(0o600)), true))
        );
        assert_eq!(qmp("stdio"), Ok((Address::Stdio, false)));
        let tcp = |host: &str, port| Address::Tcp {
            host: host.to_owned(),
            port,
        };
        assert_eq!(qmp("tcp::4444"), Ok((tcp("localhost", 4444), false)));
        assert_eq!(qmp("tcp:[::1]:1"), Ok((tcp("::1", 1), false)));
        let name = Address::Abstract("x".to_owned());
        assert_eq!(qmp("unix:x,abstract=on,server"), Ok((name, false)));
        assert_eq!(qmp("fd:3,pretty=on"), Ok((Address::Inherited(3), true)));
    }

    #[test]
    fn addresses_that_are_none() {
        for wrong in [
            "",
            "unix:",
            "unix:x,mode=9",
            "unix:x,mode=7777",
            "unix:x,wait=on",
            "tcp:host",
            "tcp:host:x",
            "tcp:host:70000",
            "stdio,mode=600",
            "stdio,abstract=on",
            "unix:x,abstract=on,mode=600",
            "unix:x,abstract=maybe",
            "fd:",
            "fd:2",
            "fd:-1",
            "fd:x",
            "stdio,pretty=maybe",
            "stdio,id=1x",
            "nope",
            "vsock:3:1",
            "exec:cat",
            "libvirt:x",
        ] {
            assert!(parse_qmp(wrong).is_err(), "{wrong}");
        }
        assert!(parse_monitor("stdio,pretty=on").is_err());
    }

    #[test]
    fn policies() {
        let compat = parse_compat("unstable-input=reject,deprecated-output=hide").map(|it| it.0);
        let compat = compat.unwrap();
        assert_eq!(compat.unstable_input, CompatInput::Reject);
        assert_eq!(compat.deprecated_output, CompatOutput::Hide);
        assert_eq!(compat.deprecated_input, CompatInput::Accept);
        assert!(parse_compat("unstable-input=hide").is_err());
    }
    #[test]
    fn limits() {
        let options = |arguments: &[&str]| {
            let program = std::iter::once("iothreadd");
            Options::try_parse_from(program.chain(arguments.iter().copied()))
        };
        let limits = options(&[
            "--limit",
            "qmp=2M,colo=1G,vhost-user-blk=5M",
            "--limit",
            "qmp=3m",
        ]);
        let expected = Limits {
            qmp: 3 << 20,
            vhost_user_blk: 5 << 20,
            colo: 1 << 30,
            ..Limits::default()
        };
        assert_eq!(limits.unwrap().limits(), expected);
        for wrong in [
            "",
            "qmp",
            "qmp=",
            "qmp=x",
            "qmp=-1",
            "qmp=1K",
            "all=1G",
            "qmp=1G,",
            "qmp=99999999999E",
        ] {
            assert!(options(&["--limit", wrong]).is_err(), "{wrong}");
        }
    }
}
