//! Manuals as their readers have them: in a browser, in a terminal, and before validators.

use std::path::Path;
use std::process::{Command, Output};

use libtest_mimic::Failed;
use qapi_gen::backend::doc::{DocBackend, Format, Options};
use qapi_gen::compile;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::loader::FileLoader;
use tempfile::TempDir;
use tests::{Suite, Tool, schemas, workspace};

use crate::webdriver::Browser;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("sample-is-current", sample_is_current)
        .with("html-is-valid", Tool::Npm, html_is_valid)
        .with("markdown-is-clean", Tool::Npm, markdown_is_clean)
        .with(
            "man-pages-are-clean",
            Tool::Program("mandoc"),
            man_pages_are_clean,
        )
        .with("browser", Tool::Program("chromedriver"), browser)
        .with_all(
            "accessibility",
            [Tool::Program("chromedriver"), Tool::Npm],
            accessibility,
        )
}

/// A folder with the manual of the schema at `path`.
fn manual(path: &Path, format: Format) -> Result<TempDir, Failed> {
    let name = path.to_str().ok_or("a path that is not UTF-8")?;
    let compiled = compile(name, &FileLoader, LintLevels::allow_all())?;
    let options = Options::new(format)
        .title("Reference manual")
        .date("2026-01-31");
    let folder = tempfile::tempdir()?;
    let backend = DocBackend::new(options);
    backend.generate(compiled.schema())?.write(folder.path())?;
    Ok(folder)
}

/// The page of query-iothreads that the README shows is what would be written.
fn sample_is_current() -> Result<(), Failed> {
    let path = workspace().join("schema/qapi-schema.json");
    let name = path.to_str().ok_or("a path that is not UTF-8")?;
    let compiled = compile(name, &FileLoader, LintLevels::default())?;
    let options = Options::new(Format::Markdown)
        .command("cargo xtask docs")
        .only("query-iothreads");
    let backend = DocBackend::new(options);
    let emission = backend.generate(compiled.schema())?.emission();
    let page = emission.get(Path::new("misc.md")).ok_or("no page")?;
    let sample = std::fs::read_to_string(workspace().join("schema/query-iothreads.md"))?;
    if page == sample {
        Ok(())
    } else {
        Err("schema/query-iothreads.md is out of date, run `cargo xtask docs`".into())
    }
}

/// Fails with what the program said unless it is content.
fn succeed(output: Output) -> Result<(), Failed> {
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let mut length = text.len().min(4000);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    text.truncate(length);
    Err(format!("{}: {text}", output.status).into())
}

/// html-validate with all the rules that it recommends.
fn html_is_valid(modules: &Path) -> Result<(), Failed> {
    // It takes its time. The other manuals have the same elements, and the reader of the tests of
    // qapi-gen, which is strict, sees all of them.
    let is_seen_there = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains("storage-daemon") || path.contains("/10.")
    };
    for schema in schemas("html-is-valid")
        .into_iter()
        .filter(|path| !is_seen_there(path))
    {
        let folder = manual(&schema, Format::Html)?;
        std::fs::write(
            folder.path().join(".htmlvalidate.json"),
            r#"{"root": true, "extends": ["html-validate:recommended"]}"#,
        )?;
        let output = Command::new("node")
            .arg(modules.join("html-validate/bin/html-validate.mjs"))
            .args(["--formatter", "text", "."])
            .current_dir(folder.path())
            .output()?;
        succeed(output)?;
    }
    Ok(())
}

/// markdownlint with its default rules, except three that are about taste.
fn markdown_is_clean(modules: &Path) -> Result<(), Failed> {
    for schema in schemas("markdown-is-clean") {
        let folder = manual(&schema, Format::Markdown)?;
        // Lines are as long as they are in the schema or longer; notes may follow each other; the
        // anchors of definitions are elements.
        std::fs::write(
            folder.path().join(".markdownlint-cli2.jsonc"),
            r#"{"config": {"MD013": false, "MD028": false, "MD033": {"allowed_elements": ["a"]}}}"#,
        )?;
        let output = Command::new("node")
            .arg(modules.join("markdownlint-cli2/markdownlint-cli2-bin.mjs"))
            .arg("*.md")
            .current_dir(folder.path())
            .output()?;
        succeed(output)?;
    }
    Ok(())
}

/// `mandoc -T lint` has nothing to say.
fn man_pages_are_clean(mandoc: &Path) -> Result<(), Failed> {
    for schema in schemas("man-pages-are-clean") {
        let folder = manual(&schema, Format::Man)?;
        let mut command = Command::new(mandoc);
        command.args(["-T", "lint"]).current_dir(folder.path());
        let mut n_pages = 0;
        for entry in std::fs::read_dir(folder.path())? {
            command.arg(entry?.file_name());
            n_pages += 1;
        }
        if n_pages < 2 {
            return Err("there are no pages".into());
        }
        succeed(command.output()?)?;
    }
    Ok(())
}

/// Keys that are not characters, in the browser's code for them.
const ENTER: &str = "\u{e007}";

fn address_of(folder: &TempDir, page: &str) -> String {
    format!("file://{}/{page}", folder.path().display())
}

/// A reader's way: search, follow links, choose the colours, take out the phone.
fn browser(chromedriver: &Path) -> Result<(), Failed> {
    let folder = manual(&workspace().join("schema/qapi-schema.json"), Format::Html)?;
    let browser = Browser::start(chromedriver)?;
    let screenshots = workspace().join("target/manual-screenshots");
    std::fs::create_dir_all(&screenshots)?;
    let shoot = |name: &str| -> Result<(), Failed> {
        let image = browser.screenshot()?;
        if !image.starts_with(b"\x89PNG") {
            return Err("the screenshot is not a PNG".into());
        }
        Ok(std::fs::write(screenshots.join(name), image)?)
    };
    let expect_address = |end: &str| -> Result<(), Failed> {
        let address = browser.address()?;
        if address.ends_with(end) {
            Ok(())
        } else {
            Err(format!("at {address}, not at {end}").into())
        }
    };

    // `/` leads to the search; results are there as soon as the script with the data is.
    browser.open(&address_of(&folder, "index.html"))?;
    shoot("start.png")?;
    browser.press("/query-iot")?;
    let first = browser.text("#Ui-results [role=option][aria-selected=true] .hit")?;
    if first != "query-iothreads" {
        return Err(format!("the first result is {first}").into());
    }
    shoot("search.png")?;
    browser.press(ENTER)?;
    browser.text("article#query-iothreads")?;
    expect_address("misc.html#query-iothreads")?;
    shoot("query-iothreads-light.png")?;

    // The result's type, the type of a member, and back.
    browser.click("#query-iothreads .type a[href='#IOThreadInfo']")?;
    expect_address("#IOThreadInfo")?;
    browser.click("#IOThreadInfo--holders .type a[href='#IoThreadHolder']")?;
    expect_address("misc.html#IoThreadHolder")?;
    shoot("holder.png")?;
    browser.back()?;
    expect_address("misc.html#IOThreadInfo")?;

    // Dark is dark, and stays so on the next page.
    let is_dark = || -> Result<bool, Failed> {
        let sum = browser.run(
            "const colour = getComputedStyle(document.body).backgroundColor;\
             return colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)",
        )?;
        Ok(sum.as_u64().ok_or("no colour")? < 200)
    };
    if is_dark()? {
        return Err("dark without having been asked".into());
    }
    browser.click("#Ui-theme")?;
    if !is_dark()? {
        return Err("still light".into());
    }
    browser.open(&address_of(&folder, "misc.html#query-iothreads"))?;
    if !is_dark()? {
        return Err("the choice is forgotten".into());
    }
    shoot("query-iothreads-dark.png")?;

    // On a phone nothing is wider than the screen, and the contents are behind a link.
    browser.resize(390, 844)?;
    for page in ["misc.html", "index.html", "members.html", "block-core.html"] {
        browser.open(&address_of(&folder, page))?;
        let width = browser.run("return document.documentElement.scrollWidth")?;
        if width.as_u64().is_none_or(|width| width > 390) {
            return Err(format!("{page} is {width} wide").into());
        }
    }
    browser.open(&address_of(&folder, "misc.html#query-iothreads"))?;
    shoot("phone.png")?;
    browser.click(".bar .menu")?;
    browser.click(".chapters a[href='qom.html']")?;
    expect_address("qom.html")?;

    let complaints = browser.complaints()?;
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(format!("the browser complains: {complaints:?}").into())
    }
}

/// axe finds nothing that would keep anybody from reading, in light and in dark, wide and narrow.
fn accessibility([chromedriver, modules]: [&Path; 2]) -> Result<(), Failed> {
    let axe = std::fs::read_to_string(modules.join("axe-core/axe.min.js"))?;
    let folder = manual(&workspace().join("schema/qapi-schema.json"), Format::Html)?;
    let browser = Browser::start(chromedriver)?;
    for (width, height) in [(1280, 900), (390, 844)] {
        browser.resize(width, height)?;
        for page in ["index.html", "misc.html", "commands.html", "members.html"] {
            for theme in ["light", "dark"] {
                browser.open(&address_of(&folder, page))?;
                let script = format!(
                    "document.documentElement.dataset.theme = '{theme}';\n{axe}\n\
                     return axe.run().then(results => results.violations.map(\
                     rule => rule.id + ': ' + rule.nodes[0].html + ': ' \
                     + rule.nodes[0].failureSummary));"
                );
                let violations = browser.run(&script)?;
                if violations.as_array().is_none_or(|all| !all.is_empty()) {
                    return Err(format!("{page}, {theme}, {width}: {violations:#}").into());
                }
            }
        }
    }
    Ok(())
}
