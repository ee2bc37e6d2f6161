//! The server side: the trait of handlers and the dispatcher.

use crate::ir::Command;

use super::gate::Gate;
use super::introspection;
use super::layout;
use super::names;
use super::plan::{Arguments, DefinitionPlan, Plan, header_policies};
use super::template::{ToValue, lines, rust};
use super::writer::ModuleWriter;

/// The commands that have a row in the dispatcher, sorted by name.
fn served<'p, 'a>(plan: &'p Plan<'a>) -> Vec<&'p DefinitionPlan<'a, Command>> {
    let mut served: Vec<_> = plan.commands.iter().flatten().collect();
    served.sort_by_key(|command| command.definition.name());
    served
}

/// The text with which a command is answered that needs no handler.
type BuiltIn<'b> = dyn Fn(&DefinitionPlan<'_, Command>) -> Option<&'static str> + 'b;

/// What `server.rs` has; `schema` names the answer to `query-qmp-schema`.
pub(super) fn emit(writer: &mut ModuleWriter<'_, '_>, schema: &'static str) {
    let commands = served(writer.plan);
    let built_in = |command: &DefinitionPlan<'_, Command>| {
        introspection::is_built_in(command.definition).then_some(schema)
    };
    writer.begin_item(&Gate::ALWAYS);
    writer.emit_trait(&commands, &built_in);
    writer.emit_dispatcher(&commands, &built_in);
}

/// Whether a method of Rust's prelude may be found before that of the handler.
fn hides_method(method: &str) -> bool {
    const METHODS: &[&str] = &[
        "as_mut",
        "as_ref",
        "clone",
        "clone_from",
        "clone_into",
        "cmp",
        "drop",
        "eq",
        "ge",
        "gt",
        "into",
        "le",
        "lt",
        "max",
        "min",
        "ne",
        "partial_cmp",
        "to_owned",
        "to_string",
        "try_into",
    ];
    METHODS.contains(&method)
}

/// Why a lint about names finds something.
const NAMED: &str = "reason = \"named by the schema\"";

impl ModuleWriter<'_, '_> {
    fn emit_trait(&mut self, commands: &[&DefinitionPlan<'_, Command>], built_in: &BuiltIn<'_>) {
        let handled: Vec<_> = commands
            .iter()
            .copied()
            .filter(|command| built_in(command).is_none())
            .collect();
        if handled.is_empty() {
            return rust!(
                self,
                "
                /// The handlers of all commands.
                pub trait Commands: $Send + $Sync {}

                "
            );
        }
        // The lint looks at what other crates see.
        let is_public = self.plan.options.visibility == "pub";
        let lone_length = self.lone_length(&handled).filter(|_| is_public);
        let expect = lines(|w| {
            if let Some(gate) = &lone_length {
                let mapping = &w.plan.options.mapping;
                let items = ["clippy::len_without_is_empty", NAMED];
                mapping.expect(&mut w.out, w.indent, gate, items);
            }
        });
        let methods = lines(|w| {
            for (n, command) in handled.iter().enumerate() {
                if n > 0 {
                    w.blank();
                }
                w.under(&command.gate, |w| w.emit_method(command));
            }
        });
        rust!(
            self,
            "
            /// The handlers of all commands.
            $expect
            pub trait Commands: $Send + $Sync {
                $methods
            }

            ",
            expect,
            methods,
        );
    }

    /// When a command looks like the length of a collection to a lint, and none tells whether that is empty.
    fn lone_length(&self, commands: &[&DefinitionPlan<'_, Command>]) -> Option<Gate> {
        let gate_of = |method: &str| {
            let mut plain = commands.iter().filter(|command| {
                let definition = command.definition;
                definition.arguments().is_none() && names::field(definition.name()) == method
            });
            plain.next().map(|command| &command.gate)
        };
        let length = gate_of("len")?;
        match gate_of("is_empty") {
            Some(is_empty) => Some(length.and(&is_empty.negated()?)),
            None => Some(length.clone()),
        }
    }

    /// Lints that mind what a command is called: the schema has named it, not the author of a
    /// Rust interface.
    fn expect_method_name(&mut self, command: &Command) {
        let method = names::field(command.name());
        let is_conversion = ["from_", "into_"].iter().any(|it| method.starts_with(it))
            || (method.starts_with("to_") && method.ends_with("_mut"));
        let is_new = method == "new";
        let is_async = self.plan.options.is_async(command);
        let lints = [
            (is_conversion || is_new, "clippy::wrong_self_convention"),
            (is_new && !is_async, "clippy::new_ret_no_self"),
        ];
        for (_, lint) in lints.iter().filter(|(is_met, _)| *is_met) {
            rust!(
                self,
                "#[expect($lint, $reason)]",
                lint = *lint,
                reason = NAMED
            );
        }
    }

    fn emit_method(&mut self, plan: &DefinitionPlan<'_, Command>) {
        let command = plan.definition;
        rust!(
            self,
            "
            /// Handles [`$command`](super::commands::$request).
            $cfg
            ",
            command = command.name(),
            request = &plan.name,
        );
        self.expect_method_name(command);
        let argument = self
            .arguments_type(plan)
            .map(|ty| format!(", arguments: {ty}"));
        let argument = argument.unwrap_or_default();
        let returns = if command.is_generated() {
            match command.returns() {
                Some(id) => self.type_ref(id),
                None => "()".to_owned(),
            }
        } else {
            self.known("Value").into_owned()
        };
        let (result, error) = (self.known("Result"), self.known("Error"));
        let mut result = format!("{result}<{returns}, {error}>");
        if self.plan.options.is_async(command) {
            let (future, send) = (self.known("Future"), self.known("Send"));
            result = format!("impl {future}<Output = {result}> + {send}");
        }
        let method = names::field(command.name());
        if !self.plan.options.partial {
            return rust!(
                self,
                "fn $method(&self$argument) -> $result;",
                method,
                argument,
                result
            );
        }
        let discard = lines(|w| {
            if !argument.is_empty() {
                rust!(w, "let _ = arguments;");
            }
        });
        let unsupported = if self.plan.options.is_async(command) {
            format!("std::future::ready(Err({error}::unsupported()))")
        } else {
            format!("Err({error}::unsupported())")
        };
        rust!(
            self,
            "
            fn $method(&self$argument) -> $result {
                $discard
                $unsupported
            }
            ",
            method,
            argument = &argument,
            result,
            discard,
            unsupported,
        );
    }

    /// The type of the one parameter of a handler, `None` without arguments.
    fn arguments_type(&mut self, plan: &DefinitionPlan<'_, Command>) -> Option<String> {
        match &plan.arguments {
            Arguments::Members(_) if plan.definition.arguments().is_none() => None,
            Arguments::Members(_) => {
                self.note_deprecated_request(plan);
                Some(format!("{}::{}", self.parent_module("commands"), plan.name))
            }
            Arguments::Type(id) => Some(self.type_ref(*id)),
            Arguments::Raw => Some(self.known("Object").into_owned()),
        }
    }

    fn note_deprecated_request(&mut self, plan: &DefinitionPlan<'_, Command>) {
        if let Some(gate) = self.plan.header_deprecation(plan.definition) {
            self.note_deprecated(&gate);
        }
    }

    fn emit_dispatcher(
        &mut self,
        commands: &[&DefinitionPlan<'_, Command>],
        built_in: &BuiltIn<'_>,
    ) {
        let table = lines(|w| {
            let is_lone = matches!(commands, [only] if only.gate.is_always());
            let rows = lines(|w| {
                for command in commands {
                    w.under(&command.gate, |w| w.emit_row(command, built_in(command)));
                    w.relieve();
                }
            });
            if commands.is_empty() {
                rust!(w, "pub const COMMANDS: &'static [$Command<H>] = &[];");
            } else if is_lone {
                w.emit_lone_row(&rows);
            } else {
                rust!(
                    w,
                    "
                    pub const COMMANDS: &'static [$Command<H>] = &[
                        $rows
                    ];
                    ",
                    rows,
                );
            }
        });
        rust!(
            self,
            "
            /// Finds the handler of a command by the command's name.
            #[derive(Debug)]
            pub struct Dispatcher<H: 'static>($Table<H>);

            impl<H: Commands + 'static> Dispatcher<H> {
                /// All commands, sorted by name.
                $table

                /// Serves the commands by `handler`.
                pub fn new(handler: std::sync::Arc<H>) -> Self {
                    Self($Table::new(Self::COMMANDS, handler))
                }

                /// The handlers.
                pub fn handler(&self) -> &std::sync::Arc<H> {
                    self.0.handler()
                }
            }

            impl<H: Commands + 'static> $Service for Dispatcher<H> {
                fn commands(&self) -> &[$CommandInfo] {
                    self.0.commands()
                }

                fn find(&self, name: &str) -> $Option<usize> {
                    self.0.find(name)
                }

                fn call(&self, index: usize, input: &mut $Input<'_>, output: &mut $Output) -> $Result<$Outcome, $Error> {
                    self.0.call(index, input, output)
                }
            }
            ",
            table,
        );
    }

    /// rustfmt puts the brackets of a list and of its only element together.
    fn emit_lone_row(&mut self, row: &impl ToValue) {
        let start = self.out.len();
        rust!(self, "$row", row);
        let row = self.out.split_off(start);
        let row = row.trim().trim_end_matches(',');
        let command = self.known("Command");
        layout::indent(&mut self.out, self.indent);
        let head = format!("pub const COMMANDS: &'static [{command}<H>] = &[");
        layout::line(&mut self.out, 0, &[&head, row, "];"]);
    }

    fn emit_row(&mut self, plan: &DefinitionPlan<'_, Command>, built_in: Option<&'static str>) {
        let info = lines(|w| w.emit_info(plan.definition));
        let read = lines(|w| w.emit_read_arguments(plan));
        rust!(self, "$cfg");
        if let Some(schema) = built_in {
            // It is named by a path that begins with its module.
            self.parent_module("introspection");
            let is_generated = plan.definition.is_generated();
            let read = lines(|w| {
                if is_generated {
                    w.emit_read_arguments(plan);
                }
            });
            rust!(
                self,
                "
                $Command {
                    $info
                    call: $Handler::Sync(|_, $input, output| {
                        $read
                        output.introspection($schema);
                        Ok(())
                    }),
                },
                ",
                info,
                input = if is_generated { "input" } else { "_" },
                read,
                schema,
            );
            return;
        }
        let call = self.handler_call(plan);
        if !self.plan.options.is_async(plan.definition) {
            return rust!(
                self,
                "
                $Command {
                    $info
                    call: $Handler::Sync(|handler, input, output| {
                        $read
                        let result = $call;
                        output.returns(result)
                    }),
                },
                ",
                info,
                read,
                call,
            );
        }
        let has_value = plan.definition.returns().is_some() || !plan.definition.is_generated();
        rust!(
            self,
            "
            $Command {
                $info
                call: $Handler::Async(|handler, input| {
                    $read
                    let compat = input.compat();
                    Ok($Box::pin(async move {
                        $binding$call.await?;
                        Ok($Reply::new($value, compat)?)
                    }))
                }),
            },
            ",
            info,
            read,
            binding = if has_value { "let value = " } else { "" },
            call,
            value = if has_value { "&value" } else { "&()" },
        );
    }

    fn emit_read_arguments(&mut self, plan: &DefinitionPlan<'_, Command>) {
        if self.arguments_type(plan).is_some() {
            return rust!(self, "let arguments = $Visit::read(input)?;");
        }
        self.note_deprecated_request(plan);
        // It reads by a method of the trait.
        self.known("Visit");
        let commands = self.parent_module("commands");
        rust!(
            self,
            "$commands::$request::read(input)?;",
            commands,
            request = &plan.name
        );
    }

    /// The call of a handler, with the arguments that were read.
    fn handler_call(&mut self, plan: &DefinitionPlan<'_, Command>) -> String {
        let method = names::field(plan.definition.name());
        let has_arguments = self.arguments_type(plan).is_some();
        if !hides_method(&method) {
            let arguments = if has_arguments { "arguments" } else { "" };
            return format!("handler.{method}({arguments})");
        }
        let receiver = if self.plan.options.is_async(plan.definition) {
            "&*handler"
        } else {
            "handler"
        };
        let arguments = if has_arguments { ", arguments" } else { "" };
        format!("Commands::{method}({receiver}{arguments})")
    }

    /// The options of a command; only what differs from the default is written down.
    fn emit_info(&mut self, command: &Command) {
        let name = &layout::string(command.name());
        let mut flags = Vec::new();
        if command.allows_oob() {
            flags.push("allow_oob: true,");
        }
        if command.allows_preconfig() {
            flags.push("allow_preconfig: true,");
        }
        if !command.has_success_response() {
            flags.push("success_response: false,");
        }
        let cases = header_policies(self.plan, command.features());
        let is_open = cases.len() > 1;
        let is_special = cases.iter().any(|case| case.deprecated || case.unstable);
        if flags.is_empty() && !is_special {
            return rust!(self, "info: $CommandInfo::new($name),", name);
        }
        let settings = lines(|w| {
            for flag in &flags {
                w.line(flag);
            }
            for case in cases
                .iter()
                .filter(|it| is_open || it.deprecated || it.unstable)
            {
                w.under(&case.gate, |w| {
                    let policy = match w.policy(case) {
                        Some(policy) => policy,
                        None => format!("{}::NONE", w.known("SpecialFeatures")),
                    };
                    rust!(
                        w,
                        "
                        $cfg
                        special_features: $policy,
                        ",
                        policy,
                    );
                });
            }
        });
        rust!(
            self,
            "
            info: $CommandInfo {
                $settings
                ..$CommandInfo::new($name)
            },
            ",
            settings,
            name,
        );
    }
}
