//! Text for scripts.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool};

use super::guests::{named_iothreadd, start_iothreadd};
use super::{address, text_of, top};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always(
            "tables-name-threads-and-holders",
            tables_name_threads_and_holders,
        )
        .always("json-has-all-that-is-known", json_has_all_that_is_known)
        .always(
            "twenty-holders-are-where-the-server-says",
            twenty_holders_are_where_the_server_says,
        )
        .always("csv-has-the-fields-asked-for", csv_has_the_fields_asked_for)
        .always("rows-are-chosen-and-sorted", rows_are_chosen_and_sorted)
        .always("recordings-are-shown-again", recordings_are_shown_again)
        .always(
            "pages-and-pictures-are-well-formed",
            pages_and_pictures_are_well_formed,
        )
        .always("what-is-wrong-is-said", what_is_wrong_is_said)
        .always("a-command-is-a-server", a_command_is_a_server)
        .with(
            "threads-of-another-namespace-are-not-measured",
            Tool::Program("unshare"),
            threads_of_another_namespace_are_not_measured,
        )
}

/// A pool of two IOThreads, of which the first has a node.
fn pool() -> Server {
    let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let server = start_iothreadd(&objects).unwrap();
    let mut client = Qmp::open(server.socket()).unwrap();
    let node = json!({"driver": "null-co", "node-name": "n0"});
    client.execute("blockdev-add", node).unwrap();
    let place = json!({"node-name": "n0", "iothread": "io0"});
    client.execute("x-blockdev-set-iothread", place).unwrap();
    server
}

fn tables_name_threads_and_holders() -> Result<(), Failed> {
    let server = pool();
    let fields = "iothread,cpu,held,from,holders";
    let text = text_of(&[
        "-b",
        "-i",
        "-n",
        "2",
        "-d",
        "0.1",
        "-o",
        fields,
        &address(&server),
    ]);
    let tables: Vec<_> = text.split("\n\n").collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let held: Vec<_> = rows
            .iter()
            .map(|row| (row[0], row[2], row[3], row[4]))
            .collect();
        assert_eq!(
            held,
            [
                ("IOTHREAD", "HELD", "FROM", "HOLDERS"),
                ("io0", "1", "told", "n0"),
                ("io1", "0", "told", "none"),
                ("(mon_iothread)", "1", "told", "compat_monitor0"),
            ]
        );
        // Each thread was looked at twice, so it is known how long it ran.
        assert!(rows[1..].iter().all(|row| row[1].ends_with('%')), "{text}");
    }
    Ok(())
}

fn json_has_all_that_is_known() -> Result<(), Failed> {
    let server = pool();
    let text = text_of(&["--once", "--json", "-d", "0.1", &address(&server)]);
    let round: Value = serde_json::from_str(&text)?;
    let guest = &round["guests"][0];
    assert_eq!(guest["state"], "alive", "{text}");
    assert_eq!(guest["target"], address(&server));
    assert_eq!(guest["process"], server.process_id());
    assert_eq!(round["guests"].as_array().unwrap().len(), 1);
    let threads = guest["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 2, "{text}");
    assert_eq!(threads[0]["id"], "io0");
    assert_eq!(threads[0]["standing"], "listed");
    let holder = json!({"kind": "block-node", "name": "n0"});
    assert_eq!(threads[0]["holders"], json!([holder]));
    for thread in threads {
        assert!(thread["kernel"]["ran"].as_f64().unwrap() > 0.0, "{thread}");
        assert!(thread["kernel"]["affinity"].is_string(), "{thread}");
        assert!(thread["usage"]["cpu"].is_number(), "{thread}");
    }
    Ok(())
}

/// Twenty holders of two kinds on four threads.
fn twenty_holders_are_where_the_server_says() -> Result<(), Failed> {
    let objects = (0..4).map(|it| format!("iothread,id=io{it}"));
    let objects: Vec<String> = objects.collect();
    let options = objects.iter().flat_map(|it| ["--object", it.as_str()]);
    let server = start_iothreadd(&options.collect::<Vec<_>>())?;
    let mut client = Qmp::open(server.socket())?;
    let at = server.folder().join("nbd").display().to_string();
    let at = json!({"addr": {"type": "unix", "data": {"path": at}}});
    client.execute("nbd-server-start", at)?;
    for number in 0..20 {
        let (node, iothread) = (format!("n{number}"), format!("io{}", number % 3));
        client.execute(
            "blockdev-add",
            json!({"driver": "null-co", "node-name": node}),
        )?;
        if number < 15 {
            let place = json!({"node-name": node, "iothread": iothread});
            client.execute("x-blockdev-set-iothread", place)?;
        } else {
            let export = json!({
                "type": "nbd", "id": format!("e{number}"), "node-name": node, "iothread": "io3"
            });
            client.execute("block-export-add", export)?;
        }
    }
    let told = client.execute("query-iothreads", json!({}))?;
    let name = |holder: &Value| {
        let members = holder.as_object().unwrap().iter();
        let name = members
            .filter(|(key, _)| *key != "type")
            .map(|(_, it)| it.clone());
        (holder["type"].clone(), name.collect::<Vec<_>>())
    };
    let told: Vec<_> = told.as_array().unwrap().iter().collect();
    let text = text_of(&[
        "--once",
        "--json",
        "-d",
        "0.1",
        "--deadline",
        "30",
        &address(&server),
    ]);
    let round: Value = serde_json::from_str(&text)?;
    let threads = round["guests"][0]["threads"].as_array().unwrap();
    let mut n_holders = 0;
    for (thread, told) in threads.iter().zip(told) {
        assert_eq!(
            (&thread["id"], &thread["from"]),
            (&told["id"], &json!("told"))
        );
        let holders = thread["holders"].as_array().unwrap();
        n_holders += holders.len();
        let shown = holders
            .iter()
            .map(|it| (it["kind"].clone(), vec![it["name"].clone()]));
        let told = told["holders"].as_array().unwrap().iter().map(name);
        assert!(shown.eq(told), "{text}");
    }
    assert!(n_holders >= 20, "{n_holders}: {text}");
    Ok(())
}

fn csv_has_the_fields_asked_for() -> Result<(), Failed> {
    let server = pool();
    let fields = "iothread,held,holders,time";
    let options = ["--csv", "-n", "2", "-d", "0.1", "-o", fields];
    let text = text_of(&[&options[..], &[&address(&server)]].concat());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(
        reader.headers()?.iter().collect::<Vec<_>>(),
        ["at", "iothread", "held", "holders", "time"]
    );
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>()?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&row[1], &row[2], &row[3], row[4].parse::<f64>().is_ok()))
        .collect();
    let (io0, io1) = (("io0", "1", "n0", true), ("io1", "0", "", true));
    assert_eq!(rows, [io0, io1, io0, io1]);
    Ok(())
}

fn rows_are_chosen_and_sorted() -> Result<(), Failed> {
    let server = pool();
    let ids = |options: &[&str]| -> Vec<String> {
        let fixed = ["--once", "-d", "0.1", "-o", "iothread"];
        let text = text_of(&[&fixed[..], options, &[&address(&server)]].concat());
        text.lines().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(ids(&["-s", "held"]), ["io0", "io1"]);
    assert_eq!(ids(&["-s", "-held"]), ["io1", "io0"]);
    assert_eq!(ids(&["-f", "iothread=io*", "-f", "held<1"]), ["io1"]);
    assert_eq!(ids(&["-f", "n0"]), ["io0"]);
    let grouped = ids(&["-g", "guest"]);
    assert!(grouped[0].contains(": 2 IOThreads"), "{grouped:?}");
    assert_eq!(grouped[1..], ["io0", "io1"]);
    Ok(())
}

fn recordings_are_shown_again() -> Result<(), Failed> {
    let server = pool();
    let file = server.folder().join("recording");
    let file = file.to_str().unwrap();
    let options = [
        "-b",
        "-d",
        "0.1",
        "-n",
        "4",
        "--record",
        file,
        &address(&server),
    ];
    text_of(&options);
    // It is not overwritten.
    assert_eq!(top(&options).status.code(), Some(1));
    let table = text_of(&[
        "--replay",
        file,
        "-b",
        "-o",
        "iothread,state,held,holders,from",
    ]);
    let last = table.split("\n\n").last().unwrap();
    let rows: Vec<Vec<&str>> = last
        .lines()
        .skip(1)
        .map(|it| it.split_whitespace().collect())
        .collect();
    let of = |id| rows.iter().find(|it| it[0] == id).unwrap().clone();
    assert_eq!(of("io0")[2..], ["1", "n0", "told"], "{table}");
    assert_eq!(of("io1")[2..], ["0", "none", "told"], "{table}");
    // The same again.
    let json = |text: &str| -> Vec<Vec<(Value, Value)>> {
        let threads = |line: &str| {
            let round: Value = serde_json::from_str(line).unwrap();
            let threads = round["guests"][0]["threads"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let told = threads
                .iter()
                .map(|it| (it["id"].clone(), it["holders"].clone()));
            told.collect()
        };
        text.lines().map(threads).collect()
    };
    let recorded = std::fs::read_to_string(file)?;
    let again = text_of(&["--replay", file, "-i", "--json"]);
    assert_eq!(json(&again), json(&recorded));
    // The recorder may have been interrupted. Its first lines may be of a moment before the first look.
    let whole = recorded.lines().last().unwrap();
    std::fs::write(file, format!("{whole}\n{}", &whole[..9]))?;
    assert_eq!(text_of(&["--replay", file, "--json"]).lines().count(), 1);
    std::fs::write(file, format!("{whole}\n{{\"time\": 1}}\n"))?;
    let wrong = top(&["--replay", file, "--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8(wrong.stderr)?.contains("recording: line 2: missing field"));
    Ok(())
}

fn pages_and_pictures_are_well_formed() -> Result<(), Failed> {
    let server = pool();
    let nobody = server.folder().join("<no&body>").display().to_string();
    let address = address(&server);
    for format in ["--svg", "--html"] {
        let output = top(&[format, "-d", "0.1", &address, &nobody]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stdout)?;
        let begin = text.find("<svg").unwrap();
        let end = text.find("</svg>").unwrap() + "</svg>".len();
        let picture = roxmltree::Document::parse(&text[begin..end])?;
        let texts: Vec<_> = picture.descendants().filter_map(|it| it.text()).collect();
        for expected in ["io0", "io1", "n0", "no holder"] {
            assert!(texts.contains(&expected), "{expected}: {text}");
        }
        assert!(texts.iter().any(|it| it.contains("<no&body>")), "{text}");
        assert!(!text.contains("<no&body>"), "{text}");
    }
    Ok(())
}

fn what_is_wrong_is_said() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let nobody = folder.path().join("none");
    let output = top(&["--once", nobody.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout)?;
    assert!(
        text.contains("gone for 0s: No such file or directory"),
        "{text}"
    );
    // No socket matches: there are no guests, and that is not a mistake.
    let pattern = folder.path().join("*.qmp");
    assert_eq!(
        text_of(&["--once", pattern.to_str().unwrap()])
            .lines()
            .count(),
        1
    );
    for wrong in [
        &["tcp:nowhere"][..],
        &["-d", "0", "x"],
        &["-f", "cpu>much", "x"],
    ] {
        assert_eq!(top(wrong).status.code(), Some(2));
    }
    Ok(())
}

/// Its connection is kept: it would be another server otherwise.
fn a_command_is_a_server() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let program = named_iothreadd(folder.path())?;
    let command = format!("exec:{program} --qmp stdio --object iothread,id=io0");
    let text = text_of(&["-b", "-n", "3", "-d", "0.1", "-o", "iothread,tid", &command]);
    let tables: Vec<_> = text.split("\n\n").map(str::trim_end).collect();
    assert!(tables[0].contains("io0"), "{text}");
    assert!(tables.iter().all(|it| *it == tables[0]), "{text}");
    Ok(())
}

/// Their numbers are those of other threads here.
fn threads_of_another_namespace_are_not_measured(unshare: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let program = named_iothreadd(folder.path())?;
    let as_whom: &[&str] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &["-r"],
    };
    let server = Server::start(|socket| {
        let mut command = std::process::Command::new(unshare);
        command
            .args(as_whom)
            .args(["-p", "-f", "--kill-child", "--mount-proc"])
            .args([&program, "--object", "iothread,id=io0", "--qmp"])
            .arg(format!("unix:{}", socket.display()));
        command
    })?;
    let text = text_of(&[
        "--once",
        "-d",
        "0.1",
        "-o",
        "iothread,cpu,on",
        &address(&server),
    ]);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["IOTHREAD", "CPU", "ON"]);
    assert_eq!(rows[1], ["io0", "-", "-"]);
    assert!(text.contains("another namespace"), "{text}");
    Ok(())
}
