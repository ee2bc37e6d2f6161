//! The log: what goes on, in lines on the standard error, as the journal of systemd wants them where that reads them.

use std::fmt;
use std::io::{self, Write as _};
use std::str::FromStr;
use std::sync::OnceLock;

use iothread_metrics::printable;
use rustix::fs::fstat;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The variable that says what is logged unless `--log` does.
pub(crate) const VARIABLE: &str = "IOTHREADD_LOG";

/// What commands do, and what becomes of requests. Holders and event loops are the library's target, `iothread`.
pub(crate) const COMMANDS: &str = "iothreadd::commands";
pub(crate) const REQUESTS: &str = "iothreadd::requests";

/// How much is logged: LEVEL, or TARGET=LEVEL, or several of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(Vec<(Option<String>, LevelFilter)>);

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let (target, level) = match part.split_once('=') {
                Some((target, level)) => (Some(target.to_owned()), level),
                None => (None, part),
            };
            let level = match level {
                "off" => LevelFilter::OFF,
                "error" => LevelFilter::ERROR,
                "warn" => LevelFilter::WARN,
                "info" => LevelFilter::INFO,
                "debug" => LevelFilter::DEBUG,
                "trace" => LevelFilter::TRACE,
                _ => {
                    return Err(format!(
                        "'{level}' is not one of off, error, warn, info, debug and trace"
                    ));
                }
            };
            Ok((target, level))
        };
        text.split(',')
            .map(part)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Filter {
    fn targets(&self) -> Targets {
        let mut targets = Targets::new();
        for (target, level) in &self.0 {
            targets = match target {
                // Targets are told by how they begin, and so begins the server's own, too.
                Some(target) if target == "iothread" => targets.with_target("iothread::", *level),
                Some(target) => targets.with_target(target.as_str(), *level),
                None => targets.with_default(*level),
            };
        }
        targets
    }
}

/// Logs from now on what the filter lets through. Without this nothing is, and that costs nothing.
pub(crate) fn start(filter: &Filter) {
    let lines = layer()
        .event_format(Lines)
        .with_writer(io::stderr)
        .with_ansi(false);
    let subscriber = Registry::default().with(filter.targets()).with(lines);
    // Done once.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether the standard error is the journal.
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let Ok(stat) = fstat(io::stderr()) else {
            return false;
        };
        stream == format!("{}:{}", stat.st_dev, stat.st_ino)
    })
}

/// How the journal calls levels: by the numbers of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// A text as lines for a reader: nothing in it controls a terminal.
fn lines(is_journal: bool, level: Level, text: &str) -> String {
    let mut lines = String::new();
    for (number, line) in text.lines().enumerate() {
        if is_journal {
            lines.push_str(&format!("<{}>", priority(level)));
        }
        if number == 0 {
            lines.push_str("iothreadd: ");
        }
        lines.push_str(&printable(line));
        lines.push('\n');
    }
    lines
}

/// Tells those who have started the server, whatever is logged. The standard error may be gone.
pub(crate) fn tell(level: Level, text: &str) {
    // That the log has no reader cannot be told.
    let _ = io::stderr().write_all(lines(is_journal(), level, text).as_bytes());
}

/// Events as lines, with the spans that they are in.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let mut text = String::new();
        if !is_journal() {
            SystemTime.format_time(&mut Writer::new(&mut text))?;
            text.push(' ');
        }
        text.push_str(&format!("{}: ", level.as_str().to_ascii_lowercase()));
        let spans = context.event_scope().into_iter();
        for span in spans.flat_map(|scope| scope.from_root()) {
            text.push_str(span.name());
            if let Some(fields) = span.extensions().get::<Fields<N>>() {
                text.push_str(&format!("{{{fields}}}"));
            }
            text.push_str(": ");
        }
        let mut said = String::new();
        context
            .field_format()
            .format_fields(Writer::new(&mut said), event)?;
        // One event is one line, whatever its fields are.
        text.push_str(&said.replace('\n', "\\n"));
        writer.write_str(&lines(is_journal(), level, &text))
    }
}

type Fields<N> = tracing_subscriber::fmt::FormattedFields<N>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let filter = "info,iothreadd::commands=trace,iothread=off".parse::<Filter>();
        let targets = filter.unwrap().targets();
        assert!(targets.would_enable(COMMANDS, &Level::TRACE));
        assert!(targets.would_enable(REQUESTS, &Level::INFO));
        assert!(!targets.would_enable(REQUESTS, &Level::DEBUG));
        assert!(!targets.would_enable("iothread::trace", &Level::ERROR));
        let library = "iothread=debug".parse::<Filter>().unwrap().targets();
        assert!(library.would_enable("iothread::trace", &Level::DEBUG));
        assert!(!library.would_enable(COMMANDS, &Level::DEBUG));
        for wrong in ["", "loud", "info,", "iothread=", "iothread=loud", "INFO"] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_text_is_lines_that_steer_nothing() {
        assert_eq!(
            lines(false, Level::INFO, "a\u{1b}[2J\nb"),
            "iothreadd: a<U+001B>[2J\nb\n"
        );
        assert_eq!(lines(true, Level::WARN, "a\nb"), "<4>iothreadd: a\n<4>b\n");
    }
}
