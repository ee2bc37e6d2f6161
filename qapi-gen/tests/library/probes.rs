//! Constants for all that a schema has, and what a server of it tells.

use std::collections::BTreeSet;

use qapi_gen::backend::introspect::{self, introspect};
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::{Level, LintLevels};
use qapi_gen::diff::Interface;
use qapi_gen::internals::compat::{Verdict, judge};
use qapi_gen::ir::{Configuration, Schema};
use qapi_gen::loader::{FileLoader, MemoryLoader};
use qapi_runtime::introspection::PeerSchema;
use qapi_runtime::json::Document;
use tests::Tool;

fn probes(schema: &Schema) -> String {
    let backend = RustBackend::new(Options::new().probes(true));
    let Ok(generated) = backend.generate(schema) else {
        panic!("it cannot be generated");
    };
    let emission = generated.files().emission();
    let mut files = emission.files().iter();
    let file = files.find(|file| file.path.ends_with("probes.rs"));
    file.expect("a module").contents.clone()
}

/// What a server tells that has everything.
fn server(schema: &Schema) -> PeerSchema {
    let everything = Configuration::with_default(true);
    let told = introspect(schema, &everything, introspect::Options::default());
    let told = Document::parse(told.expect("all is decided").as_bytes());
    PeerSchema::read(told.expect("JSON").root()).expect("an array")
}

/// The paths of the constants.
fn paths(module: &str) -> BTreeSet<String> {
    let literals = module.split(" &str =").skip(1);
    let literals = literals.map(|rest| {
        let text = rest.trim_start().strip_prefix('"').expect("a literal");
        text.split('"').next().expect("its end").to_owned()
    });
    literals.collect()
}

#[test]
fn everything_has_a_constant() {
    let source = "\
        { 'pragma': { 'doc-required': false } }
        { 'enum': 'Driver', 'data': [ 'file', { 'name': 'copy', 'features': [ 'slow' ] }, '2fast', 'to-file' ] }
        { 'struct': 'Base', 'data': { '*name': 'str' } }
        { 'struct': 'File', 'base': 'Base', 'features': [ 'dynamic' ], 'data': { 'path': 'str', 'pa-th': 'str', 'self': 'int' } }
        { 'union': 'Node', 'base': { 'driver': 'Driver', '*type': { 'type': 'int', 'features': [ 'unstable' ] } },
          'discriminator': 'driver', 'data': { 'file': 'File', 'copy': 'Copy' } }
        { 'struct': 'Copy', 'data': { 'from': [ 'Ref' ] } }
        { 'alternate': 'Ref', 'data': { 'name': 'str', 'node': 'Node' } }
        { 'command': 'node-add', 'boxed': true, 'data': 'Node', 'features': [ 'deprecated' ] }
        { 'command': 'move', 'data': { 'node': 'str', '*if': 'bool' }, 'returns': 'Moved', 'if': 'CONFIG_MOVE' }
        { 'struct': 'Moved', 'data': { 'at': 'int' } }
        { 'event': 'GONE', 'data': { 'node': 'str' } }
        { 'event': 'STOP' }
        ";
    let loader = MemoryLoader::new().with("schema.json", source.to_owned());
    let compiled = compile("schema.json", &loader, LintLevels::allow_all());
    let schema = compiled.expect("a schema").into_schema();
    let module = probes(&schema);
    let expected = r#"
/// Commands.
pub mod commands {
    /// Command `node-add`.
    pub const NODE_ADD: &str = "node-add";
    /// Command `move`.
    pub const MOVE: &str = "move";

    /// Of `node-add`.
    pub mod node_add {
        /// Feature `deprecated`.
        pub const FEATURE_DEPRECATED: &str = "node-add#deprecated";
    }

    /// Of `move`.
    pub mod r#move {
        /// Member `node`.
        pub const NODE: &str = "move/arguments/node";
        /// Member `if`.
        pub const IF: &str = "move/arguments/if";
    }
}

/// Events.
pub mod events {
    /// Event `GONE`.
    pub const GONE: &str = "GONE";
    /// Event `STOP`.
    pub const STOP: &str = "STOP";

    /// Of `GONE`.
    pub mod gone {
        /// Member `node`.
        pub const NODE: &str = "GONE/data/node";
    }
}

/// Types, each where it is found first.
pub mod types {
    /// Of `Node`.
    pub mod node {
        /// Member `driver`.
        pub const DRIVER: &str = "node-add/arguments/driver";
        /// Member `type`.
        pub const TYPE: &str = "node-add/arguments/type";
        /// Feature `unstable` of `type`.
        pub const TYPE_FEATURE_UNSTABLE: &str = "node-add/arguments/type#unstable";
    }

    /// Of `Driver`.
    pub mod driver {
        /// Value `file`.
        pub const FILE: &str = "node-add/arguments/driver=file";
        /// Value `copy`.
        pub const COPY: &str = "node-add/arguments/driver=copy";
        /// Feature `slow` of `copy`.
        pub const COPY_FEATURE_SLOW: &str = "node-add/arguments/driver=copy#slow";
        /// Value `2fast`.
        pub const _2FAST: &str = "node-add/arguments/driver=2fast";
        /// Value `to-file`.
        pub const TO_FILE: &str = "node-add/arguments/driver=to-file";
    }

    /// Of `File`.
    pub mod file {
        /// Feature `dynamic`.
        pub const FEATURE_DYNAMIC: &str = "node-add/arguments/driver=file#dynamic";
        /// Member `path`.
        pub const PATH: &str = "node-add/arguments/driver=file/path";
        /// Member `pa-th`.
        pub const PA_TH: &str = "node-add/arguments/driver=file/pa-th";
        /// Member `self`.
        pub const SELF: &str = "node-add/arguments/driver=file/self";
    }

    /// Of `Copy`.
    pub mod copy {
        /// Member `from`.
        pub const FROM: &str = "node-add/arguments/driver=copy/from";
    }

    /// Of `Base`.
    pub mod base {
        /// Member `name`.
        pub const NAME: &str = "node-add/arguments/driver=file/name";
    }

    /// Of `Moved`.
    pub mod moved {
        /// Member `at`.
        pub const AT: &str = "move/returns/at";
    }
}

/// Every path. On a line each they are a manifest for `qapi-gen compat`: what may be sent and read.
pub const ALL: &[&str] = &[
    commands::NODE_ADD,
    commands::MOVE,
    commands::node_add::FEATURE_DEPRECATED,
    commands::r#move::NODE,
    commands::r#move::IF,
    events::GONE,
    events::STOP,
    events::gone::NODE,
    types::node::DRIVER,
    types::node::TYPE,
    types::node::TYPE_FEATURE_UNSTABLE,
    types::driver::FILE,
    types::driver::COPY,
    types::driver::COPY_FEATURE_SLOW,
    types::driver::_2FAST,
    types::driver::TO_FILE,
    types::file::FEATURE_DYNAMIC,
    types::file::PATH,
    types::file::PA_TH,
    types::file::SELF,
    types::copy::FROM,
    types::base::NAME,
    types::moved::AT,
];
"#;
    let (_, items) = module.split_once("PeerSchema::has`.\n").expect("a header");
    assert_eq!(items, expected);
    let server = server(&schema);
    for path in paths(&module) {
        assert_eq!(server.find(&path), Ok(()));
    }
}

/// Names that are alike in Rust are told apart.
#[test]
fn constants_have_names_of_their_own() {
    let source = "\
        { 'pragma': { 'doc-required': false } }
        { 'enum': 'Either', 'data': [ 'a-feature-x', { 'name': 'a', 'features': [ 'x' ] } ] }
        { 'command': 'choose', 'data': { 'e': 'Either' } }
        ";
    let loader = MemoryLoader::new().with("schema.json", source.to_owned());
    let compiled = compile("schema.json", &loader, LintLevels::allow_all());
    let module = probes(&compiled.expect("a schema").into_schema());
    assert!(module.contains("A_FEATURE_X: &str = \"choose/arguments/e=a-feature-x\";"));
    assert!(module.contains("A_FEATURE_X_2: &str = \"choose/arguments/e=a#x\";"));
}

/// All of QEMU's schema is found in what a QEMU tells that has all of it; and, but for what is not in it, in what one has told.
#[test]
fn qemu_has_what_its_schema_says() {
    let Some(shared) = Tool::Shared.for_test("paths in QEMU's schema") else {
        return;
    };
    let path = tests::qemu_schema(&shared, "10.0.13/qapi");
    let path = path.to_str().expect("UTF-8");
    let compiled = compile(path, &FileLoader, LintLevels::allow_all());
    let schema = compiled.expect("a schema").into_schema();
    let paths = paths(&probes(&schema));
    assert!(paths.len() > 3000, "{}", paths.len());
    let all = server(&schema);
    for path in &paths {
        assert_eq!(all.find(path), Ok(()));
    }
    let told = shared.join("qemu/10.0.13/query-qmp-schema.json");
    let told = std::fs::read(told).expect("a recording");
    let missing = check_manifest(&schema, &told, &paths);
    // Other machines and builds have more.
    assert!(missing > 0 && missing < paths.len() / 4, "{missing}");
}

/// A client that uses all of its schema works with it, and a manifest finds what the client of a running server does; returns
/// how many paths that one lacks.
fn check_manifest(schema: &Schema, told: &[u8], paths: &BTreeSet<String>) -> usize {
    let interface = Interface::of_schema(schema, &Configuration::with_default(true));
    let manifest: String = paths.iter().map(|path| format!("{path}\n")).collect();
    let answers = judge(&manifest, &[&interface], None).expect("nothing unknown");
    assert_eq!(answers[0].verdict, Verdict::Degrades);
    let broken: Vec<_> = answers[0]
        .changes
        .iter()
        .filter(|it| it.diagnostic.level == Level::Deny)
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    let running = Interface::of_introspection(told).expect("well-formed");
    let document = Document::parse(told).expect("JSON");
    let root = document.root();
    let peer = PeerSchema::read(root.get("return").unwrap_or(root)).expect("an array");
    let mut n_missing = 0;
    for path in paths {
        let is_known = judge(path, &[&running], None).is_ok();
        assert_eq!(is_known, peer.has(path), "{path}");
        n_missing += usize::from(!is_known);
    }
    n_missing
}
