//! The command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use iothread_metrics::Listen;

use crate::doctor::Code;
use crate::output::{Format, Show};
use crate::sample::{Settings, Watch};
use crate::source::libvirt::Virsh;
use crate::target::Targets;
use crate::view::{Condition, Field, FieldList, Filter, Grouping, Order};

/// Shows who holds the IOThreads of QEMU and iothreadd, and how busy they are.
///
/// Servers tell their holders. Where a QEMU does not, they are derived from the properties of its devices. Times come
/// from this machine's kernel. So they are shown only for a server that has made its unix socket itself, in this
/// namespace of processes. Time on a processor is spent on work or on polling: the kernel cannot tell them apart.
///
/// A monitor of QEMU serves one client at a time. So the connection is made anew for each look, unless --hold is
/// given.
#[derive(Debug, Parser)]
#[command(
    name = "iothread-top",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    mut_arg("targets", |it| it.required(false).required_unless_present("replay"))
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) looking: Looking,

    #[command(flatten)]
    pub(crate) showing: ShowingOptions,
}

/// What it does instead of showing.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with how guests use their IOThreads, and what would help.
    ///
    /// Looks twice. The exit status is 0 if nothing is wrong, 1 if something is, and 3 if nothing is wrong but some
    /// guests did not answer.
    Doctor(DoctorOptions),

    /// Serve metrics of all guests over HTTP, for Prometheus and others that read OpenMetrics.
    Exporter(ExporterOptions),

    /// Say what a code of the doctor means.
    Explain {
        /// The code, such as IO02; without it they are listed.
        code: Option<Code>,
    },
}

/// What the doctor does.
#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) looking: Looking,

    /// Print an object of JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Do not report what this code finds. May be given several times.
    #[arg(long, value_name = "CODE")]
    pub(crate) allow: Vec<Code>,
}

/// What the exporter does.
#[derive(Debug, Args)]
pub(crate) struct ExporterOptions {
    #[command(flatten)]
    pub(crate) looking: Looking,

    /// Where to listen: HOST:PORT, :PORT on this host alone, or fd:NUMBER for a socket that listens already.
    #[arg(long, value_name = "ADDRESS", default_value = ":9793")]
    pub(crate) listen: Listen,

    /// Name at most this number of holders, of all guests together. Those beyond it are only counted.
    #[arg(long, value_name = "COUNT", default_value = "2000")]
    pub(crate) max_holders: usize,
}

/// What is looked at, and how.
#[derive(Debug, Args)]
pub(crate) struct Looking {
    /// QMP monitors: unix:PATH, a path, tcp:HOST:PORT, vsock:CID:PORT, fd:NUMBER, or exec:COMMAND; and libvirt:DOMAIN. A path
    /// with *, ? or [ is all sockets that match, and such a name all domains that run.
    #[arg(value_name = "ADDRESS", required = true)]
    pub(crate) targets: Vec<Targets>,

    /// Seconds between two looks.
    #[arg(long, short = 'd', value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) interval: f64,

    /// Seconds that a server has for greeting and for each answer.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    pub(crate) deadline: f64,

    /// The libvirt that is asked about domains, as virsh's --connect; without it virsh chooses.
    #[arg(long, value_name = "URI")]
    pub(crate) libvirt_uri: Option<String>,

    /// Also ask the monitors of libvirt's domains, with qemu-monitor-command. libvirt marks these domains as tainted.
    #[arg(long)]
    pub(crate) libvirt_monitor: bool,

    /// Keep connections between looks. A monitor of QEMU serves no other client meanwhile.
    #[arg(long)]
    pub(crate) hold: bool,
}

/// What is shown, and how.
#[derive(Debug, Args)]
pub(crate) struct ShowingOptions {
    /// Print tables one after the other instead of showing a screen. This is also done if the output is no terminal.
    #[arg(long, short = 'b')]
    pub(crate) batch: bool,

    /// Print one table. The exit status is 1 if a guest does not answer.
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,

    /// End after this number of tables. Without it, tables are printed for ever. Cannot be used with a screen.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Print a line with an object of JSON for each look.
    #[arg(long, conflicts_with_all = ["csv", "group", "fields", "sort"])]
    pub(crate) json: bool,

    /// Print lines of comma-separated values.
    #[arg(long, conflicts_with = "group")]
    pub(crate) csv: bool,

    /// Print a page of HTML: a picture of the pool, and a table.
    #[arg(long, conflicts_with_all = ["csv", "json", "svg", "group"])]
    pub(crate) html: bool,

    /// Print the picture alone, as SVG.
    #[arg(long, conflicts_with_all = ["csv", "json", "group", "fields"])]
    pub(crate) svg: bool,

    /// Also write what is found to a new file: a line of JSON for each look.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Show what is in such a file instead of guests: on a screen at the recorded pace, otherwise at once.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "targets"])]
    pub(crate) replay: Option<PathBuf>,

    /// Also show the threads that the server keeps for itself.
    #[arg(long, short = 'i')]
    pub(crate) internal: bool,

    /// The columns: comma-separated names. +NAMES adds to the usual ones; all means all of them.
    #[arg(long, short = 'o', value_name = "FIELDS", long_help = fields_help())]
    pub(crate) fields: Option<FieldList>,

    /// Sort by a field, the largest number first; -FIELD sorts the other way round. Without it the servers' order is
    /// kept.
    #[arg(long, short = 's', value_name = "FIELD", allow_hyphen_values = true)]
    pub(crate) sort: Option<Order>,

    /// Show only rows that match: FIELD=PATTERN, FIELD!=PATTERN, FIELD>NUMBER, FIELD<NUMBER, or a part of a name.
    /// May be given several times.
    #[arg(long, short = 'f', value_name = "CONDITION")]
    pub(crate) filter: Vec<Condition>,

    /// Group rows.
    #[arg(long, short = 'g', value_enum)]
    pub(crate) group: Option<Grouping>,
}

impl Looking {
    /// Looks from now on.
    pub(crate) fn start(self) -> io::Result<Watch> {
        let settings = self.settings();
        let virsh = Virsh::new(self.libvirt_uri, self.libvirt_monitor);
        Watch::start(self.targets, settings, virsh)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            interval: Duration::from_secs_f64(self.interval),
            deadline: Duration::from_secs_f64(self.deadline),
            hold: self.hold,
        }
    }
}

impl ShowingOptions {
    /// What is to be printed.
    pub(crate) fn show(&self) -> Show {
        let fields = self.fields.clone();
        Show {
            format: self.format(),
            fields: match self.csv {
                true => fields.unwrap_or_else(FieldList::all),
                false => fields.unwrap_or_default(),
            },
            filter: Filter(self.filter.clone()),
            order: self.sort.unwrap_or_default(),
            grouping: self.group.unwrap_or_default(),
            shows_internal: self.internal,
        }
    }

    fn format(&self) -> Format {
        let asked = [
            (self.json, Format::Json),
            (self.csv, Format::Csv),
            (self.html, Format::Html),
            (self.svg, Format::Svg),
        ];
        let asked = asked.into_iter().find(|(is_it, _)| *is_it);
        asked.map_or(Format::Text, |(_, format)| format)
    }

    /// Whether something is asked for that a screen does not do.
    pub(crate) fn wants_text(&self) -> bool {
        self.batch || self.once || self.count.is_some() || self.format() != Format::Text
    }

    pub(crate) fn count(&self) -> Option<u64> {
        // There is one page in a file.
        let is_whole = matches!(self.format(), Format::Html | Format::Svg);
        if self.once || (is_whole && self.count.is_none()) {
            Some(1)
        } else {
            self.count
        }
    }
}

fn fields_help() -> String {
    let mut help = "The columns: comma-separated names. +NAMES adds to the usual ones; all means all of them. \
                    The fields are:\n"
        .to_owned();
    for field in Field::ALL {
        help.push_str(&format!("\n- {}:{}", field.name(), field.about()));
    }
    help
}

/// From a tenth of a second, so that looking is not what keeps the server busy, to a day.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) => Err("expected 0.1 to 86400 seconds".to_owned()),
        Err(_) => Err("expected a number of seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Options::command().debug_assert();
        let parse = |words: &[&str]| Options::try_parse_from([&["iothread-top"], words].concat());
        let options = parse(&["-b", "-n", "3", "a", "b*"]).unwrap();
        assert_eq!(options.looking.targets.len(), 2);
        assert_eq!(options.showing.count(), Some(3));
        assert_eq!(parse(&["--once", "a"]).unwrap().showing.count(), Some(1));
        let order = parse(&["-s", "-cpu", "a"]).unwrap().showing.sort.unwrap();
        assert!(order.is_reversed);
        assert!(
            parse(&["doctor", "--allow", "io02", "a"])
                .unwrap()
                .command
                .is_some()
        );
        assert!(parse(&["explain"]).is_ok());
        assert!(parse(&["--replay", "file"]).is_ok());
        for wrong in [
            &[][..],
            &["doctor"],
            &["--replay", "file", "x"],
            &["--html", "--json", "x"],
            &["explain", "IO99"],
            &["tcp:nowhere"],
            &["-d", "0", "x"],
            &["-n", "0", "x"],
            &["--once", "-n", "2", "x"],
            &["--json", "--csv", "x"],
            &["-o", "nothing", "x"],
            &["-f", "cpu>much", "x"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let help = Options::command().render_long_help().to_string();
        assert!(
            help.contains("- delay: time of waiting for a processor"),
            "{help}"
        );
    }
}
