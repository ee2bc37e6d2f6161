//! What only Windows has: its paths, and files that cannot be replaced because somebody has them open.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::windows::ffi::OsStringExt as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;

use qapi_gen::loader::{FileLoader, Loader as _};

use super::names_below;
use crate::command::{COMMAND, code, folder_with, leftovers, run, run_with, stderr};

/// Every file twice or more, under other names.
const MAIN: &str = "{ 'include': 'sub/a.json' }
{ 'include': 'sub\\\\..\\\\b.json' }
{ 'include': './b.json' }
{ 'include': 'sub/.\\\\a.json' }
";

#[test]
fn all_ways_to_name_a_file_are_one() {
    let folder = folder_with(&[
        ("main.json", MAIN),
        (
            "sub/a.json",
            "{ 'include': '..\\\\b.json' }\n{ 'command': 'a' }\n",
        ),
        ("b.json", "{ 'command': 'b' }\n"),
        ("bad.json", "{ 'command': 1 }\n"),
    ]);
    let at = folder.path();
    let absolute = at.to_str().expect("UTF-8");
    let (drive, rooted) = absolute.split_at(2);
    let dump = |name: &str| run_with(at, ["dump", name]);
    let expected = dump("main.json");
    assert_eq!(code(&expected), 0, "{}", stderr(&expected));
    for before in [
        r".\".to_owned(),
        "./".to_owned(),
        r"sub\..\".to_owned(),
        r"sub/..\".to_owned(),
        format!(r"{absolute}\"),
        format!("{}/", absolute.replace('\\', "/")),
        format!(r"{}\sub/../", absolute.to_lowercase()),
        drive.to_owned(),
        format!(r"{drive}sub\..\"),
        format!(r"{rooted}\"),
        format!(r"\\?\{absolute}\"),
        format!(r"\\.\{absolute}\"),
    ] {
        let output = dump(&format!("{before}main.json"));
        assert_eq!(code(&output), 0, "{before}: {}", stderr(&output));
        assert!(output.stdout == expected.stdout, "{before}");
        // Messages name it as it was given.
        let name = format!("{before}bad.json");
        let output = run_with(at, ["check", "--message-format", "short", &name]);
        assert_eq!(code(&output), 1);
        let told = stderr(&output);
        assert!(told.contains(&format!("{name}:1:")), "{name}: {told}");
    }
}

#[test]
fn paths_may_be_long() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    let mut deep = folder.path().to_owned();
    while deep.as_os_str().len() < 600 {
        deep.push("a-folder-with-a-long-name");
    }
    fs::create_dir_all(&deep).expect("made");
    let schema = deep.join("schema.json");
    fs::write(&schema, COMMAND).expect("written");
    let out = deep.join("out");
    let generate = [
        "generate".as_ref(),
        schema.as_os_str(),
        "--out-dir".as_ref(),
    ];
    for check in [None, Some("--check")] {
        let check = check.map(AsRef::as_ref);
        let arguments = generate.into_iter().chain([out.as_os_str()]).chain(check);
        let output = run_with(folder.path(), arguments);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    assert!(out.join("commands").join("schema.rs").is_file());
    // Longer than any path may be.
    let long = format!("{}a.json", "x/".repeat(20_000));
    let include = format!("{{ 'include': '{long}' }}\n");
    let folder = folder_with(&[("schema.json", &include)]);
    let output = run(folder.path(), "check --message-format short schema.json");
    assert_eq!(code(&output), 1);
    let told = stderr(&output);
    assert!(
        told.starts_with("schema.json:1: can't read include file"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn devices_are_no_files() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    for (name, reason) in [
        ("NUL", "Not a regular file"),
        ("con", "Not a regular file"),
        ("aux.json", "Not a regular file"),
        (r"\\.\pipe\nobody", "No such file or directory"),
    ] {
        let output = run_with(folder.path(), ["check", "--message-format", "short", name]);
        assert_eq!(code(&output), 1, "{name}");
        let expected = format!("can't read schema file '{name}': {reason}\n");
        assert_eq!(stderr(&output), expected);
    }
    for name in ["NUL", r"con\out", "COM1"] {
        let output = run(
            folder.path(),
            &format!("generate schema.json --out-dir {name}"),
        );
        let told = stderr(&output);
        assert_eq!(code(&output), 1, "{name}: {told}");
        assert!(told.starts_with("qapi-gen: cannot create '"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn names_that_are_no_text_are_refused() {
    let folder = folder_with(&[("schema.json", COMMAND)]);
    // Half of a character.
    let half = OsString::from_wide(&[0x61, 0xd800, 0x62]);
    let output = run_with(folder.path(), ["check".into(), half.clone()]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let words = ["generate", "schema.json", "--out-dir"];
    let words = words.map(OsString::from).into_iter().chain([half.clone()]);
    let output = run_with(folder.path(), words);
    let told = stderr(&output);
    match code(&output) {
        0 => assert!(folder.path().join(half).join("mod.rs").is_file()),
        1 => assert!(told.contains("qapi-gen: cannot "), "{told}"),
        other => panic!("{other}: {told}"),
    }
    assert!(FileLoader.read(Path::new("a\0b")).is_err());
}

#[test]
fn includes_stay_below_their_root() {
    let folder = folder_with(&[
        ("main.json", "{ 'include': 'sub/a.json' }\n"),
        (
            "out.json",
            "{ 'include': 'sub\\\\..\\\\other\\\\a.json' }\n",
        ),
        (
            "absolute.json",
            "{ 'include': 'C:\\\\windows\\\\win.ini' }\n",
        ),
        (
            "pipe.json",
            "{ 'include': '\\\\\\\\.\\\\pipe\\\\nobody' }\n",
        ),
        ("sub/a.json", COMMAND),
        ("other/a.json", COMMAND),
    ]);
    let at = folder.path();
    let verbatim = format!(r"\\?\{}\sub", at.display());
    for root in ["sub", "SUB", r".\sub\", r"other\..\sub", &verbatim] {
        let check = |schema| run_with(at, ["check", "--include-root", root, schema]);
        let output = check("main.json");
        assert_eq!(code(&output), 0, "{root}: {}", stderr(&output));
        for schema in ["out.json", "absolute.json", "pipe.json"] {
            let told = stderr(&check(schema));
            let reason = format!("Outside of the include root '{root}'");
            assert!(told.contains(&reason), "{root} {schema}: {told}");
        }
    }
}

/// Nothing is changed unless everything can be.
#[test]
fn a_file_that_somebody_has_open_is_told_of() {
    const READ: u32 = 1;
    const EVERYTHING: u32 = 7;

    let folder = folder_with(&[(
        "schema.json",
        "{ 'command': 'cmd' }\n{ 'event': 'EVENT' }\n",
    )]);
    let at = folder.path();
    assert_eq!(code(&run(at, "generate schema.json --out-dir out")), 0);
    let contents = || {
        let mut names = Vec::new();
        names_below(&at.join("out"), &mut names);
        names.sort();
        let read = |name: &String| fs::read(name).expect("a file");
        let contents: Vec<_> = names.iter().map(read).collect();
        (names, contents)
    };
    let before = contents();
    // It changes those, and removes the other.
    let change = "generate schema.json --out-dir out --omit events --no-docs --licence MIT";
    for (name, share) in [
        ("server.rs", READ),
        ("server.rs", EVERYTHING),
        (r"commands\mod.rs", READ),
        (r"events\schema.rs", READ),
    ] {
        let path = at.join("out").join(name);
        let mut options = OpenOptions::new();
        let open = options
            .read(true)
            .share_mode(share)
            .open(&path)
            .expect("open");
        let output = run(at, change);
        let told = stderr(&output).replace('/', r"\");
        assert_eq!(code(&output), 1, "{told}");
        assert!(told.contains(&format!(r"'out\{name}'")), "{told}");
        assert_eq!(contents(), before, "{name}");
        assert!(leftovers(at).is_empty(), "{:?}", leftovers(at));
        drop(open);
    }
    let path = at.join(r"out\server.rs");
    let set_readonly = |is_readonly| {
        let mut permissions = fs::metadata(&path).expect("there").permissions();
        permissions.set_readonly(is_readonly);
        fs::set_permissions(&path, permissions).expect("ours");
    };
    set_readonly(true);
    let output = run(at, change);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains(r"'out\server.rs'"),
        "{}",
        stderr(&output)
    );
    assert_eq!(contents(), before);
    set_readonly(false);
    let output = run(at, change);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!at.join(r"out\events\schema.rs").exists());
}

/// What it says to this test when it runs itself.
const BUILDING: &str = "QAPI_GEN_BUILDING";

#[test]
fn a_build_script_writes_where_cargo_says() {
    if std::env::var_os(BUILDING).is_some() {
        let builder = qapi_gen::Builder::new().schema(r"schemas\schema.json");
        builder.generate().expect("generated");
        return;
    }
    let folder = folder_with(&[("schemas/schema.json", COMMAND), ("out/keep", "")]);
    let out = folder.path().join(r"build\..\out");
    fs::create_dir(folder.path().join("build")).expect("made");
    let mut command = Command::new(std::env::current_exe().expect("this"));
    command.args([
        "--exact",
        "systems::windows::a_build_script_writes_where_cargo_says",
    ]);
    command.arg("--nocapture").current_dir(folder.path());
    command.env("OUT_DIR", &out).env(BUILDING, "1");
    let output = command.output().expect("started");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains("cargo::rerun-if-changed=schemas\\schema.json\n"),
        "{printed}"
    );
    let include = fs::read_to_string(out.join("qapi.rs")).expect("a file");
    let root = out.join("qapi").join("mod.rs");
    assert!(root.is_file());
    assert!(include.contains(&format!("{root:?}")), "{include}");
}
