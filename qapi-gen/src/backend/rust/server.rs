//! The server side: the trait of handlers and the dispatcher.

use crate::ir::Command;

use super::gate::Gate;
use super::introspection;
use super::layout;
use super::names;
use super::plan::{Arguments, DefinitionPlan, Plan, header_policies};
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
        let (send, sync) = (self.std("Send"), self.std("Sync"));
        self.line(0, &["/// The handlers of all commands."]);
        let handled: Vec<_> = commands
            .iter()
            .copied()
            .filter(|command| built_in(command).is_none())
            .collect();
        if handled.is_empty() {
            self.line(0, &["pub trait Commands: ", &send, " + ", &sync, " {}"]);
            self.blank();
            return;
        }
        // The lint looks at what other crates see.
        let is_public = self.plan.options.visibility == "pub";
        if let Some(gate) = self.lone_length(&handled).filter(|_| is_public) {
            self.expect("clippy::len_without_is_empty", &gate);
        }
        self.line(0, &["pub trait Commands: ", &send, " + ", &sync, " {"]);
        for (n, command) in handled.into_iter().enumerate() {
            if n > 0 {
                self.blank();
            }
            self.gate = command.gate.clone();
            let name = command.definition.name();
            let rust = command.name.as_str();
            let link = format!("/// Handles [`{name}`](super::commands::{rust}).");
            self.line(4, &[&link]);
            self.attribute(4, &command.gate);
            self.expect_method_name(command.definition);
            self.emit_method(command);
        }
        self.gate = Gate::ALWAYS;
        self.line(0, &["}"]);
        self.blank();
    }

    /// When a command looks like the length of a collection to a lint, and none tells whether that is empty.
    fn lone_length(&self, commands: &[&DefinitionPlan<'_, Command>]) -> Option<Gate> {
        let gate_of = |method: &str| {
            let mut plain = commands.iter().filter(|command| {
                let definition = command.definition;
                names::field(definition.name()) == method && definition.arguments().is_none()
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
        let lints = [
            (is_conversion || is_new, "clippy::wrong_self_convention"),
            (is_new && !command.is_coroutine(), "clippy::new_ret_no_self"),
        ];
        for (_, lint) in lints.iter().filter(|(is_met, _)| *is_met) {
            self.line(4, &["#[expect(", lint, ", ", NAMED, ")]"]);
        }
    }

    /// Expects a lint under `gate`.
    fn expect(&mut self, lint: &'static str, gate: &Gate) {
        let options = self.plan.options;
        options
            .mapping
            .expect(&mut self.out, 0, gate, [lint, NAMED]);
    }

    fn emit_method(&mut self, plan: &DefinitionPlan<'_, Command>) {
        let command = plan.definition;
        let arguments = self.arguments_type(plan);
        let returns = if command.is_generated() {
            match command.returns() {
                Some(id) => self.type_ref(id, &Gate::ALWAYS),
                None => "()".to_owned(),
            }
        } else {
            self.runtime("", "Value").into_owned()
        };
        let error = self.runtime("", "Error");
        let mut result = format!("{}<{returns}, {error}>", self.std("Result"));
        if command.is_coroutine() {
            result = format!(
                "impl {}<Output = {result}> + {}",
                self.future(),
                self.std("Send")
            );
        }
        let head = format!("fn {}", names::field(command.name()));
        // `    fn name(&self) -> ...;`
        if arguments.is_none() && layout::is_contested(head.len() + result.len() + 16) {
            result = result.replacen("Result<", "std::result::Result<", 1);
        }
        let result = format!(" -> {result}");
        let mut parameters = vec!["&self"];
        let mut argument = arguments.map(|ty| format!("arguments: {ty}"));
        if let Some(argument) = &mut argument {
            // Behind the head: `    (&self, ...);`.
            if layout::is_contested(head.len() + argument.len() + result.len() + 14) {
                *argument = argument.replacen("arguments", "request", 1);
            }
            parameters.push(argument);
        }
        if !self.plan.options.partial {
            layout::signature(&mut self.out, 4, &head, &parameters, &result, ";");
            return;
        }
        layout::signature(&mut self.out, 4, &head, &parameters, &result, " {");
        if let Some(argument) = &argument {
            let name = argument.split(':').next().unwrap_or_default();
            self.line(8, &["let _ = ", name, ";"]);
        }
        if command.is_coroutine() {
            self.line(8, &["std::future::ready(Err(", &error, "::unsupported()))"]);
        } else {
            self.line(8, &["Err(", &error, "::unsupported())"]);
        }
        self.line(4, &["}"]);
    }

    /// The type of the one parameter of a handler, `None` without arguments.
    fn arguments_type(&mut self, plan: &DefinitionPlan<'_, Command>) -> Option<String> {
        match &plan.arguments {
            Arguments::Members(_) if plan.definition.arguments().is_none() => None,
            Arguments::Members(_) => {
                self.note_deprecated_request(plan);
                Some(format!("{}::{}", self.parent_module("commands"), plan.name))
            }
            Arguments::Type(id) => Some(self.type_ref(*id, &Gate::ALWAYS)),
            Arguments::Raw => Some(self.runtime("", "Object").into_owned()),
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
        let table = self.dispatch("Table");
        let command = self.dispatch("Command");
        self.line(
            0,
            &["/// Finds the handler of a command by the command's name."],
        );
        self.line(0, &["#[derive(Debug)]"]);
        self.line(0, &["pub struct Dispatcher<H: 'static>(", &table, "<H>);"]);
        self.blank();
        self.line(0, &["impl<H: Commands + 'static> Dispatcher<H> {"]);
        self.line(4, &["/// All commands, sorted by name."]);
        let head = format!("pub const COMMANDS: &'static [{command}<H>] = &[");
        match commands {
            [] => self.line(4, &[&head, "];"]),
            // rustfmt puts the brackets of a list and of its only element together.
            [only] if only.gate.is_always() => {
                let start = self.out.len();
                self.emit_row(only, built_in(only));
                let row = self.out.split_off(start).replace("\n    ", "\n");
                layout::indent(&mut self.out, 4);
                self.out.push_str(&head);
                self.out.push_str(row.trim().trim_end_matches(','));
                self.out.push_str("];\n");
            }
            rows => {
                self.line(4, &[&head]);
                for command in rows {
                    self.gate = command.gate.clone();
                    self.attribute(8, &command.gate);
                    self.emit_row(command, built_in(command));
                    self.relieve();
                }
                self.gate = Gate::ALWAYS;
                self.line(4, &["];"]);
            }
        }
        self.blank();
        self.line(4, &["/// Serves the commands by `handler`."]);
        self.line(4, &["pub fn new(handler: std::sync::Arc<H>) -> Self {"]);
        self.line(8, &["Self(", &table, "::new(Self::COMMANDS, handler))"]);
        self.line(4, &["}"]);
        self.blank();
        self.line(4, &["/// The handlers."]);
        self.line(4, &["pub fn handler(&self) -> &std::sync::Arc<H> {"]);
        self.line(8, &["self.0.handler()"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
        self.emit_service();
    }

    fn emit_row(&mut self, plan: &DefinitionPlan<'_, Command>, built_in: Option<&str>) {
        let (command_type, handler_type) = (self.dispatch("Command"), self.dispatch("Handler"));
        self.line(8, &[&command_type, " {"]);
        self.emit_info(plan.definition);
        if let Some(schema) = built_in {
            if plan.definition.is_generated() {
                self.line(
                    12,
                    &["call: ", &handler_type, "::Sync(|_, input, output| {"],
                );
                self.emit_read_arguments(plan);
            } else {
                self.line(12, &["call: ", &handler_type, "::Sync(|_, _, output| {"]);
            }
            self.parent_module("introspection");
            self.line(16, &["output.introspection(", schema, ");"]);
            self.line(16, &["Ok(())"]);
        } else if plan.definition.is_coroutine() {
            self.line(12, &["call: ", &handler_type, "::Async(|handler, input| {"]);
            self.emit_read_arguments(plan);
            self.line(16, &["let compat = input.compat();"]);
            let box_ = self.std("Box");
            self.line(16, &["Ok(", &box_, "::pin(async move {"]);
            let has_value = self.has_value(plan.definition);
            let head = if has_value { "let value = " } else { "" };
            self.emit_call(plan, 20, head, ".await?;");
            let reply = self.dispatch("Reply");
            let value = if has_value { "&value" } else { "&()" };
            self.line(20, &["Ok(", &reply, "::new(", value, ", compat)?)"]);
            self.line(16, &["}))"]);
        } else {
            self.line(
                12,
                &["call: ", &handler_type, "::Sync(|handler, input, output| {"],
            );
            self.emit_read_arguments(plan);
            self.emit_call(plan, 16, "let result = ", ";");
            self.line(16, &["output.returns(result)"]);
        }
        self.line(12, &["}),"]);
        self.line(8, &["},"]);
    }

    fn has_value(&self, command: &Command) -> bool {
        command.returns().is_some() || !command.is_generated()
    }

    fn emit_read_arguments(&mut self, plan: &DefinitionPlan<'_, Command>) {
        let visit = self.visit("Visit");
        if self.arguments_type(plan).is_some() {
            self.line(16, &["let arguments = ", &visit, "::read(input)?;"]);
        } else {
            self.note_deprecated_request(plan);
            let commands = self.parent_module("commands");
            let read = format!("{commands}::{}::read(input)?;", plan.name);
            self.line(16, &[&read]);
        }
    }

    /// `{head}handler.method(arguments){tail}`.
    fn emit_call(
        &mut self,
        plan: &DefinitionPlan<'_, Command>,
        width: usize,
        head: &str,
        tail: &str,
    ) {
        let method = names::field(plan.definition.name());
        let has_arguments = self.arguments_type(plan).is_some();
        if hides_method(&method) {
            let receiver = if plan.definition.is_coroutine() {
                "&*handler"
            } else {
                "handler"
            };
            let arguments = if has_arguments { ", arguments" } else { "" };
            let call = format!("Commands::{method}({receiver}{arguments})");
            self.line(width, &[head, &call, tail]);
            return;
        }
        let arguments: &[&str] = if has_arguments { &["arguments"] } else { &[] };
        layout::method_call(
            &mut self.out,
            width,
            head,
            "handler",
            &method,
            arguments,
            tail,
        );
    }

    /// The options of a command; only what differs from the default is written down.
    fn emit_info(&mut self, command: &Command) {
        let info = self.dispatch("CommandInfo");
        let name = layout::string(command.name());
        let new = format!("{info}::new");
        let mut settings = Vec::new();
        if command.allows_oob() {
            settings.push((String::new(), "allow_oob: true".to_owned()));
        }
        if command.allows_preconfig() {
            settings.push((String::new(), "allow_preconfig: true".to_owned()));
        }
        if !command.has_success_response() {
            settings.push((String::new(), "success_response: false".to_owned()));
        }
        let cases = header_policies(self.plan, command.features());
        let is_open = cases.len() > 1;
        for case in cases {
            if let Some(constant) = self.policy(&case, &case.gate) {
                let attribute = self.attribute_text(16, &case.gate);
                settings.push((attribute, format!("special_features: {constant}")));
            } else if is_open {
                let attribute = self.attribute_text(16, &case.gate);
                let policy = self.visit("SpecialFeatures");
                settings.push((attribute, format!("special_features: {policy}::NONE")));
            }
        }
        if settings.is_empty() {
            layout::call(&mut self.out, 12, "info: ", &new, &[&name], ",");
            return;
        }
        self.line(12, &["info: ", &info, " {"]);
        for (attribute, setting) in settings {
            self.out.push_str(&attribute);
            self.line(16, &[&setting, ","]);
        }
        layout::call(&mut self.out, 16, "..", &new, &[&name], "");
        self.line(12, &["},"]);
    }

    fn emit_service(&mut self) {
        let service = self.dispatch("Service");
        let info = self.dispatch("CommandInfo");
        let outcome = self.dispatch("Outcome");
        let (input, output) = (self.visit("Input"), self.visit("Output"));
        let error = self.runtime("", "Error");
        let (option, result) = (self.std("Option"), self.std("Result"));
        self.line(
            0,
            &[
                "impl<H: Commands + 'static> ",
                &service,
                " for Dispatcher<H> {",
            ],
        );
        self.line(4, &["fn commands(&self) -> &[", &info, "] {"]);
        self.line(8, &["self.0.commands()"]);
        self.line(4, &["}"]);
        self.blank();
        self.line(4, &["fn find(&self, name: &str) -> ", &option, "<usize> {"]);
        self.line(8, &["self.0.find(name)"]);
        self.line(4, &["}"]);
        self.blank();
        let input = format!("input: &mut {input}<'_>");
        let output = format!("output: &mut {output}");
        let parameters = ["&self", "index: usize", &input, &output];
        let result = format!(" -> {result}<{outcome}, {error}>");
        layout::signature(&mut self.out, 4, "fn call", &parameters, &result, " {");
        self.line(8, &["self.0.call(index, input, output)"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
    }
}
