//! A log of all commands of QEMU with planted skew, over sources and what servers told, beside a checker of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use qapi_gen::backend::introspect::{Options, introspect};
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::diff::Interface;
use qapi_gen::internals::compat::{Answer, Verdict, judge};
use qapi_gen::ir::Configuration;
use qapi_gen::loader::FileLoader;
use serde_json::{Value, json};
use tests::Tool;

use super::checker::{Findings, Key, check};
use super::sample::{Log, Sampler};
use crate::introspection::recordings;

/// A version, and what a server of it tells.
struct Version {
    name: String,
    interface: Interface,
    told: Vec<Value>,
    is_source: bool,
}

impl Version {
    fn told(name: String, told: &Value) -> Self {
        Self {
            name,
            interface: Interface::of_introspection(told.to_string()).expect("well-formed"),
            told: told.as_array().expect("an array").clone(),
            is_source: false,
        }
    }

    fn source(shared: &Path, name: &str) -> Self {
        let path = shared.join("qemu").join(name).join("qapi/qapi-schema.json");
        let path = path.to_str().expect("UTF-8");
        let compiled = qapi_gen::compile(path, &FileLoader, LintLevels::allow_all());
        let schema = match compiled {
            Ok(compiled) => compiled.into_schema(),
            Err(rejected) => panic!("{rejected}"),
        };
        let everything = Configuration::with_default(true);
        let told = introspect(&schema, &everything, Options::default()).expect("decided");
        let told: Value = serde_json::from_str(&told).expect("JSON");
        Self {
            name: format!("source of {name}"),
            interface: Interface::of_schema(&schema, &everything),
            told: told.as_array().expect("an array").clone(),
            is_source: true,
        }
    }
}

fn versions(test: &str) -> Vec<Version> {
    let Some(shared) = Tool::Shared.for_test(test) else {
        return Vec::new();
    };
    let told = recordings(test).iter();
    let mut versions: Vec<Version> = told
        .map(|recording| Version::told(recording.name.clone(), &recording.told))
        .collect();
    versions.extend(["10.0.13", "10.2.2", "11.1.3"].map(|name| Version::source(&shared, name)));
    versions
}

/// A kind of skew.
struct Planted {
    request: Value,
    answer: Value,
    /// The code, and the first name of its message.
    code: &'static str,
    name: &'static str,
    /// Versions that have it, and some that do not.
    among: &'static [&'static str],
    not_among: &'static [&'static str],
}

/// Each is one that QEMU had, or would have if a program did so.
fn planted() -> Vec<Planted> {
    let nothing = || json!({"return": {}});
    let new = &["11.1.3", "source of 11.1.3"][..];
    let old = &["10.0.13", "source of 10.0.13"][..];
    let all = &["4.2.0_x86_64", "9.2.0_x86_64", "source of 10.2.2", "11.1.3"][..];
    vec![
        // A command that is gone.
        Planted {
            request: json!({"execute": "query-migrationthreads"}),
            answer: json!({"return": [{"name": "a", "thread-id": 1}]}),
            code: "D0101",
            name: "query-migrationthreads",
            among: new,
            not_among: old,
        },
        // One that is not there yet.
        Planted {
            request: json!({"execute": "query-accelerators"}),
            answer: json!({"return": {"enabled": 5, "present": ["kvm", "tcg"]}}),
            code: "D0101",
            name: "query-accelerators",
            among: &["4.2.0_x86_64", "10.0.13"],
            not_among: new,
        },
        // An argument in the branch of a union in a struct.
        Planted {
            request: json!({"execute": "chardev-add", "arguments": {"id": "c", "backend": {"type": "socket",
                "data": {"addr": {"type": "unix", "data": {"path": "/s"}}, "reconnect": 1}}}}),
            answer: nothing(),
            code: "D0201",
            name: "backend.data.reconnect",
            among: new,
            not_among: old,
        },
        // An argument that has to be there now.
        Planted {
            request: json!({"execute": "cxl-inject-dram-event", "arguments": {"path": "/m", "log": "informational", "flags": 1,
                "dpa": 1, "descriptor": 1, "type": 1, "transaction-type": 1}}),
            answer: nothing(),
            code: "D0202",
            name: "sub-type",
            among: new,
            not_among: old,
        },
        // One that a program does not always send.
        Planted {
            request: json!({"execute": "block_resize", "arguments": {"device": "d"}}),
            answer: nothing(),
            code: "D0203",
            name: "size",
            among: all,
            not_among: &[],
        },
        // A value in a list of structs.
        Planted {
            request: json!({"execute": "migrate-set-capabilities", "arguments": {"capabilities": [
                {"capability": "zero-blocks", "state": true}]}}),
            answer: nothing(),
            code: "D0204",
            name: "zero-blocks",
            among: new,
            not_among: old,
        },
        // The branch of a union, with its members, inside of another one.
        Planted {
            request: json!({"execute": "blockdev-add", "arguments": {"driver": "raw", "file": {"driver": "gluster", "volume": "v",
                "path": "p", "server": [{"type": "unix", "path": "/s"}]}}}),
            answer: nothing(),
            code: "D0204",
            name: "gluster",
            among: new,
            not_among: old,
        },
        // A string for an integer.
        Planted {
            request: json!({"execute": "balloon", "arguments": {"value": "1024"}}),
            answer: nothing(),
            code: "D0205",
            name: "value",
            among: all,
            not_among: &[],
        },
        // A number for an alternate of a string and an object.
        Planted {
            request: json!({"execute": "blockdev-add", "arguments": {"driver": "qcow2", "file": 7}}),
            answer: nothing(),
            code: "D0205",
            name: "file",
            among: all,
            not_among: &[],
        },
        // A command that may not overtake.
        Planted {
            request: json!({"exec-oob": "query-block"}),
            answer: json!({"return": []}),
            code: "D0103",
            name: "query-block",
            among: all,
            not_among: &[],
        },
        // A member of a struct in a result.
        Planted {
            request: json!({"execute": "query-name"}),
            answer: json!({"return": {"name": "n", "colour": "red"}}),
            code: "D0305",
            name: "colour",
            among: all,
            not_among: &[],
        },
        // A value in a result.
        Planted {
            request: json!({"execute": "query-migrate-capabilities"}),
            answer: json!({"return": [{"capability": "zero-blocks", "state": false}]}),
            code: "D0307",
            name: "zero-blocks",
            among: new,
            not_among: old,
        },
        // Another kind of value in a result.
        Planted {
            request: json!({"execute": "query-accelerators"}),
            answer: json!({"return": {"enabled": 5, "present": []}}),
            code: "D0303",
            name: "enabled",
            among: new,
            not_among: old,
        },
        // A command that is deprecated.
        Planted {
            request: json!({"execute": "block-job-pause", "arguments": {"device": "d"}}),
            answer: nothing(),
            code: "D0401",
            name: "block-job-pause",
            among: new,
            not_among: old,
        },
        // Something unstable.
        Planted {
            request: json!({"execute": "x-query-jit"}),
            answer: json!({"return": {"human-readable-text": "t"}}),
            code: "D0402",
            name: "x-query-jit",
            among: &["10.0.13", "11.1.3"],
            not_among: &["4.2.0_x86_64"],
        },
        // What was refused is nobody's trouble: neither the command nor its arguments.
        Planted {
            request: json!({"execute": "query-nothing"}),
            answer: json!({"error": {"class": "CommandNotFound", "desc": "not found"}}),
            code: "D0101",
            name: "query-nothing",
            among: &[],
            not_among: all,
        },
        Planted {
            request: json!({"execute": "cont", "arguments": {"now": true}}),
            answer: json!({"error": {"class": "GenericError", "desc": "Parameter 'now' is unexpected"}}),
            code: "D0201",
            name: "now",
            among: &[],
            not_among: all,
        },
    ]
}

/// What was said of a version, in the checker's words: codes and what stands in quotes.
fn findings(answer: &Answer) -> Findings {
    let mut findings: Findings = BTreeMap::new();
    for change in &answer.changes {
        let code = change.diagnostic.code.as_str().to_owned();
        let quoted = change.diagnostic.message.split('\'').skip(1).step_by(2);
        let key = (code, quoted.map(str::to_owned).collect());
        let line = change.line.expect("a line").into();
        findings.entry(key).or_default().insert(line);
    }
    findings
}

/// The verdict that follows from what the checker has found.
fn verdict(findings: &Findings) -> Verdict {
    let is_breach = |code: &str| match code {
        "D0305" | "D0307" => false,
        code => !code.starts_with("D04"),
    };
    match findings.is_empty() {
        true => Verdict::Works,
        false if findings.keys().any(|(code, _)| is_breach(code)) => Verdict::Breaks,
        false => Verdict::Degrades,
    }
}

#[test]
fn verdicts_are_those_of_a_checker_that_shares_no_code() {
    let versions = versions("verdicts are those of a checker that shares no code");
    let Some(recorded) = versions.iter().find(|it| it.name == "10.0.13") else {
        return;
    };
    let mut log = Log::new();
    Sampler::new(&recorded.told).use_all(&recorded.told, &mut log);
    let n_commands = log
        .lines()
        .iter()
        .filter(|line| line.get("sent").is_some())
        .count();
    assert!(n_commands >= 200, "{n_commands}");
    let planted = planted();
    for it in &planted {
        log.call(it.request.clone(), it.answer.clone());
    }
    log.event("GUEST_GONE", json!({"reason": "planted"}));
    let text = log.text();
    let interfaces: Vec<&Interface> = versions.iter().map(|it| &it.interface).collect();
    let answers = judge(&text, &interfaces, None).expect("a good log");
    assert_eq!(answers.len(), versions.len());
    for (version, answer) in std::iter::zip(&versions, &answers) {
        let name = &version.name;
        let mut found = findings(answer);
        if version.is_source {
            // Servers do not tell how wide their integers are.
            found.retain(|(code, _), _| code != "D0206");
        }
        let expected = check(log.lines(), &version.told);
        let keys = |findings: &Findings| findings.keys().cloned().collect::<BTreeSet<Key>>();
        let (ours, theirs) = (keys(&found), keys(&expected));
        let more: Vec<_> = ours.difference(&theirs).collect();
        let less: Vec<_> = theirs.difference(&ours).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "{name}: more {more:?}\nless {less:?}"
        );
        for (key, lines) in &found {
            let may_be = &expected[key];
            let is_first = |line| may_be.first() == Some(line) || key.0 == "D0203";
            let are_right = lines.iter().all(|line| may_be.contains(line));
            assert!(
                are_right && lines.iter().any(is_first),
                "{name}: {key:?} at {lines:?}, not {may_be:?}"
            );
        }
        for it in &planted {
            let is_there = found
                .keys()
                .any(|(code, names)| code == it.code && names[0] == it.name);
            let should = it.among.contains(&&**name);
            let should_not = it.not_among.contains(&&**name);
            assert!(
                !should || is_there,
                "{name} lacks {} of {}",
                it.code,
                it.name
            );
            assert!(
                !should_not || !is_there,
                "{name} has {} of {}",
                it.code,
                it.name
            );
        }
        assert_eq!(answer.verdict, Verdict::Breaks, "{name}");
    }
    for it in &planted {
        let mut log = Log::new();
        log.call(it.request.clone(), it.answer.clone());
        let answers = judge(&log.text(), &interfaces, None).expect("a good log");
        for (version, answer) in std::iter::zip(&versions, &answers) {
            let found = check(log.lines(), &version.told);
            assert_eq!(
                answer.verdict,
                verdict(&found),
                "{}: {found:?}",
                version.name
            );
        }
    }
    check_beside_recorded(&versions);
}

/// Beside what the recorded server tells, it is seen what became optional, or of another kind.
fn check_beside_recorded(versions: &[Version]) {
    let by_name = |name: &str| {
        let found = versions.iter().find(|it| it.name == name);
        found.expect("a source")
    };
    let mut log = Log::new();
    log.call(
        json!({"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": {"name": "host"}}}),
        json!({"return": {"model": {"name": "host"}, "deprecated-props": []}}),
    );
    log.call(
        json!({"execute": "query-migrate-parameters"}),
        json!({"return": {"tls-creds": "", "cpu-throttle-initial": 20}}),
    );
    let recorded = by_name("source of 10.0.13");
    let new = by_name("source of 11.1.3");
    let interfaces = [&recorded.interface, &new.interface];
    let verdicts = |recorded: Option<&Interface>| {
        let answers = judge(&log.text(), &interfaces, recorded).expect("a good log");
        answers
            .iter()
            .map(|answer| (answer.verdict, findings(answer)))
            .collect::<Vec<_>>()
    };
    let without = verdicts(None);
    assert_eq!(without[0].0, Verdict::Works, "{:?}", without[0].1);
    assert_eq!(without[1].0, Verdict::Works, "{:?}", without[1].1);
    let with = verdicts(Some(&recorded.interface));
    assert_eq!(with[0].0, Verdict::Works, "{:?}", with[0].1);
    let keys: Vec<_> = with[1]
        .1
        .keys()
        .map(|(code, names)| (&**code, &*names[0]))
        .collect();
    assert_eq!(
        keys,
        [("D0302", "deprecated-props"), ("D0303", "tls-creds")]
    );
    assert_eq!(with[1].0, Verdict::Breaks);
}
