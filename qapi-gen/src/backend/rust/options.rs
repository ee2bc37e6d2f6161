//! What a user may choose about generated Rust.

use std::collections::{BTreeMap, BTreeSet};

use syn::parse::Parser;

use crate::ir::{Command, Configuration};

use super::gate::CfgMapping;

/// Options of the Rust backend.
///
/// Fragments of Rust are parsed when they are given, so that what is emitted is what was meant.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) configuration: Configuration,
    pub(super) mapping: CfgMapping,
    pub(super) command: String,
    pub(super) licence: Option<String>,
    pub(super) runtime: String,
    /// The module of it that is for generated code.
    pub(super) door: String,
    pub(super) visibility: String,
    pub(super) docs: bool,
    pub(super) attributes: BTreeMap<String, Vec<String>>,
    pub(super) attributes_for_all: Vec<String>,
    pub(super) replacements: BTreeMap<String, String>,
    pub(super) omitted: BTreeSet<Part>,
    pub(super) partial: bool,
    pub(super) probes: bool,
    pub(super) handlers: Handlers,
    pub(super) tolerated: BTreeSet<String>,
}

/// A part of the code that may be left out; types are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The module `commands`: a request type for each command.
    Commands,
    /// The module `events`: a type for each event, and the enum of all.
    Events,
    /// The module `server`: the trait of handlers and the dispatcher.
    Server,
    /// The module `introspection`: what `query-qmp-schema` returns.
    Introspection,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Commands,
        Self::Events,
        Self::Server,
        Self::Introspection,
    ];

    /// The name of its module.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Events => "events",
            Self::Server => "server",
            Self::Introspection => "introspection",
        }
    }
}

/// Which functions of the trait `Commands` are asynchronous: they return a future.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Handlers {
    /// Those of commands with 'coroutine' in the schema.
    #[default]
    BySchema,
    /// All of them.
    Async,
    /// No function.
    Sync,
}

/// A fragment that is not valid Rust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("option '{option}': '{fragment}' is not {expected}: {reason}")]
pub struct OptionError {
    /// The option.
    pub option: &'static str,
    /// What was given.
    pub fragment: String,
    /// What the option takes.
    pub expected: &'static str,
    /// What the parser said.
    pub reason: String,
}

/// Where the runtime at this path has what generated code needs: nothing else of it is used.
fn door(runtime: &str) -> String {
    format!("{runtime}::codegen")
}

impl Default for Options {
    fn default() -> Self {
        Self {
            configuration: Configuration::new(),
            mapping: CfgMapping::default(),
            command: "qapi-gen generate".to_owned(),
            licence: None,
            runtime: "qapi_runtime".to_owned(),
            door: door("qapi_runtime"),
            visibility: "pub".to_owned(),
            docs: true,
            attributes: BTreeMap::new(),
            attributes_for_all: Vec::new(),
            replacements: BTreeMap::new(),
            omitted: BTreeSet::new(),
            partial: false,
            probes: false,
            handlers: Handlers::default(),
            tolerated: BTreeSet::new(),
        }
    }
}

impl Options {
    /// Everything is generated, conditions become `#[cfg]`, docs are carried over.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides conditions; what it leaves open becomes `#[cfg(...)]`.
    #[must_use]
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// The command that the header of every file names as its maker.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = command.into();
        self
    }

    /// The licence that the header of every file states, an SPDX expression.
    #[must_use]
    pub fn licence(mut self, licence: impl Into<String>) -> Self {
        self.licence = Some(licence.into());
        self
    }

    /// Whether the schema's documentation is carried over; without it every item has one line.
    #[must_use]
    pub fn docs(mut self, docs: bool) -> Self {
        self.docs = docs;
        self
    }

    /// Leaves a part of the code out. A client needs neither [`Part::Server`] nor [`Part::Introspection`].
    ///
    /// The server cannot do without commands and introspection data, so it goes with either of them.
    #[must_use]
    pub fn omit(mut self, part: Part) -> Self {
        self.omitted.insert(part);
        self
    }

    pub(super) fn has(&self, part: Part) -> bool {
        let is_omitted = |part| self.omitted.contains(&part);
        let lacks_ground = match part {
            Part::Server => is_omitted(Part::Commands) || is_omitted(Part::Introspection),
            Part::Commands | Part::Events | Part::Introspection => false,
        };
        !is_omitted(part) && !lacks_ground
    }

    /// Whether the functions of the trait `Commands` have bodies, which answer that the command is
    /// not supported. Without them a command that has no handler does not compile.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Whether there is a module `probes`, with a constant for each command and event, their members and features at any depth
    /// and the values of enumerations: the paths by which `introspection::PeerSchema` of the runtime tells whether a server has them.
    #[must_use]
    pub fn probes(mut self, probes: bool) -> Self {
        self.probes = probes;
        self
    }

    /// Which functions of the trait `Commands` are asynchronous, whatever the schema says about 'coroutine'.
    #[must_use]
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    pub(super) fn is_async(&self, command: &Command) -> bool {
        match self.handlers {
            Handlers::BySchema => command.is_coroutine(),
            Handlers::Async => true,
            Handlers::Sync => false,
        }
    }

    /// Lets members be absent from what a client receives that are mandatory in the schema: they become an `Option`. A
    /// server that is older than the schema does not send what has become mandatory since, and one that is newer may
    /// no longer send it.
    ///
    /// `name` is that of a type, and stands for all members that its struct has, also those of its bases; one of a type
    /// and a member, as in `MachineInfo.acpi`; the same for an event whose data is written in place; or `*` for all
    /// results of commands and all events. Types of the answer to `query-qmp-schema` need no name.
    ///
    /// A discriminator that is absent selects the branch `Unknown`, with an empty name. What `Dispatcher` reads stays
    /// mandatory, also in types that are both arguments and results, and `new` takes it as before. What is absent is not
    /// sent either.
    #[must_use]
    pub fn tolerate(mut self, name: impl Into<String>) -> Self {
        self.tolerated.insert(name.into());
        self
    }

    /// The predicate of `#[cfg(...)]` for the condition `name`, in place of
    /// `feature = "config-foo"` for `CONFIG_FOO`.
    ///
    /// # Errors
    ///
    /// `predicate` is not a configuration predicate.
    pub fn cfg(mut self, name: &str, predicate: &str) -> Result<Self, OptionError> {
        let parsed: syn::Meta = parse("cfg", predicate, "a configuration predicate")?;
        self.mapping
            .predicates
            .insert(name.to_owned(), tokens(&parsed));
        Ok(self)
    }

    /// The path at which generated code finds `qapi_runtime`.
    ///
    /// # Errors
    ///
    /// `path` is not a path.
    pub fn runtime(mut self, path: &str) -> Result<Self, OptionError> {
        let parsed: syn::Path = parse_with("runtime", path, "a path", syn::Path::parse_mod_style)?;
        self.runtime = tokens(&parsed);
        self.door = door(&self.runtime);
        Ok(self)
    }

    /// The visibility of what the root module shows, such as `pub(crate)`.
    ///
    /// With less than `pub` the compiler sees what of it is not used, and says so: the line that
    /// includes the module then needs an `allow` of `dead_code` and `unused_imports`.
    ///
    /// # Errors
    ///
    /// `visibility` is not a visibility of Rust.
    pub fn visibility(mut self, visibility: &str) -> Result<Self, OptionError> {
        let parser = |input: syn::parse::ParseStream<'_>| match input.parse()? {
            syn::Visibility::Inherited => Err(input.error("expected `pub`")),
            visibility => Ok(visibility),
        };
        let parsed = parse_with("visibility", visibility, "a visibility", parser)?;
        self.visibility = tokens(&parsed);
        Ok(self)
    }

    /// Adds derives or other outer attributes, such as `#[derive(Eq, Hash)]`.
    ///
    /// `name` is that of a type, command or event in the schema; one of these and the name of a
    /// member, value or branch of it, as in `Foo.size`; or `*` for every type.
    ///
    /// # Errors
    ///
    /// `attributes` are not attributes of Rust.
    pub fn attributes(mut self, name: &str, attributes: &str) -> Result<Self, OptionError> {
        let parser = syn::Attribute::parse_outer;
        let parsed = parse_with("attributes", attributes, "outer attributes", parser)?;
        let list = match name {
            "*" => &mut self.attributes_for_all,
            _ => self.attributes.entry(name.to_owned()).or_default(),
        };
        list.extend(parsed.iter().map(tokens));
        Ok(self)
    }

    /// Uses the type at `path` where the schema says `name`, and generates none.
    ///
    /// It has to be what the generated type would be: `Visit` or `Members` of the runtime,
    /// `Debug`, `Clone` and `PartialEq`; for a discriminator also its variants. The path is seen
    /// from modules two levels below the root module, so it had better begin with `crate`.
    ///
    /// # Errors
    ///
    /// `path` is not a type.
    pub fn replace(mut self, name: &str, path: &str) -> Result<Self, OptionError> {
        let parsed: syn::Type = parse("replace", path, "a type")?;
        self.replacements.insert(name.to_owned(), tokens(&parsed));
        Ok(self)
    }
}

fn parse<T: syn::parse::Parse>(
    option: &'static str,
    fragment: &str,
    expected: &'static str,
) -> Result<T, OptionError> {
    parse_with(option, fragment, expected, T::parse)
}

fn parse_with<T>(
    option: &'static str,
    fragment: &str,
    expected: &'static str,
    parser: impl FnOnce(syn::parse::ParseStream<'_>) -> syn::Result<T>,
) -> Result<T, OptionError> {
    parser.parse_str(fragment).map_err(|error| OptionError {
        option,
        fragment: fragment.to_owned(),
        expected,
        reason: error.to_string(),
    })
}

/// The tokens in the spacing of rustfmt, as far as paths, attributes and types go.
fn tokens(parsed: &impl quote::ToTokens) -> String {
    let mut text = String::new();
    push_tokens(&mut text, parsed.to_token_stream());
    text
}

fn push_tokens(out: &mut String, stream: proc_macro2::TokenStream) {
    use proc_macro2::{Delimiter, Spacing, TokenTree};
    let mut after_word = false;
    let mut operator = String::new();
    for token in stream {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{ ", " }"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                out.push_str(open);
                push_tokens(out, group.stream());
                out.push_str(close);
                after_word = false;
            }
            TokenTree::Punct(punct) => {
                operator.push(punct.as_char());
                if punct.spacing() == Spacing::Joint {
                    continue;
                }
                match operator.as_str() {
                    "," => out.push_str(", "),
                    "=" | "=>" | "==" | "!=" | "<=" | ">=" => {
                        out.push(' ');
                        out.push_str(&operator);
                        out.push(' ');
                    }
                    other => out.push_str(other),
                }
                operator.clear();
                after_word = false;
            }
            word @ (TokenTree::Ident(_) | TokenTree::Literal(_)) => {
                // The sign of a lifetime.
                out.push_str(&std::mem::take(&mut operator));
                if after_word {
                    out.push(' ');
                }
                out.push_str(&word.to_string());
                after_word = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_parsed() {
        let options = Options::new()
            .cfg("CONFIG_A", "all(unix,feature=\"a\")")
            .and_then(|options| options.replace("Foo", "std::vec::Vec< u8 >"))
            .and_then(|options| options.attributes("*", "#[derive(Eq,Hash)]"))
            .expect("well-formed");
        assert_eq!(
            options.mapping.predicates["CONFIG_A"],
            "all(unix, feature = \"a\")"
        );
        assert_eq!(options.replacements["Foo"], "std::vec::Vec<u8>");
        assert_eq!(options.attributes_for_all, ["#[derive(Eq, Hash)]"]);
        let error = Options::new()
            .replace("Foo", "fn main() {}")
            .expect_err("no type");
        assert_eq!(error.option, "replace");
        let error = Options::new().visibility("").expect_err("no visibility");
        assert_eq!(error.option, "visibility");
    }

    #[test]
    fn operators_stay_whole() {
        for (fragment, written) in [
            ("#[a(b=>c,d==e)]", "#[a(b => c, d == e)]"),
            ("#[a(0..=5)]", "#[a(0..=5)]"),
            ("#[a(x!=y)]", "#[a(x != y)]"),
            ("#[a=\"b\"]", "#[a = \"b\"]"),
            ("#[a(&'b c::<d>())]", "#[a(&'b c::<d>())]"),
        ] {
            let options = Options::new().attributes("*", fragment);
            assert_eq!(options.expect("well-formed").attributes_for_all, [written]);
        }
    }
}
