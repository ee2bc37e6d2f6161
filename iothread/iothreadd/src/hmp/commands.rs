//! All commands of the human monitor: a row each.

use std::sync::Arc;

use qapi_runtime::Error;

use super::arguments::{Arguments, Mistake, Parameter};
use super::command::{Command, OptionsError, Run};
use super::line::{LINE_END, describe, is_blank, split_name};
use super::{block, chardev, iothreads, tree};
use crate::keyval;
use crate::objects;
use crate::parts::Parts;
use crate::task::Work;

/// What ends the server, and with it the conversation of who says it.
const QUIT: &str = "quit|q";

/// All commands but `info`.
static COMMANDS: &[Command] = &[
    Command {
        name: "block_resize",
        parameters: &[Parameter::Device, Parameter::Size],
        usage: "device size",
        help: "resize a block image",
        run: Run::InTime(block::resize),
    },
    Command {
        name: "chardev-add",
        parameters: &[Parameter::Word],
        usage: "args",
        help: "add chardev",
        run: Run::Options(0, chardev::add),
    },
    Command {
        name: "chardev-change",
        parameters: &[Parameter::Word, Parameter::Word],
        usage: "id args",
        help: "change chardev",
        run: Run::Options(1, chardev::change),
    },
    Command {
        name: "chardev-remove",
        parameters: &[Parameter::Word],
        usage: "id",
        help: "remove chardev",
        run: Run::Action(|main, parts, given| parts.host.chardevs.remove(main, given.text(0))),
    },
    Command {
        name: "chardev-send-break",
        parameters: &[Parameter::Word],
        usage: "id",
        help: "send a break on chardev",
        run: Run::Action(|_, parts, given| parts.host.chardevs.send_break(given.text(0))),
    },
    Command {
        name: "device_add",
        parameters: &[Parameter::OptionalWord],
        usage: "driver[,prop=value][,...]",
        help: "add device, like -device on the command line",
        run: Run::Options(0, tree::device_add),
    },
    Command {
        name: "device_del",
        parameters: &[Parameter::Word],
        usage: "device",
        help: "remove device",
        run: Run::Action(|_, parts, given| parts.devices.delete(&parts.host, given.text(0))),
    },
    Command {
        name: "help|?",
        parameters: &[Parameter::OptionalRest],
        usage: "[cmd]",
        help: "show the help",
        run: Run::Text(|_, given| help(given.text(0))),
    },
    Command {
        name: "nbd_server_add",
        parameters: &[
            Parameter::Flag('w'),
            Parameter::Device,
            Parameter::OptionalWord,
        ],
        usage: "nbd_server_add [-w] device [name]",
        help: "export a block device via NBD",
        run: Run::InTime(block::nbd_server_add),
    },
    Command {
        name: "nbd_server_remove",
        parameters: &[Parameter::Flag('f'), Parameter::Word],
        usage: "nbd_server_remove [-f] name",
        help: "remove an export previously exposed via NBD",
        run: Run::InTime(block::nbd_server_remove),
    },
    Command {
        name: "nbd_server_start",
        parameters: &[Parameter::Flag('a'), Parameter::Flag('w'), Parameter::Word],
        usage: "nbd_server_start [-a] [-w] host:port",
        help: "serve block devices on the given host and port",
        run: Run::InTime(block::nbd_server_start),
    },
    Command {
        name: "nbd_server_stop",
        parameters: &[],
        usage: "nbd_server_stop",
        help: "stop serving block devices using the NBD protocol",
        run: Run::InTime(block::nbd_server_stop),
    },
    Command {
        name: "object_add",
        parameters: &[Parameter::Rest],
        usage: "[qom-type=]type,id=str[,prop=value][,...]",
        help: "create QOM object",
        run: Run::InTime(object_add),
    },
    Command {
        name: "object_del",
        parameters: &[Parameter::Word],
        usage: "id",
        help: "destroy QOM object",
        run: Run::Late(object_del),
    },
    Command {
        name: "qom-get",
        parameters: &[Parameter::Word, Parameter::Word],
        usage: "path property",
        help: "print QOM property",
        run: Run::Query(tree::qom_get),
    },
    Command {
        name: "qom-list",
        parameters: &[Parameter::OptionalWord],
        usage: "path",
        help: "list QOM properties",
        run: Run::Query(tree::qom_list),
    },
    Command {
        name: "qom-set",
        parameters: &[
            Parameter::Flag('j'),
            Parameter::Word,
            Parameter::Word,
            Parameter::Rest,
        ],
        usage: "[-j] path property value",
        help: "set QOM property.\n\t\t\t -j: the value is specified in json format.",
        run: Run::Action(tree::qom_set),
    },
    Command {
        name: QUIT,
        parameters: &[],
        usage: "",
        help: "quit the server",
        run: Run::Action(|_, parts, _| {
            parts.quit();
            Ok(())
        }),
    },
    Command {
        name: "ringbuf_read",
        parameters: &[Parameter::Word, Parameter::Integer],
        usage: "device size",
        help: "Read from a ring buffer character device",
        run: Run::Query(chardev::ringbuf_read),
    },
    Command {
        name: "ringbuf_write",
        parameters: &[Parameter::Word, Parameter::Word],
        usage: "device data",
        help: "Write to a ring buffer character device",
        run: Run::Action(chardev::ringbuf_write),
    },
];

/// The topics of `info`.
static TOPICS: &[Command] = &[
    Command {
        name: "block",
        parameters: &[
            Parameter::Flag('n'),
            Parameter::Flag('v'),
            Parameter::OptionalDevice,
        ],
        usage: "[-n] [-v] [device]",
        help: "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
        run: Run::Late(block::info_block),
    },
    Command {
        name: "block-exports",
        parameters: &[],
        usage: "",
        help: "show the block exports",
        run: Run::Text(block::info_exports),
    },
    Command {
        name: "blockstats",
        parameters: &[],
        usage: "",
        help: "show block device statistics",
        run: Run::Text(block::info_statistics),
    },
    Command {
        name: "chardev",
        parameters: &[],
        usage: "",
        help: "show the character devices",
        run: Run::Text(chardev::info),
    },
    Command {
        name: "iothreads",
        parameters: &[Parameter::Flag('i')],
        usage: "[-i]",
        help: "show iothreads and who holds them (-i: the server's own)",
        run: Run::Text(info_iothreads),
    },
    Command {
        name: "name",
        parameters: &[],
        usage: "",
        help: "show the current server name",
        run: Run::Text(|parts, _| {
            let line = |name: &str| format!("{name}{LINE_END}");
            parts.name.as_deref().map(line).unwrap_or_default()
        }),
    },
    Command {
        name: "qtree",
        parameters: &[Parameter::Flag('b')],
        usage: "[-b]",
        help: "show device tree (-b: brief, omit properties)",
        run: Run::Text(tree::info_qtree),
    },
    Command {
        name: "status",
        parameters: &[],
        usage: "",
        help: "show the current server status",
        run: Run::Text(|parts, _| format!("VM status: {}{LINE_END}", parts.status().status)),
    },
    Command {
        name: "version",
        parameters: &[],
        usage: "",
        help: "show the version of the server",
        run: Run::Text(|_, _| format!("{}{LINE_END}", env!("CARGO_PKG_VERSION"))),
    },
];

fn find<'a>(commands: &'a [Command], name: &str) -> Option<&'a Command> {
    commands.iter().find(|command| command.is_called(name))
}

/// Executes a line and returns what it prints. A line that cannot be understood is not an error.
///
/// The line may have come through a QMP monitor.
pub(crate) async fn execute(parts: &Arc<Parts>, line: &str, monitor: Option<&str>) -> String {
    if is_blank(line) {
        return String::new();
    }
    let (shown, name, arguments) = split_name(line);
    if name != "info" {
        return match find(COMMANDS, name) {
            Some(command) => run(parts, command, "", name, arguments, monitor).await,
            None => unknown(shown),
        };
    }
    if is_blank(arguments) {
        return help("info");
    }
    let (shown_topic, topic, arguments) = split_name(arguments);
    match find(TOPICS, topic) {
        Some(command) => run(parts, command, "info ", topic, arguments, monitor).await,
        None => unknown(&format!("{shown}{shown_topic}")),
    }
}

/// Whether a line is the command that ends the server.
pub(super) fn is_quit(line: &str) -> bool {
    find(COMMANDS, line).is_some_and(|command| command.name == QUIT)
}

/// The names of commands and topics that the last word of a text may become.
pub(super) fn complete(text: &str) -> Vec<&'static str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let last = match text.ends_with(char::is_whitespace) {
        true => "",
        false => words.pop().unwrap_or_default(),
    };
    let names = |commands: &'static [Command]| commands.iter().flat_map(|it| it.name.split('|'));
    let all = || names(COMMANDS).chain(["info"]);
    let mut found: Vec<&str> = match words.as_slice() {
        [] | ["help" | "?"] => all().collect(),
        ["info"] | ["help" | "?", "info"] => names(TOPICS).collect(),
        _ => Vec::new(),
    };
    found.retain(|name| name.starts_with(last));
    found.sort_unstable();
    found
}

fn unknown(name: &str) -> String {
    format!("unknown command: '{name}'{LINE_END}")
}

/// Executes a command that was called by `name`.
async fn run(
    parts: &Arc<Parts>,
    command: &Command,
    prefix: &str,
    name: &str,
    arguments: &str,
    monitor: Option<&str>,
) -> String {
    let hint = || format!("Try \"help {prefix}{name}\" for more information{LINE_END}");
    let arguments = match Arguments::parse(command.parameters, arguments) {
        Ok(arguments) => arguments.through(monitor),
        Err(Mistake::OfCommand(text)) => {
            return format!("{}: {text}{LINE_END}{}", command.name, hint());
        }
        Err(Mistake::OfExpression(text)) => return format!("{text}{LINE_END}{}", hint()),
    };
    match command.run {
        Run::Text(print) => print(parts, &arguments),
        Run::Query(query) => match query(parts, &arguments) {
            Ok(text) => text,
            Err(error) => describe(&error),
        },
        Run::Late(print) => print(parts, &arguments).await,
        Run::Action(act) => {
            let acted = parts.host.on_main();
            match acted.and_then(|main| act(main, parts, &arguments)) {
                Ok(()) => String::new(),
                Err(error) => describe(&error),
            }
        }
        Run::InTime(act) => match act(parts, &arguments).await {
            Ok(()) => String::new(),
            Err(error) => describe(&error),
        },
        Run::Options(index, act) => {
            let mut text: String = keyval::short_forms(arguments.text(index))
                .iter()
                .map(|short| format!("{}{LINE_END}", short.to_string().replace('\n', LINE_END)))
                .collect();
            match act(parts, &arguments).await {
                Ok(()) => {}
                Err(OptionsError::Malformed) => text.push_str(&hint()),
                Err(OptionsError::Told { text: told, error }) => {
                    text.push_str(&told);
                    text.push_str(&describe(&error));
                }
                Err(OptionsError::Refused(error)) => text.push_str(&describe(&error)),
            }
            text
        }
    }
}

fn help(topic: &str) -> String {
    let all = |commands: &[Command], prefix: &str| -> String {
        commands
            .iter()
            .map(|command| command.usage(prefix))
            .collect()
    };
    let (_, name, rest) = split_name(topic);
    if name.is_empty() {
        let mut text = all(COMMANDS, "");
        text.push_str("info [subcommand] -- show various information about the server\r\n");
        return text;
    }
    if name != "info" {
        return find(COMMANDS, name).map_or_else(|| unknown(name), |command| command.usage(""));
    }
    let (_, topic, _) = split_name(rest);
    if topic.is_empty() {
        return all(TOPICS, "info ");
    }
    find(TOPICS, topic).map_or_else(
        || unknown(&format!("info {topic}")),
        |command| command.usage("info "),
    )
}

/// `object_add`
fn object_add<'a>(parts: &'a Arc<Parts>, given: &'a Arguments) -> Work<'a, Result<(), Error>> {
    Box::pin(async move {
        let object = objects::parse(given.text(0))?;
        parts.objects.add(&parts.host, object).await
    })
}

/// `object_del`. Who is in the way is told below the error.
fn object_del<'a>(parts: &'a Arc<Parts>, given: &'a Arguments) -> Work<'a, String> {
    Box::pin(async move {
        let id = given.text(0);
        let deleted = parts.objects.delete_for(&parts.host, id, given.monitor());
        let Err(error) = deleted.await else {
            return String::new();
        };
        let holders = parts.host.threads.holders(id);
        let holders = holders.map(|holders| format!("It is held by {holders}{LINE_END}"));
        format!("{}{}", describe(&error), holders.unwrap_or_default())
    })
}

fn info_iothreads(parts: &Arc<Parts>, given: &Arguments) -> String {
    let registry = parts.host.threads.registry();
    if given.flag(0) {
        iothreads::render(&registry.query_internal_iothreads())
    } else {
        iothreads::render(&registry.query_iothreads())
    }
}
