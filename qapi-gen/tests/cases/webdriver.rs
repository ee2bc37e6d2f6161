//! A browser that a test drives: headless Chromium by way of chromedriver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// No single step takes longer, even on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What Chromium is told: no window, no sandbox (tests may run as root), no talk with the network.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// A browser with one window; both end with it.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The browser's profile, which is new.
    _profile: TempDir,
}

impl Browser {
    /// Starts the browser with `chromedriver`.
    ///
    /// # Errors
    ///
    /// What kept it from starting.
    pub(crate) fn start(chromedriver: &Path) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut driver = Command::new(chromedriver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = driver.stdout.take().context("a pipe")?;
        // It says where it listens: `... started successfully on port 1234.`
        let mut port = None;
        let mut lines = BufReader::new(stdout).lines();
        for line in lines.by_ref() {
            let line = line?;
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                port = rest.trim_end_matches('.').parse().ok();
                break;
            }
        }
        // Whatever else it says has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self {
            driver,
            port: port.context("chromedriver does not listen")?,
            session: String::new(),
            _profile: profile,
        };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        let profile = browser._profile.path().display();
        arguments.push(format!("--user-data-dir={profile}"));
        let session = browser.request(
            "POST",
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }}}),
        )?;
        let id = session["sessionId"].as_str().context("no session")?;
        browser.session = format!("/session/{id}");
        browser.post(
            "/timeouts",
            &json!({"script": 60_000, "pageLoad": 60_000, "implicit": 10_000}),
        )?;
        Ok(browser)
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn open(&self, address: &str) -> Result<()> {
        self.post("/url", &json!({"url": address})).map(drop)
    }

    /// The address of the page.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn address(&self) -> Result<String> {
        let value = self.request("GET", &format!("{}/url", self.session), &Value::Null)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Goes back by one page.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn back(&self) -> Result<()> {
        self.post("/back", &json!({})).map(drop)
    }

    /// Clicks on the element that a CSS selector finds, once it is there.
    ///
    /// # Errors
    ///
    /// There is no such element, or something covers it.
    pub(crate) fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.post(&format!("/element/{element}/click"), &json!({}))
            .map(drop)
    }

    /// Presses keys, as they would be pressed by a reader.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        let press = |key: char| {
            let key = key.to_string();
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", &json!({"actions": [keyboard]}))
            .map(drop)
    }

    /// The text of an element, once it is there.
    ///
    /// # Errors
    ///
    /// There is no such element.
    pub(crate) fn text(&self, selector: &str) -> Result<String> {
        let element = self.find(selector)?;
        let path = format!("{}/element/{element}/text", self.session);
        let value = self.request("GET", &path, &Value::Null)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// Runs a function body and gives what it returns; a promise is waited for.
    ///
    /// # Errors
    ///
    /// What it throws.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Makes the window as large as a screen of this size.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Result<()> {
        let parameters = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": parameters}),
        )
        .map(drop)
    }

    /// What the screen shows, as a PNG.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn screenshot(&self) -> Result<Vec<u8>> {
        let path = format!("{}/screenshot", self.session);
        let value = self.request("GET", &path, &Value::Null)?;
        let text = value.as_str().unwrap_or_default();
        Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
    }

    /// What pages complained about so far.
    ///
    /// # Errors
    ///
    /// The browser's.
    pub(crate) fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({"type": "browser"}))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        let is_bad = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        Ok(entries
            .iter()
            .filter(is_bad)
            .map(|entry| entry["message"].to_string())
            .collect())
    }

    fn find(&self, selector: &str) -> Result<String> {
        let found = self.post(
            "/element",
            &json!({"using": "css selector", "value": selector}),
        )?;
        let element = found.as_object().and_then(|object| object.values().next());
        let id = element.and_then(Value::as_str);
        Ok(id.with_context(|| format!("no {selector}"))?.to_owned())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request("POST", &format!("{}{path}", self.session), body)
    }

    /// One request of the WebDriver protocol; a connection each.
    fn request(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut reply = BufReader::new(stream);
        let mut length = None;
        loop {
            let mut line = String::new();
            ensure!(reply.read_line(&mut line)? > 0, "chromedriver hung up");
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        let mut bytes = vec![0; length.context("a reply without a length")?];
        reply.read_exact(&mut bytes)?;
        let reply: Value = serde_json::from_slice(&bytes)?;
        let value = reply["value"].clone();
        if let Some(error) = value.get("error") {
            bail!("{path}: {error}: {}", value["message"]);
        }
        Ok(value)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // It may be gone already.
            let _ = self.request("DELETE", &self.session, &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
