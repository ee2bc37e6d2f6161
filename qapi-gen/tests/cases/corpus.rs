//! Our own cases: a file is a test.
//!
//! | folder | expected files | what a case shows |
//! |---|---|---|
//! | `corpus/good` | `.dump` | a rule that is kept: no diagnostic, and this is how it is understood |
//! | `corpus/bad` | `.short` | a rule that is broken: exactly one diagnostic |
//! | `corpus/recovery` | `.short` | several mistakes, each reported once |
//! | `corpus/render` | `.short`, `.human`, `.jsonl` | one report in every format |
//!
//! The pages of `qapi-gen explain` are cases as well: the wrong example fails with the code of the
//! page alone, and the right one has no diagnostic.
//!
//! The first line of a case is a comment that states the rule. Sub-folders hold files that cases
//! include.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use qapi_gen::backend::dump::dump;
use qapi_gen::diagnostic::{
    Code, Level, Lint, LintLevels, render_human, render_json, render_short,
};
use qapi_gen::loader::{FileLoader, Loader, MemoryLoader};
use qapi_gen::{Diagnosis, compile, diagnose};
use tests::{Suite, golden};

use crate::files;

pub(crate) fn add(mut suite: Suite) -> Suite {
    let mut all_cases = Vec::new();
    for (folder, check) in [
        ("good", check_good as Check),
        ("bad", check_bad),
        ("recovery", check_recovery),
        ("render", check_render),
    ] {
        let cases = files(&format!("corpus/{folder}"), ".json");
        all_cases.extend(cases.iter().cloned());
        for case in cases {
            let name = case.file_stem().unwrap_or_default().to_string_lossy();
            suite = suite.always(&format!("{folder}::{name}"), move || {
                has_rule(&case)?;
                check(&case)
            });
        }
    }
    let lints = Lint::ALL.iter().copied().map(Code::Lint);
    for code in Code::ALL.iter().copied().chain(lints) {
        let name = format!("explain::{}", code.as_str());
        suite = suite.always(&name, move || check_explanation(code));
    }
    suite.always("every_code_has_a_case", move || check_coverage(&all_cases))
}

type Check = fn(&Path) -> Result<(), Failed>;

/// Files as seen from inside a folder, so that messages print their bare names.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Loader for Folder {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        FileLoader.read(&self.0.join(path))
    }
}

fn check_schema(case: &Path, levels: LintLevels) -> Diagnosis {
    let folder = case.parent().unwrap_or(Path::new("")).to_owned();
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    diagnose(&name, &Folder(folder), levels)
}

/// The first line says which rule the case is about.
fn has_rule(case: &Path) -> Result<(), Failed> {
    let text = std::fs::read(case)?;
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    if text.starts_with(b"# ") {
        Ok(())
    } else {
        Err("the first line states no rule".into())
    }
}

fn check_good(case: &Path) -> Result<(), Failed> {
    let checked = check_schema(case, LintLevels::default());
    if !checked.report.diagnostics().is_empty() {
        return Err(short(&checked).into());
    }
    let folder = case.parent().unwrap_or(Path::new("")).to_owned();
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    let compiled = compile(&name, &Folder(folder), LintLevels::default())?;
    compare(case, "dump", &dump(compiled.schema()))
}

fn check_bad(case: &Path) -> Result<(), Failed> {
    let checked = check_schema(case, LintLevels::default());
    if !checked.report.has_errors() {
        return Err("a schema with an error was accepted".into());
    }
    let n = checked.report.diagnostics().len();
    if n != 1 {
        return Err(format!("{n} diagnostics for one mistake:\n{}", short(&checked)).into());
    }
    compare(case, "short", &short(&checked))
}

fn check_recovery(case: &Path) -> Result<(), Failed> {
    let checked = check_schema(case, LintLevels::default());
    if checked.report.diagnostics().len() < 2 {
        return Err(format!("too few diagnostics:\n{}", short(&checked)).into());
    }
    compare(case, "short", &short(&checked))
}

fn check_render(case: &Path) -> Result<(), Failed> {
    // Lints that are allowed by default are shown as warnings here.
    let mut levels = LintLevels::default();
    for lint in Lint::ALL {
        levels.set(*lint, lint.default_level().max(Level::Warn));
    }
    let checked = check_schema(case, levels);
    let sorted = checked.report.sorted();
    let mut human = String::new();
    let mut json = String::new();
    for diagnostic in sorted {
        human.push_str(&render_human(diagnostic, &checked.sources, false));
        human.push('\n');
        json.push_str(&render_json(diagnostic, &checked.sources));
    }
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line)?;
    }
    compare(case, "short", &short(&checked))?;
    compare(case, "human", &human)?;
    compare(case, "jsonl", &json)
}

fn short(checked: &Diagnosis) -> String {
    let diagnostics = checked.report.diagnostics().iter();
    diagnostics
        .map(|diagnostic| render_short(diagnostic, &checked.sources))
        .collect()
}

/// Compares `actual` with the file beside `case`.
fn compare(case: &Path, extension: &str, actual: &str) -> Result<(), Failed> {
    Ok(golden::compare(&case.with_extension(extension), actual)?)
}

fn check_explanation(code: Code) -> Result<(), Failed> {
    let page = code.explanation();
    let heading = format!("# {}: ", code.as_str());
    if !page.starts_with(&heading) {
        return Err(format!("the page does not start with '{heading}'").into());
    }
    // Two schemas, which `diff.rs` compares.
    if code.as_str().starts_with('D') {
        return Ok(());
    }
    let mut examples = page.split("```qapi\n").skip(1);
    let mut example = || examples.next().and_then(|rest| rest.split("```").next());
    let (Some(wrong), Some(right)) = (example(), example()) else {
        let is_long = matches!(
            code,
            Code::NotUtf8
                | Code::TooDeep
                | Code::BasesTooDeep
                | Code::NameTooLong
                | Code::TooManyFeatures
        );
        let exempt = has_no_case(code) || is_long;
        return if exempt {
            Ok(())
        } else {
            Err("no examples".into())
        };
    };
    let check = |example: &str| {
        let mut levels = LintLevels::default();
        if let Code::Lint(lint) = code {
            levels.set(lint, Level::Deny);
        }
        let loader = MemoryLoader::new().with("schema.json", example);
        diagnose("schema.json", &loader, levels)
    };
    let checked = check(wrong);
    let codes: Vec<Code> = checked
        .report
        .diagnostics()
        .iter()
        .map(|found| found.code)
        .collect();
    if codes != [code] {
        return Err(format!("the wrong example gives\n{}", short(&checked)).into());
    }
    let checked = check(right);
    if checked.report.has_errors() {
        return Err(format!("the right example gives\n{}", short(&checked)).into());
    }
    Ok(())
}

/// Codes that no input file of the corpus can show.
fn has_no_case(code: Code) -> bool {
    match code {
        // The main file itself, limits that take a large file or a hundred files:
        // `library/limits.rs` shows these. And what no input leads to.
        Code::SchemaUnreadable
        | Code::LineTooLong
        | Code::TooLarge
        | Code::IncludeTooDeep
        | Code::TooMuchRepeated
        | Code::BranchesTooEntangled
        | Code::Internal => true,
        // A case begins with a comment, which JSON has not: `library/introspection.rs` shows it.
        Code::IntrospectionForm => true,
        // What Rust code cannot express, and what a change breaks: `library/rust.rs` and `diff.rs`
        // show these.
        _ => code.as_str().starts_with("Q08") || code.as_str().starts_with('D'),
    }
}

fn check_coverage(cases: &[PathBuf]) -> Result<(), Failed> {
    let mut seen = HashSet::new();
    for case in cases {
        let mut levels = LintLevels::default();
        for lint in Lint::ALL {
            levels.set(*lint, Level::Deny);
        }
        let checked = check_schema(case, levels);
        seen.extend(
            checked
                .report
                .diagnostics()
                .iter()
                .map(|diagnostic| diagnostic.code),
        );
    }
    let codes = Code::ALL.iter().copied();
    let lints = Lint::ALL.iter().copied().map(Code::Lint);
    let missing: Vec<&str> = codes
        .chain(lints)
        .filter(|code| !seen.contains(code) && !has_no_case(*code))
        .map(Code::as_str)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("no case for {}", missing.join(", ")).into())
    }
}
