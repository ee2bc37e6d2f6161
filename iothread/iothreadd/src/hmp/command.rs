//! The commands of the human monitor.

use std::sync::Arc;

use iothread::Registry;
use qapi_runtime::Error;

use super::line::{Arguments, is_blank, split_name};
use super::{block, chardev, tree};
use crate::objects;
use crate::server::Server;

/// The end of a line, as a terminal wants it.
pub(super) const LINE_END: &str = "\r\n";

/// A command, or a topic of `info`.
struct Command {
    name: &'static str,
    /// What it takes, and how its help shows that.
    arguments: (Arguments, &'static str),
    help: &'static str,
    run: Run,
}

enum Run {
    /// Prints a text.
    Text(fn(&Arc<Server>, &str) -> String),
    /// Prints a text, or why there is none.
    Query(fn(&Arc<Server>, &str) -> Result<String, Error>),
    /// Does something, and prints only why it failed.
    Action(fn(&Arc<Server>, &str) -> Result<(), Error>),
}

/// All commands but `info`.
const COMMANDS: [Command; 17] = [
    Command {
        name: "chardev-add",
        arguments: (Arguments::Word, "args"),
        help: "add chardev",
        run: Run::Action(chardev::add),
    },
    Command {
        name: "chardev-remove",
        arguments: (Arguments::Word, "id"),
        help: "remove chardev",
        run: Run::Action(|server, id| server.chardevs().remove(id)),
    },
    Command {
        name: "chardev-send-break",
        arguments: (Arguments::Word, "id"),
        help: "send a break on chardev",
        run: Run::Action(|server, id| server.chardevs().send_break(id)),
    },
    Command {
        name: "device_add",
        arguments: (Arguments::OptionalWord, "driver[,prop=value][,...]"),
        help: "add device, like -device on the command line",
        run: Run::Action(|server, text| server.devices().add(server, crate::devices::parse(text)?)),
    },
    Command {
        name: "device_del",
        arguments: (Arguments::Word, "device"),
        help: "remove device",
        run: Run::Action(|server, id| server.devices().delete(server, id)),
    },
    Command {
        name: "help|?",
        arguments: (Arguments::OptionalRest, "[cmd]"),
        help: "show the help",
        run: Run::Text(|_, topic| help(topic)),
    },
    Command {
        name: "nbd_server_add",
        arguments: (Arguments::Device, "nbd_server_add [-w] device [name]"),
        help: "export a block device via NBD",
        run: Run::Action(block::nbd_server_add),
    },
    Command {
        name: "nbd_server_remove",
        arguments: (Arguments::Rest, "nbd_server_remove [-f] name"),
        help: "remove an export previously exposed via NBD",
        run: Run::Action(block::nbd_server_remove),
    },
    Command {
        name: "nbd_server_start",
        arguments: (Arguments::Rest, "nbd_server_start [-a] [-w] host:port"),
        help: "serve block devices on the given host and port",
        run: Run::Action(block::nbd_server_start),
    },
    Command {
        name: "nbd_server_stop",
        arguments: (Arguments::None, "nbd_server_stop"),
        help: "stop serving block devices using the NBD protocol",
        run: Run::Action(block::nbd_server_stop),
    },
    Command {
        name: "object_add",
        arguments: (Arguments::Rest, "[qom-type=]type,id=str[,prop=value][,...]"),
        help: "create QOM object",
        run: Run::Action(|server, text| server.objects().add(server, objects::parse(text)?)),
    },
    Command {
        name: "object_del",
        arguments: (Arguments::Word, "id"),
        help: "destroy QOM object",
        run: Run::Action(|server, id| server.objects().delete(server, id)),
    },
    Command {
        name: "qom-get",
        arguments: (Arguments::Rest, "path property"),
        help: "print QOM property",
        run: Run::Query(tree::qom_get),
    },
    Command {
        name: "qom-list",
        arguments: (Arguments::OptionalWord, "path"),
        help: "list QOM properties",
        run: Run::Query(tree::qom_list),
    },
    Command {
        name: "quit|q",
        arguments: (Arguments::None, ""),
        help: "quit the server",
        run: Run::Action(|server, _| {
            server.quit();
            Ok(())
        }),
    },
    Command {
        name: "ringbuf_read",
        arguments: (Arguments::Rest, "device size"),
        help: "Read from a ring buffer character device",
        run: Run::Query(chardev::ringbuf_read),
    },
    Command {
        name: "ringbuf_write",
        arguments: (Arguments::Rest, "device data"),
        help: "Write to a ring buffer character device",
        run: Run::Action(chardev::ringbuf_write),
    },
];

/// The topics of `info`.
const TOPICS: [Command; 8] = [
    Command {
        name: "block",
        arguments: (Arguments::OptionalRest, "[-n] [-v] [device]"),
        help: "show info of one block device or all block devices (-n: show named nodes; -v: show details)",
        run: Run::Query(block::info_block),
    },
    Command {
        name: "block-exports",
        arguments: (Arguments::None, ""),
        help: "show the block exports",
        run: Run::Text(block::info_exports),
    },
    Command {
        name: "chardev",
        arguments: (Arguments::None, ""),
        help: "show the character devices",
        run: Run::Text(chardev::info),
    },
    Command {
        name: "iothreads",
        arguments: (Arguments::Flag("-i"), "[-i]"),
        help: "show iothreads and who holds them (-i: the server's own)",
        run: Run::Text(info_iothreads),
    },
    Command {
        name: "name",
        arguments: (Arguments::None, ""),
        help: "show the current server name",
        run: Run::Text(|server, _| {
            let line = |name: &str| format!("{name}{LINE_END}");
            server.name().map(line).unwrap_or_default()
        }),
    },
    Command {
        name: "qtree",
        arguments: (Arguments::Flag("-b"), "[-b]"),
        help: "show device tree (-b: brief, omit properties)",
        run: Run::Text(tree::info_qtree),
    },
    Command {
        name: "status",
        arguments: (Arguments::None, ""),
        help: "show the current server status",
        run: Run::Text(|server, _| format!("VM status: {}{LINE_END}", server.status().status)),
    },
    Command {
        name: "version",
        arguments: (Arguments::None, ""),
        help: "show the version of the server",
        run: Run::Text(|_, _| format!("{}{LINE_END}", env!("CARGO_PKG_VERSION"))),
    },
];

impl Command {
    fn is_called(&self, name: &str) -> bool {
        self.name.split('|').any(|known| known == name)
    }

    fn usage(&self, prefix: &str) -> String {
        format!(
            "{prefix}{} {} -- {}{LINE_END}",
            self.name, self.arguments.1, self.help
        )
    }
}

fn find<'a>(commands: &'a [Command], name: &str) -> Option<&'a Command> {
    commands.iter().find(|command| command.is_called(name))
}

/// Executes a line and returns what it prints. A line that cannot be understood is no error.
pub(crate) fn execute(server: &Arc<Server>, line: &str) -> String {
    if is_blank(line) {
        return String::new();
    }
    let (shown, name, arguments) = split_name(line);
    if name != "info" {
        return match find(&COMMANDS, name) {
            Some(command) => run(server, command, "", arguments),
            None => unknown(shown),
        };
    }
    if is_blank(arguments) {
        return help("info");
    }
    let (shown_topic, topic, arguments) = split_name(arguments);
    match find(&TOPICS, topic) {
        Some(command) => run(server, command, "info ", arguments),
        None => unknown(&format!("{shown}{shown_topic}")),
    }
}

fn unknown(name: &str) -> String {
    format!("unknown command: '{name}'{LINE_END}")
}

fn run(server: &Arc<Server>, command: &Command, prefix: &str, arguments: &str) -> String {
    let arguments = match command.arguments.0.parse(arguments) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            let (name, what) = (command.name, mistake.text());
            let topic = name.split('|').next().unwrap_or(name);
            return format!(
                "{name}: {what}{LINE_END}\
                 Try \"help {prefix}{topic}\" for more information{LINE_END}"
            );
        }
    };
    match command.run {
        Run::Text(print) => print(server, &arguments),
        Run::Query(query) => match query(server, &arguments) {
            Ok(text) => text,
            Err(error) => describe(&error),
        },
        Run::Action(act) => match act(server, &arguments) {
            Ok(()) => String::new(),
            Err(error) => describe(&error),
        },
    }
}

fn describe(error: &Error) -> String {
    let mut text = format!("Error: {}{LINE_END}", error.desc.replace('\n', LINE_END));
    if error.desc.ends_with("expects an identifier") {
        text.push_str(
            "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.\r\n",
        );
    }
    text
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
        let mut text = all(&COMMANDS, "");
        text.push_str("info [subcommand] -- show various information about the server\r\n");
        return text;
    }
    if name != "info" {
        return find(&COMMANDS, name).map_or_else(|| unknown(name), |command| command.usage(""));
    }
    let (_, topic, _) = split_name(rest);
    if topic.is_empty() {
        return all(&TOPICS, "info ");
    }
    find(&TOPICS, topic).map_or_else(
        || unknown(&format!("info {topic}")),
        |command| command.usage("info "),
    )
}

fn info_iothreads(_: &Arc<Server>, flag: &str) -> String {
    if flag.is_empty() {
        Registry::global().info_iothreads()
    } else {
        Registry::global().info_internal_iothreads()
    }
}
