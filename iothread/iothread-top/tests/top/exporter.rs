//! Metrics over HTTP, and whoever reads them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::http::{exchange, get};
use tests::{Suite, Tool, comes_true, eventually};

use super::guests::{Disks, start_iothreadd};
use super::{Program, address, program};

pub(crate) fn add(suite: Suite) -> Suite {
    let promtool = Tool::Program("promtool");
    let prometheus = Tool::Program("prometheus");
    let load = Tool::Program("qemu-img");
    suite
        .always("metrics-are-served", metrics_are_served)
        .always(
            "scrapes-that-are-none-harm-nobody",
            scrapes_that_are_none_harm_nobody,
        )
        .always("a-scrape-at-the-end-is-whole-or-none", a_scrape_at_the_end)
        .always("a-socket-may-be-handed-over", a_socket_may_be_handed_over)
        .with(
            "promtool-finds-nothing-wrong",
            promtool,
            promtool_finds_nothing_wrong,
        )
        .with_all(
            "prometheus-scrapes-and-alerts",
            [prometheus, load],
            |[prometheus, load]| prometheus_scrapes_and_alerts(prometheus, load),
        )
        .with(
            "units-are-well-formed",
            Tool::Program("systemd-analyze"),
            units_are_well_formed,
        )
}

/// An exporter, and where it listens.
pub(crate) struct Exporter {
    pub(crate) program: Program,
    at: String,
}

impl Exporter {
    pub(crate) fn start(targets: &[&str]) -> Self {
        Self::start_with(&[&["-d", "0.2"], targets].concat())
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::start_by(options, |it| it)
    }

    /// By another program, which is given its command.
    pub(crate) fn start_by(options: &[&str], by: impl FnOnce(Command) -> Command) -> Self {
        let fixed = ["exporter", "--deadline", "5", "--listen", ":0"];
        let mut child = by(program(&[&fixed[..], options].concat()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        reader.read_line(&mut said).unwrap();
        let at = said.trim().strip_prefix("iothread-top: metrics at http://");
        let at = at.and_then(|it| it.strip_suffix("/metrics"));
        let at = at.unwrap_or_else(|| panic!("{said}")).to_owned();
        Self {
            program: Program(child),
            at,
        }
    }

    pub(crate) fn metrics(&self) -> String {
        let (head, body) = get(
            &self.at,
            "/metrics",
            "application/openmetrics-text; version=1.0.0",
        );
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert!(
            head.contains("application/openmetrics-text; version=1.0.0"),
            "{head}"
        );
        body
    }

    /// Waits for a line that begins so.
    pub(crate) fn until(&self, line: &str) -> String {
        let mut body = String::new();
        eventually(|| {
            body = self.metrics();
            body.lines().any(|it| it.starts_with(line))
        });
        body
    }
}

fn metrics_are_served() -> Result<(), Failed> {
    let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let server = start_iothreadd(&objects)?;
    let guest = address(&server);
    let nobody = server.folder().join("nobody").display().to_string();
    let exporter = Exporter::start(&[&guest, &nobody]);
    let up = format!("iothread_guest_up{{guest=\"{guest}\"}} 1.0");
    let text = exporter.until(&up);
    for line in [
        "# TYPE iothread_cpu_seconds counter".to_owned(),
        "# UNIT iothread_cpu_seconds seconds".to_owned(),
        format!("iothread_guest_up{{guest=\"unix:{nobody}\"}} 0.0"),
        format!("iothread_guest_state{{guest=\"unix:{nobody}\",state=\"gone\"}} 1.0"),
        format!("iothread_cpu_seconds_total{{guest=\"{guest}\",iothread=\"io1\",mode=\"user\"}} "),
        format!("iothread_run_delay_seconds_total{{guest=\"{guest}\",iothread=\"io0\"}} "),
        format!("iothread_holders{{guest=\"{guest}\",iothread=\"io0\",kind=\"qom-object\"}} 0.0"),
        format!("iothread_poll_max_seconds{{guest=\"{guest}\",iothread=\"io0\"}} "),
        "iothread_exporter_left_out{what=\"guests\"} 0.0".to_owned(),
    ] {
        assert!(
            text.lines().any(|it| it.starts_with(&line)),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
    // Nobody sees the same series twice.
    let mut series: Vec<_> = text.lines().filter(|it| !it.starts_with('#')).collect();
    let name = |line: &&str| line.rsplit_once(' ').unwrap().0.to_owned();
    series.sort_unstable();
    let n_series = series.len();
    series.dedup_by_key(|it| name(it));
    assert_eq!(series.len(), n_series, "{text}");

    let (head, body) = get(&exporter.at, "/metrics", "text/plain");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(
        body.contains("# TYPE iothread_cpu_seconds_total counter\n"),
        "{body}"
    );
    assert!(get(&exporter.at, "/", "*/*").1.contains("2 guests"));
    Ok(())
}

fn scrapes_that_are_none_harm_nobody() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let exporter = Exporter::start(&[&folder.path().join("*.qmp").display().to_string()]);
    // From the first moment there is something to read.
    assert!(exporter.metrics().ends_with("# EOF\n"));
    // Some that begin and say no more.
    let halves: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&exporter.at).unwrap();
            stream.write_all(b"GET /met").unwrap();
            stream
        })
        .collect();
    let status = |request: &[u8]| {
        exchange(&exporter.at, request)
            .0
            .lines()
            .next()
            .unwrap_or("")
            .to_owned()
    };
    assert_eq!(
        status(b"POST /metrics HTTP/1.0\r\n\r\n"),
        "HTTP/1.0 405 Method Not Allowed"
    );
    assert_eq!(
        status(b"GET /etc/passwd HTTP/1.0\r\n\r\n"),
        "HTTP/1.0 404 Not Found"
    );
    assert!(status(b"{\"execute\": \"quit\"}\n\n\r\n\r\n").contains("400"));
    let long = [
        b"GET /".as_slice(),
        &vec![b'x'; 1 << 20],
        b" HTTP/1.0\r\n\r\n",
    ]
    .concat();
    assert!(!status(&long).contains("200"));
    assert!(exporter.metrics().ends_with("# EOF\n"));
    drop(halves);
    Ok(())
}

/// Whoever scrapes while the exporter ends has all of it, or can tell.
fn a_scrape_at_the_end() -> Result<(), Failed> {
    let server = start_iothreadd(&["--object", "iothread,id=io0"])?;
    let exporter = Exporter::start(&[&address(&server)]);
    exporter.until("iothread_holders{");
    let at = exporter.at.clone();
    let (scraped, is_scraped) = std::sync::mpsc::channel();
    let scraper = std::thread::spawn(move || {
        // Until nobody listens.
        while let Ok(mut stream) = TcpStream::connect(&at) {
            let mut answer = Vec::new();
            // It may be gone between any two bytes.
            let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8(answer).unwrap();
            if let Some((head, body)) = answer.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|it| it.strip_prefix("content-length: "));
                let length: usize = length.unwrap().parse().unwrap();
                assert!(body.len() <= length, "{answer}");
            }
            // Nobody may be left to count.
            let _ = scraped.send(());
        }
    });
    is_scraped.iter().take(3).for_each(drop);
    let process = Pid::from_raw(exporter.program.0.id().cast_signed()).unwrap();
    kill_process(process, Signal::TERM)?;
    scraper.join().unwrap();
    Ok(())
}

/// As systemd does it: a socket that listens is descriptor 3.
fn a_socket_may_be_handed_over() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?.to_string();
    let exporter = env!("CARGO_BIN_EXE_iothread-top");
    let script = format!("exec '{exporter}' exporter --listen fd:3 /nowhere 3<&0 </dev/null");
    let child = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
        .spawn()?;
    let _program = Program(child);
    assert!(get(&at, "/metrics", "*/*").0.starts_with("HTTP/1.0 200"));
    Ok(())
}

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(name)
}

fn promtool_finds_nothing_wrong(promtool: &Path) -> Result<(), Failed> {
    let disks = Disks::start(["io0", "io1"]);
    let exporter = Exporter::start(&[&address(&disks.server)]);
    exporter.until("iothread_holder_info{");
    let (_, text) = get(&exporter.at, "/metrics", "text/plain");
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    check.stdin.take().unwrap().write_all(text.as_bytes())?;
    let checked = check.wait_with_output()?;
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}\n{text}"
    );
    for (verb, file) in [
        ("check", "iothread.rules.yml"),
        ("test", "iothread.test.yml"),
    ] {
        let checked = Command::new(promtool)
            .args([verb, "rules", file])
            .current_dir(contrib("prometheus"))
            .output()?;
        assert!(checked.status.success(), "{checked:?}");
    }
    Ok(())
}

/// A Prometheus that looks every second, by the rules that we ship. Their times are minutes; here they are seconds.
pub(crate) struct Prometheus {
    _program: Program,
    at: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    pub(crate) fn start(program: &Path, exporter: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let rules = std::fs::read_to_string(contrib("prometheus/iothread.rules.yml")).unwrap();
        let rules = rules.replace("[1m]", "[6s]");
        let mut quick = String::new();
        for line in rules.lines() {
            let is_time = line.trim_start().starts_with("for: ");
            quick.push_str(if is_time { "        for: 2s" } else { line });
            quick.push('\n');
        }
        std::fs::write(path("rules.yml"), quick).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: iothreads, static_configs: [{{targets: ['{exporter}']}}]}}]\n"
        );
        std::fs::write(path("prometheus.yml"), config).unwrap();
        // A port that is free now.
        let at = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(program)
            .arg(format!(
                "--config.file={}",
                path("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .args(["--log.level=error"])
            .spawn()
            .unwrap();
        let at = at.to_string();
        eventually(|| TcpStream::connect(&at).is_ok());
        Self {
            _program: Program(child),
            at,
            _folder: folder,
        }
    }

    /// What it answers, once it is ready.
    fn ask(&self, path: &str) -> Option<Value> {
        let (_, body) = get(&self.at, path, "*/*");
        let answer: Value = serde_json::from_str(&body).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }

    /// The samples that a query gives now.
    pub(crate) fn query(&self, query: &str) -> Vec<Value> {
        let escaped: String = query.bytes().map(|it| format!("%{it:02X}")).collect();
        let data = self.ask(&format!("/api/v1/query?query={escaped}"));
        let result = data.as_ref().and_then(|it| it["result"].as_array());
        result.cloned().unwrap_or_default()
    }
}

fn prometheus_scrapes_and_alerts(prometheus: &Path, qemu_img: &Path) -> Result<(), Failed> {
    let disks = Disks::start(["io0", "io0"]);
    let exporter = Exporter::start(&[&address(&disks.server)]);
    let _load = ["e0", "e1", "e0", "e1"].map(|it| disks.load(qemu_img, it, 64));
    let prometheus = Prometheus::start(prometheus, &exporter.at);
    eventually(|| {
        let busiest = prometheus.query("topk(1, guest_iothread:iothread_load:rate1m)");
        busiest.iter().any(|it| it["metric"]["iothread"] == "io0")
    });
    eventually(|| {
        let alerts = prometheus.ask("/api/v1/alerts").unwrap_or_default();
        let alerts = alerts["alerts"].as_array().cloned().unwrap_or_default();
        alerts.iter().any(|it| {
            let labels = &it["labels"];
            labels["alertname"] == "IothreadSaturated"
                && labels["iothread"] == "io0"
                && it["state"] == "firing"
        })
    });
    let dashboard = std::fs::read_to_string(contrib("grafana/iothreads.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "6s")
                .replace("$job", ".*")
                .replace("$guest", ".*");
            let has_data = || !prometheus.query(&query).is_empty();
            assert!(comes_true(tests::PATIENCE, has_data), "{query}");
        }
    }
    Ok(())
}

fn units_are_well_formed(systemd_analyze: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut units = Vec::new();
    for entry in std::fs::read_dir(contrib("systemd"))? {
        let entry = entry?;
        let text = std::fs::read_to_string(entry.path())?;
        // Nothing is installed here.
        let text = text.replace("ExecStart=/usr/bin/iothreadd", "ExecStart=/bin/true");
        let text = text.replace("ExecStart=/usr/bin/iothread-top", "ExecStart=/bin/true");
        let lines = text.lines().filter(|it| !it.starts_with("Documentation="));
        let unit = folder.path().join(entry.file_name());
        std::fs::write(&unit, lines.collect::<Vec<_>>().join("\n"))?;
        units.push(unit);
    }
    assert_eq!(units.len(), 4);
    let checked = Command::new(systemd_analyze)
        .arg("verify")
        .args(&units)
        .output()?;
    let said = String::from_utf8_lossy(&checked.stderr);
    let ours: Vec<&str> = said.lines().filter(|it| it.contains("iothread")).collect();
    assert!(checked.status.success() && ours.is_empty(), "{checked:?}");
    Ok(())
}
