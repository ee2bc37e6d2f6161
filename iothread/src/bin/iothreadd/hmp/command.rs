//! The commands of the human monitor.

use std::sync::Arc;

use iothread::Registry;
use qapi_runtime::Error;

use crate::objects;
use crate::server::Server;

/// The end of a line, as a terminal wants it.
const LINE_END: &str = "\r\n";

/// A command, or a topic of `info`.
struct Command {
    name: &'static str,
    arguments: &'static str,
    needs_argument: bool,
    help: &'static str,
    run: Run,
}

enum Run {
    /// Prints a text.
    Text(fn(&Arc<Server>, &str) -> String),
    /// Does something, and prints only why it failed.
    Action(fn(&Arc<Server>, &str) -> Result<(), Error>),
}

/// All commands but `info`.
const COMMANDS: [Command; 6] = [
    Command {
        name: "device_add",
        arguments: "driver[,prop=value][,...]",
        needs_argument: true,
        help: "add device, like -device on the command line",
        run: Run::Action(|server, text| server.devices().add(server, crate::devices::parse(text)?)),
    },
    Command {
        name: "device_del",
        arguments: "device",
        needs_argument: true,
        help: "remove device",
        run: Run::Action(|server, id| server.devices().delete(server, id)),
    },
    Command {
        name: "help",
        arguments: "[cmd]",
        needs_argument: false,
        help: "show the help",
        run: Run::Text(|_, topic| help(topic)),
    },
    Command {
        name: "object_add",
        arguments: "[qom-type=]type,id=str[,prop=value][,...]",
        needs_argument: true,
        help: "create QOM object",
        run: Run::Action(|server, text| server.objects().add(server, objects::parse(text)?)),
    },
    Command {
        name: "object_del",
        arguments: "id",
        needs_argument: true,
        help: "destroy QOM object",
        run: Run::Action(|server, id| server.objects().delete(server, id)),
    },
    Command {
        name: "quit|q",
        arguments: "",
        needs_argument: false,
        help: "quit the server",
        run: Run::Action(|server, _| {
            server.quit();
            Ok(())
        }),
    },
];

/// The topics of `info`.
const TOPICS: [Command; 4] = [
    Command {
        name: "iothreads",
        arguments: "[-i]",
        needs_argument: false,
        help: "show iothreads and who holds them (-i: the server's own)",
        run: Run::Text(info_iothreads),
    },
    Command {
        name: "name",
        arguments: "",
        needs_argument: false,
        help: "show the current server name",
        run: Run::Text(|server, _| {
            let line = |name: &str| format!("{name}{LINE_END}");
            server.name().map(line).unwrap_or_default()
        }),
    },
    Command {
        name: "status",
        arguments: "",
        needs_argument: false,
        help: "show the current server status",
        run: Run::Text(|server, _| format!("VM status: {}{LINE_END}", server.status().status)),
    },
    Command {
        name: "version",
        arguments: "",
        needs_argument: false,
        help: "show the version of the server",
        run: Run::Text(|_, _| format!("{}{LINE_END}", env!("CARGO_PKG_VERSION"))),
    },
];

impl Command {
    fn is_called(&self, name: &str) -> bool {
        self.name.split('|').any(|known| known == name)
    }

    fn usage(&self, prefix: &str) -> String {
        let space = if self.arguments.is_empty() { "" } else { " " };
        format!(
            "{prefix}{}{space}{} -- {}{LINE_END}",
            self.name, self.arguments, self.help
        )
    }
}

/// Executes a line and returns what it prints. A line that cannot be understood is no error.
pub(crate) fn execute(server: &Arc<Server>, line: &str) -> String {
    let line = line.trim();
    let (name, arguments) = split_word(line);
    if name.is_empty() {
        return String::new();
    }
    if name == "info" {
        let (topic, arguments) = split_word(arguments);
        if topic.is_empty() {
            return help("info");
        }
        return match TOPICS.iter().find(|command| command.is_called(topic)) {
            Some(command) => run(server, command, "info ", arguments),
            None => format!("unknown command: '{line}'{LINE_END}"),
        };
    }
    match COMMANDS.iter().find(|command| command.is_called(name)) {
        Some(command) => run(server, command, "", arguments),
        None => format!("unknown command: '{line}'{LINE_END}"),
    }
}

fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

fn run(server: &Arc<Server>, command: &Command, prefix: &str, arguments: &str) -> String {
    let hint = |what: &str| {
        format!(
            "{}: {what}{LINE_END}Try \"help {prefix}{}\" for more information{LINE_END}",
            command.name, command.name
        )
    };
    let n_arguments = arguments.split_whitespace().count();
    if command.arguments.is_empty() && n_arguments > 0 {
        return hint("extraneous characters at the end of line");
    }
    if command.needs_argument && n_arguments == 0 {
        return hint("string expected");
    }
    match command.run {
        Run::Text(print) => print(server, arguments),
        Run::Action(act) => match act(server, arguments) {
            Ok(()) => String::new(),
            Err(error) => format!("Error: {}{LINE_END}", error.desc),
        },
    }
}

fn help(topic: &str) -> String {
    let all = |commands: &[Command], prefix: &str| -> String {
        commands
            .iter()
            .map(|command| command.usage(prefix))
            .collect()
    };
    match split_word(topic) {
        ("", _) => {
            let mut text = all(&COMMANDS, "");
            text.push_str("info [subcommand] -- show various information about the server\r\n");
            text
        }
        ("info", "") => all(&TOPICS, "info "),
        ("info", topic) => TOPICS
            .iter()
            .filter(|command| command.is_called(topic))
            .map(|command| command.usage("info "))
            .collect(),
        (name, _) => COMMANDS
            .iter()
            .filter(|command| command.is_called(name))
            .map(|command| command.usage(""))
            .collect(),
    }
}

fn info_iothreads(_: &Arc<Server>, arguments: &str) -> String {
    match arguments {
        "" => Registry::global().info_iothreads(),
        "-i" => Registry::global().info_internal_iothreads(),
        _ => format!(
            "iothreads: extraneous characters at the end of line{LINE_END}\
             Try \"help info iothreads\" for more information{LINE_END}"
        ),
    }
}
