//! Programs around generated code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Result, bail};
use libtest_mimic::Failed;
use qapi_gen::backend::rust::{Handlers, Options, Part};
use qapi_gen::ir::{Configuration, Schema, TypeId};
use qapi_gen::validate::Validator;
use serde_json::{Value, json};
use tests::arbitrary::Generator;
use tests::generated::{Crate, Module, feed};

use crate::modes::{OWN_SCHEMAS, own};

/// One set of features, so that it is compiled once.
const SERDE_JSON: (&str, &str) = (
    "serde_json",
    "{ version = \"1\", features = [\"float_roundtrip\"] }",
);

/// How many values of each type are tried, how many commands.
const N_VALUES: u64 = 40;

/// The generated dispatcher answers what the validator answers, which knows the schema alone.
pub(crate) fn dispatcher_as_validator() -> Result<(), Failed> {
    // What a client does not mind, a server demands.
    for (schema, holds, is_tolerant, handlers) in [
        ("names", true, false, Handlers::BySchema),
        ("shapes", true, true, Handlers::Async),
        ("conditions", true, false, Handlers::BySchema),
        ("conditions", false, true, Handlers::Sync),
    ] {
        compare_dispatcher(schema, holds, is_tolerant, handlers)?;
    }
    Ok(())
}

/// Builds a program that reads commands and has no handlers; gives what was generated, and its path.
fn dispatcher(
    schema: &str,
    holds: bool,
    is_tolerant: bool,
    handlers: Handlers,
) -> Result<(Module, PathBuf)> {
    // Two tests have the same program.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock();
    let configuration = Configuration::with_default(holds);
    let options = Options::new()
        .configuration(configuration)
        .partial(true)
        .handlers(handlers);
    let options = if is_tolerant {
        options.tolerate("*")
    } else {
        options
    };
    let program = Crate {
        name: &format!("dispatcher-{schema}-{holds}"),
        modules: vec![Module::generate("qapi", &own(schema), options)?],
        files: vec![(
            "main.rs",
            include_str!("../../programs/replies.rs").to_owned(),
        )],
        ..Crate::default()
    };
    let path = program.write()?.build()?;
    let module = program.modules.into_iter().next();
    Ok((module.expect("one was given"), path))
}

fn compare_dispatcher(
    schema: &str,
    holds: bool,
    is_tolerant: bool,
    handlers: Handlers,
) -> Result<()> {
    let configuration = Configuration::with_default(holds);
    let (module, program) = dispatcher(schema, holds, is_tolerant, handlers)?;
    let requests = requests(module.schema(), &configuration);
    let validator = Validator::new(module.schema(), &configuration)?;
    let expected: Vec<Vec<u8>> = requests
        .iter()
        .map(|request| validator.reply(request.as_bytes()))
        .collect();
    let output = feed(&mut Command::new(program), &requests.join("\n"))?;
    let replies: Vec<&str> = output.lines().collect();
    if replies.len() != requests.len() {
        bail!("{} replies to {} requests", replies.len(), requests.len());
    }
    let mut n_refused = 0;
    for ((request, reply), expected) in requests.iter().zip(replies).zip(expected) {
        let expected = String::from_utf8_lossy(&expected);
        // A command that fits is answered by the validator, and has no handler here.
        let is_accepted = expected.is_empty() || expected == "{\"return\": {}}";
        let is_equal = if is_accepted {
            reply.contains("not currently supported")
        } else {
            n_refused += 1;
            reply == expected
        };
        if !is_equal {
            bail!("{schema}: {request}\n  validator  {expected}\n  dispatcher {reply}");
        }
    }
    if n_refused == 0 || n_refused == requests.len() {
        bail!("{n_refused} of {} commands are refused", requests.len());
    }
    Ok(())
}

/// Commands of the schema, half of them with a mistake.
fn requests(schema: &Schema, configuration: &Configuration) -> Vec<String> {
    let mut generator = Generator::new(schema, configuration, 1);
    let mut requests = Vec::new();
    for command in schema.commands() {
        let arguments = command.arguments().unwrap_or(schema.empty_object());
        for n in 0..N_VALUES {
            let Some(mut value) = generator.value(arguments) else {
                continue;
            };
            if n % 2 == 1 {
                generator.mutate(&mut value);
            }
            let arguments = generator.text(&value);
            let name = Value::from(command.name());
            requests.push(format!(
                "{{\"execute\": {name}, \"arguments\": {arguments}}}"
            ));
        }
        requests.push(json!({"execute": command.name()}).to_string());
    }
    requests
}

/// Every type of the schemas that were written to be difficult.
pub(crate) fn round_trips_of_own() -> Result<(), Failed> {
    for schema in OWN_SCHEMAS {
        let configuration = Configuration::with_default(true);
        round_trips(schema, &own(schema), configuration)?;
    }
    Ok(())
}

/// Every type of QEMU's schema.
pub(crate) fn round_trips_of_qemu(shared: &Path, release: &str) -> Result<(), Failed> {
    let folder = shared.join("qemu").join(release);
    let configuration = Configuration::with_default(true);
    let name = format!("qemu-{}", release.replace('.', "-"));
    round_trips(&name, &folder.join("qapi/qapi-schema.json"), configuration)?;
    Ok(())
}

fn round_trips(name: &str, schema: &Path, configuration: Configuration) -> Result<()> {
    let options = Options::new()
        .configuration(configuration.clone())
        .docs(false);
    let module = Module::generate("qapi", schema, options)?;
    let subjects = subjects(&module);
    let mut generator = Generator::new(module.schema(), &configuration, 2);
    let mut input = String::new();
    for (path, id) in &subjects {
        for _ in 0..N_VALUES {
            // An enum may have no values, a struct a member of such a type.
            let Some(value) = generator.value(*id) else {
                break;
            };
            writeln!(input, "{path} {}", generator.text(&value))?;
        }
    }
    let n_values = input.lines().count();
    let mut table = "//! The types.\n\nuse super::{RoundTrip, qapi, round_trip};\n\n\
                     pub const TABLE: &[(&str, RoundTrip)] = &[\n"
        .to_owned();
    for (path, _) in &subjects {
        writeln!(table, "    ({path:?}, round_trip::<qapi::{path}>),")?;
    }
    table.push_str("];\n");
    let program = Crate {
        name: &format!("round-trips-{name}"),
        modules: vec![module],
        files: vec![
            (
                "main.rs",
                include_str!("../../programs/round-trips.rs").to_owned(),
            ),
            ("table.rs", table),
        ],
        dependencies: &[("serde", "\"1\""), SERDE_JSON],
        ..Crate::default()
    };
    let output = feed(&mut Command::new(program.write()?.build()?), &input)?;
    if !output.ends_with(&format!("{n_values} passed, 0 failed\n")) {
        bail!("{name}: {output}");
    }
    Ok(())
}

/// What of `options.json` the program has: all but `zoom`.
const PART: [&str; 4] = ["draw", "erase", "print", "DRAWN"];

/// Every option of the generator at once.
pub(crate) fn options() -> Result<(), Failed> {
    let options = Options::new()
        .command("make qapi")
        .licence("MIT")
        .docs(false)
        .runtime("crate::runtime")?
        .visibility("pub(crate)")?
        .cfg("CONFIG_ERASE", "all(unix, not(windows))")?
        .attributes("*", "#[derive(Eq)]")?
        .attributes("Color", "#[derive(PartialOrd, Ord)]")?
        .attributes("Point", "#[derive(Hash)]")?
        .attributes("Point.x", "#[doc(alias = \"abscissa\")]")?
        .attributes("Color.red", "#[doc(alias = \"rot\")]")?
        .attributes("Figure.blue", "#[doc(alias = \"blau\")]")?
        .attributes("Where.name", "#[doc(alias = \"nom\")]")?
        .attributes("draw.at", "#[doc(alias = \"position\")]")?
        .replace("Uuid", "crate::own::Uuid")?;
    let module = Module::generate_only("qapi", &own("options"), &PART, options)?;
    // One condition has a predicate of its own.
    if module.features() != ["config-print"] {
        return Err(format!("features: {:?}", module.features()).into());
    }
    for file in module.emission().files() {
        let text = &file.contents;
        let head = "// Generated by `make qapi`; do not edit. @generated\n// SPDX-License-Identifier: MIT\n";
        if !text.starts_with(head) {
            return Err(format!("{}: {text}", file.path.display()).into());
        }
    }
    let types = module.emission().get(Path::new("types/options.rs"));
    let types = types.ok_or("there are no types")?;
    for part in [
        "    #[doc(alias = \"abscissa\")]\n    pub x: i64,\n",
        "    #[doc(alias = \"rot\")]\n    Red,\n",
        "    #[doc(alias = \"blau\")]\n    Blue(crate::own::Uuid),\n",
        "    #[doc(alias = \"nom\")]\n    Name(String),\n",
    ] {
        if !types.contains(part) {
            return Err(format!("'{part}' is missing: {types}").into());
        }
    }
    let program = Crate {
        name: "options",
        modules: vec![module],
        files: vec![(
            "main.rs",
            include_str!("../../programs/options.rs").to_owned(),
        )],
        dependencies: &[SERDE_JSON],
        ..Crate::default()
    };
    let program = program.write()?;
    program.succeed("clippy", &[])?;
    feed(&mut Command::new(program.build()?), "")?;
    Ok(())
}

/// Types and requests alone, as a client or a library wants them; and types alone.
pub(crate) fn omitted_parts() -> Result<(), Failed> {
    let client = Options::new().omit(Part::Server).omit(Part::Introspection);
    let types = Part::ALL
        .into_iter()
        .fold(Options::new(), |options, part| options.omit(part));
    let schema = own("options");
    let modules = vec![
        Module::generate("client", &schema, client)?,
        Module::generate_only("figures", &schema, &["Figure"], types)?,
    ];
    let paths = |module: &Module| -> Vec<String> {
        let files = module.emission().files().iter();
        let mut paths: Vec<_> = files.map(|it| it.path.display().to_string()).collect();
        // They come in the order in which they are made.
        paths.sort();
        paths
    };
    assert_eq!(
        modules.iter().map(paths).collect::<Vec<_>>(),
        [
            vec![
                "commands/mod.rs",
                "commands/options.rs",
                "events/mod.rs",
                "events/options.rs",
                "mod.rs",
                "types/mod.rs",
                "types/options.rs",
            ],
            vec!["mod.rs", "types/mod.rs", "types/options.rs"],
        ]
    );
    let library = "//! Parts of generated code.\n#![deny(warnings, missing_docs, clippy::all)]\n\npub mod client;\npub mod figures;\n";
    let program = Crate {
        name: "omitted-parts",
        modules,
        files: vec![("lib.rs", library.to_owned())],
        ..Crate::default()
    };
    program.write()?.succeed("clippy", &[])?;
    Ok(())
}

/// A schema and a later version of it in one program.
pub(crate) fn skew() -> Result<(), Failed> {
    let generate = |name: &str, version: &str, options| {
        Module::generate(name, &own(&format!("skew-{version}")), options)
    };
    let program = Crate {
        name: "skew",
        modules: vec![
            generate("new", "new", Options::new())?,
            generate("old", "old", Options::new())?,
            generate("tolerant", "new", Options::new().tolerate("*"))?,
        ],
        files: vec![("main.rs", include_str!("../../programs/skew.rs").to_owned())],
        ..Crate::default()
    };
    feed(&mut Command::new(program.write()?.build()?), "")?;
    Ok(())
}

/// Code that was generated for another version of the runtime does not compile, and one learns why, even where it needs what
/// this version does not have.
pub(crate) fn another_version() -> Result<(), Failed> {
    let module = Module::generate("qapi", &own("skew-old"), Options::new())?;
    let root = module.emission().get(Path::new("mod.rs"));
    let root = root.ok_or("there is no root")?;
    let (own, other) = ("codegen::generated_for!(1);", "codegen::generated_for!(2);");
    if !root.contains(own) {
        return Err(format!("{root} does not say what it was generated for").into());
    }
    let newer = "pub use qapi_runtime::codegen::what_only_version_2_has;";
    let root = format!("{}\n{newer}\n", root.replace(own, other));
    let library = Crate {
        name: "another-version",
        modules: vec![module],
        files: vec![("qapi/mod.rs", root)],
        ..Crate::default()
    };
    let output = library.write()?.cargo("check").output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let expected = "error: this code was generated for version 2 of the interface between qapi-gen and qapi-runtime, but this \
                    qapi-runtime has version 1: generate it again with the qapi-gen that has the same version as qapi-runtime";
    if output.status.success() || !stderr.contains(expected) {
        return Err(format!("{}: {stderr}", output.status).into());
    }
    Ok(())
}

/// What a policy refuses, in the reference's words.
pub(crate) fn policies() -> Result<(), Failed> {
    let (_, program) = dispatcher("conditions", true, false, Handlers::BySchema)?;
    let features = r#"{"execute": "take-old", "arguments": {"f": {"old": 1}}}"#;
    let value = r#"{"execute": "take-old", "arguments": {"e": "old"}}"#;
    let (command, new) = (r#"{"execute": "old"}"#, r#"{"execute": "new"}"#);
    let generic = "GenericError";
    let unsupported = "this feature or command is not currently supported";
    for (policy, request, class, desc) in [
        (
            "deprecated-input=reject",
            command,
            "CommandNotFound",
            "Deprecated command old disabled by policy",
        ),
        (
            "deprecated-input=reject",
            features,
            generic,
            "Deprecated parameter old disabled by policy",
        ),
        (
            "deprecated-input=reject",
            value,
            generic,
            "Deprecated value old disabled by policy",
        ),
        (
            "unstable-input=reject",
            new,
            "CommandNotFound",
            "Unstable command new disabled by policy",
        ),
        ("unstable-input=reject", features, generic, unsupported),
        ("deprecated-output=hide", value, generic, unsupported),
    ] {
        let reply = feed(Command::new(&program).arg(policy), request)?;
        let expected = json!({"error": {"class": class, "desc": desc}});
        if serde_json::from_str::<Value>(&reply)? != expected {
            return Err(
                format!("{policy}: {request}\n  expected {expected}\n  received {reply}").into(),
            );
        }
    }
    Ok(())
}

/// The path of every generated type with the schema's type that it stands for.
fn subjects(module: &Module) -> Vec<(String, TypeId)> {
    let schema = module.schema();
    let paths = module.paths();
    let mut subjects = Vec::new();
    for (id, path) in &paths.types {
        subjects.push((path.clone(), *id));
    }
    for (id, path) in &paths.commands {
        let command = schema.command(*id);
        let arguments = command.arguments().unwrap_or(schema.empty_object());
        subjects.push((path.clone(), arguments));
    }
    for (id, path) in &paths.events {
        let data = schema.event(*id).arguments();
        subjects.push((path.clone(), data.unwrap_or(schema.empty_object())));
    }
    subjects
}
