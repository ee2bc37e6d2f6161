//! Holders that have gone, as the server tells them.

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Suite, eventually};

use super::exporter::Exporter;
use super::guests::start_iothreadd;
use super::{address, text_of, top};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always(
            "those-who-have-gone-are-told-by-the-server",
            those_who_have_gone_are_told_by_the_server,
        )
        .always(
            "a-change-is-looked-at-when-it-is-told",
            a_change_is_looked_at_when_it_is_told,
        )
}

fn add_node(client: &mut Qmp, name: &str, iothread: &str) -> anyhow::Result<()> {
    let node = json!({"driver": "null-co", "node-name": name});
    client.execute("blockdev-add", node)?;
    let place = json!({"node-name": name, "iothread": iothread});
    client.execute("x-blockdev-set-iothread", place)?;
    Ok(())
}

/// Nobody looked while they held something.
fn those_who_have_gone_are_told_by_the_server() -> Result<(), Failed> {
    let server = start_iothreadd(&["--object", "iothread,id=io0"])?;
    let mut client = Qmp::open(server.socket())?;
    add_node(&mut client, "n0", "io0")?;
    client.execute("blockdev-del", json!({"node-name": "n0"}))?;
    let fixed = ["-d", "0.1", "--deadline", "30", &address(&server)];
    let text = text_of(&[&["--once", "--json"][..], &fixed].concat());
    let round: Value = serde_json::from_str(&text)?;
    let gone = round["guests"][0]["gone-holders"].as_array().unwrap();
    assert_eq!(gone.len(), 1, "{text}");
    assert_eq!(gone[0]["iothread"], "io0");
    let holder = json!({"kind": "block-node", "name": "n0"});
    assert_eq!(gone[0]["holder"], holder, "{text}");
    assert_eq!(gone[0]["by"], "blockdev-del", "{text}");
    // It says why a thread has nobody.
    let output = top(&[&["doctor"][..], &fixed].concat());
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("; n0 left io0 "), "{text}");
    assert!(text.contains(" ago, by blockdev-del"), "{text}");
    Ok(())
}

/// Nobody would look for an hour.
fn a_change_is_looked_at_when_it_is_told() -> Result<(), Failed> {
    let event = ["--event", "IOTHREAD_HOLDERS_CHANGED"];
    let object = ["--object", "iothread,id=io0"];
    let server = start_iothreadd(&[event, object].concat())?;
    let guest = address(&server);
    let exporter = Exporter::start_with(&["-d", "3600", "--hold", &guest]);
    let held = |count: u32| {
        format!(
            "iothread_holders{{guest=\"{guest}\",iothread=\"io0\",kind=\"block-node\"}} {count}.0"
        )
    };
    exporter.until(&format!("iothread_guest_up{{guest=\"{guest}\"}} 1.0"));
    let mut client = Qmp::open(server.socket())?;
    add_node(&mut client, "n0", "io0")?;
    exporter.until(&held(1));
    add_node(&mut client, "n1", "io0")?;
    eventually(|| exporter.metrics().contains(&held(2)));
    Ok(())
}
