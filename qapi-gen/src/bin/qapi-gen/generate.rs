//! `qapi-gen generate`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use qapi_gen::backend::rust::{Handlers, OptionError, Options, Part, RustBackend};
use qapi_gen::ir::Configuration;

use super::console;
use super::emit::{command, emit};
use super::schema::{ConfigArgs, LintArgs, LoadArgs, read_for_output, refuse, take_only};

/// Arguments of `generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema, what query-qmp-schema returned, or the address of a server, such as unix:PATH.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// The folder that gets the code; its root is DIR/mod.rs. A file in the place of a generated one that was not
    /// generated is an error.
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// Leave the schema's documentation out.
    #[arg(long)]
    no_docs: bool,
    /// The licence that every file states, an SPDX expression.
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// Take only these commands, events and types of the schema, with everything that they use. For a server, also
    /// name qmp_capabilities and query-qmp-schema if clients need them.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave out a part of the code: a client needs neither server nor introspection. Types are always generated.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    omit: Vec<PartName>,
    /// Give every function of the trait Commands a body that answers "not supported".
    #[arg(long)]
    partial: bool,
    /// Add a module of paths to all that the schema has, by which a client asks whether its server has it.
    #[arg(long)]
    probes: bool,
    /// Which functions of the trait Commands return a future: those of commands with 'coroutine' in the schema, all, or
    /// none.
    #[arg(long, value_name = "WHICH", default_value = "schema")]
    handlers: HandlersName,
    /// Accept that mandatory members are absent from what a client receives, as they are from the answers of older
    /// servers. These members become an `Option`. NAME is a type, TYPE.MEMBER, an event, or `*` for all results and
    /// events. A server still demands them in arguments.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    tolerate: Vec<String>,
    /// Where generated code finds the crate `qapi_runtime`.
    #[arg(long, value_name = "PATH")]
    runtime: Option<String>,
    /// The visibility of what the root module shows.
    #[arg(long, value_name = "VISIBILITY")]
    visibility: Option<String>,
    /// The cfg predicate of a condition; without it CONFIG_FOO is feature = "config-foo".
    #[arg(long, value_name = "NAME=PREDICATE")]
    cfg: Vec<Pair>,
    /// Attributes for a type, or for all if it is called `*`: `Foo=#[derive(Eq)]`.
    #[arg(long, value_name = "TYPE=ATTRIBUTES")]
    attributes: Vec<Pair>,
    /// Use a Rust type of your own for a type of the schema.
    #[arg(long, value_name = "TYPE=PATH")]
    replace: Vec<Pair>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    files: LoadArgs,
    #[command(flatten)]
    lints: LintArgs,
}

/// A part that may be left out. The server goes with the commands or the introspection data.
#[derive(Clone, Copy, clap::ValueEnum)]
enum PartName {
    Commands,
    Events,
    Server,
    Introspection,
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Commands => Self::Commands,
            PartName::Events => Self::Events,
            PartName::Server => Self::Server,
            PartName::Introspection => Self::Introspection,
        }
    }
}

/// How the functions of the trait Commands are called.
#[derive(Clone, Copy, clap::ValueEnum)]
enum HandlersName {
    Schema,
    Async,
    Sync,
}

impl From<HandlersName> for Handlers {
    fn from(name: HandlersName) -> Self {
        match name {
            HandlersName::Schema => Self::BySchema,
            HandlersName::Async => Self::Async,
            HandlersName::Sync => Self::Sync,
        }
    }
}

/// `NAME=VALUE`.
#[derive(Clone)]
struct Pair {
    name: String,
    value: String,
}

impl std::str::FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("there is no '='")?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl Args {
    fn options(&self, configuration: Configuration) -> Result<Options, OptionError> {
        let mut options = Options::new()
            .configuration(configuration)
            .docs(!self.no_docs)
            .partial(self.partial)
            .probes(self.probes)
            .handlers(self.handlers.into());
        options = options.command(command("generate", &self.schema));
        if let Some(licence) = &self.licence {
            options = options.licence(licence);
        }
        for part in &self.omit {
            options = options.omit((*part).into());
        }
        for name in &self.tolerate {
            options = options.tolerate(name);
        }
        if let Some(runtime) = &self.runtime {
            options = options.runtime(runtime)?;
        }
        if let Some(visibility) = &self.visibility {
            options = options.visibility(visibility)?;
        }
        for Pair { name, value } in &self.cfg {
            options = options.cfg(name, value)?;
        }
        for Pair { name, value } in &self.attributes {
            options = options.attributes(name, value)?;
        }
        for Pair { name, value } in &self.replace {
            options = options.replace(name, value)?;
        }
        Ok(options)
    }
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let configuration = args.config.read()?;
    let options = args.options(configuration).map_err(io::Error::other)?;
    let Some(schema) = read_for_output(&args.schema, &args.files, &args.lints)? else {
        return Ok(ExitCode::FAILURE);
    };
    let schema = take_only(schema, &args.only)?;
    let backend = RustBackend::new(options);
    let generated = match backend.generate(&schema) {
        Ok(generated) => generated,
        Err(rejected) => return refuse(&rejected),
    };
    let status = emit(&generated.files(), &args.out_dir, args.check)?;
    if !args.check {
        print_features(&generated.features())?;
    }
    Ok(status)
}

/// The table that the including crate's manifest needs.
fn print_features(features: &[String]) -> io::Result<()> {
    if features.is_empty() {
        return Ok(());
    }
    let mut table = String::from(
        "# Conditions of the schema, for Cargo.toml: code is there where its feature is on.\n[features]\n",
    );
    for feature in features {
        table.push_str(feature);
        table.push_str(" = []\n");
    }
    console::print(table.as_bytes())
}
