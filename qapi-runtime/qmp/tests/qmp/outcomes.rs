//! What the page of the conformance kit says of clients is what comes of them.

use std::path::Path;

use libtest_mimic::Failed;
use qmp::kit;
use qmp::torment::Profile;
use tests::{Suite, Tool};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("the-page-says-that-our-client-is-right", our_client)
        .with("qemu-qmp-is-as-the-page-says", Tool::QemuQmp, qemu_qmp)
        .with("the-crate-qapi-is-as-the-page-says", Tool::QapiRs, qapi_rs)
}

/// The cells of the page's table for a client: by profile, whether it is right.
fn cells(client: &str) -> Vec<(Profile, bool)> {
    let page = include_str!("../../CONFORMANCE.md");
    let (_, outcomes) = page.split_once("## Outcomes").unwrap();
    let mut rows = outcomes.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim);
    let column = cells(rows.next().unwrap()).position(|name| name == client);
    let column = column.unwrap();
    let rows = rows.skip(1).map(|row| {
        let mut cells = cells(row);
        let name = cells.next().unwrap().trim_matches('`');
        let profile = Profile::ALL.into_iter().find(|it| it.name() == name);
        let is_right = match cells.nth(column - 1).unwrap() {
            "right" => true,
            "wrong" => false,
            other => panic!("{name}: {other}"),
        };
        (profile.unwrap(), is_right)
    });
    rows.collect()
}

/// All at once, as most of the time nothing happens.
fn compare(client: &str, driver: &str) -> Result<(), Failed> {
    let cells = cells(client);
    if cells.len() != Profile::ALL.len() {
        return Err(format!("{client}: {} profiles", cells.len()).into());
    }
    let others: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = cells
            .into_iter()
            .map(|(profile, is_right)| {
                scope.spawn(move || {
                    let verdict = kit::run(profile, driver).unwrap();
                    (verdict.is_right() != is_right).then(|| verdict.to_string())
                })
            })
            .collect();
        let threads = threads.into_iter();
        threads.filter_map(|it| it.join().unwrap()).collect()
    });
    match others.is_empty() {
        true => Ok(()),
        false => Err(format!("not as the page says:\n{}", others.join("\n")).into()),
    }
}

/// That it is right is a test of its own.
fn our_client() -> Result<(), Failed> {
    let wrong = cells("ours").into_iter().find(|(_, is_right)| !is_right);
    match wrong {
        None => Ok(()),
        Some((profile, _)) => Err(format!("{profile} is wrong").into()),
    }
}

fn qemu_qmp(python: &Path) -> Result<(), Failed> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drivers/qemu_qmp.py");
    let driver = format!("exec '{}' '{script}' 2>/dev/null", python.display());
    compare("qemu.qmp 0.0.6", &driver)
}

fn qapi_rs(client: &Path) -> Result<(), Failed> {
    let driver = client.with_file_name("qapi-rs-driver");
    // It panics.
    let driver = format!("exec '{}' 2>/dev/null", driver.display());
    compare("qapi 0.15", &driver)
}
