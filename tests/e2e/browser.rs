//! A real browser, without a screen: Chromium, told what to do by its DevTools protocol through two pipes.

use crate::platform::PATIENCE;
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use counterfoil_testkit::eventually;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// What opens the pipes as the browser's file descriptors 3 and 4.
const START: &str = r#"exec "$@" 3< "$COMMANDS" 4> "$ANSWERS""#;

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    commands: File,
    answers: BufReader<File>,
    session: Option<String>,
    number: u64,
    /// What scripts of the page complained of.
    pub(crate) complaints: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let program =
            std::env::var("COUNTERFOIL_TEST_BROWSER").context("tests/run names a browser")?;
        let folder = tempfile::tempdir()?;
        let (commands, answers) = (
            folder.path().join("commands"),
            folder.path().join("answers"),
        );
        let made = Command::new("mkfifo")
            .args([&commands, &answers])
            .status()
            .await?;
        ensure!(made.success(), "pipes could not be made");
        let profile = format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        );
        let process = Command::new("bash")
            .args(["-c", START, "bash", &program, &profile])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "about:blank",
            ])
            .env("COMMANDS", &commands)
            .env("ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        // Each end waits for the other one.
        let mut options = OpenOptions::new();
        let writing = options.write(true).open(&commands);
        let (writing, reading) = tokio::try_join!(writing, File::open(&answers))?;
        let mut browser = Self {
            process,
            commands: writing,
            answers: BufReader::new(reading),
            session: None,
            number: 0,
            complaints: Vec::new(),
            _folder: folder,
        };
        let target = browser
            .ask("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, json!({})).await?;
        }
        Ok(browser)
    }

    /// Asks the browser, and waits for its answer.
    async fn ask(&mut self, method: &str, parameters: Value) -> anyhow::Result<Value> {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).await?;
        self.commands.flush().await?;
        let answer = tokio::time::timeout(PATIENCE, self.answer());
        answer
            .await
            .with_context(|| format!("no answer to {method}"))?
    }

    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            let mut bytes = Vec::new();
            let read = self.answers.read_until(0, &mut bytes).await?;
            ensure!(read > 0, "the browser has ended");
            bytes.pop();
            let mut said: Value = serde_json::from_slice(&bytes)?;
            if said["id"] == json!(self.number) {
                ensure!(said["error"].is_null(), "{}", said["error"]);
                return Ok(said["result"].take());
            }
            self.note(&said);
        }
    }

    /// Errors of scripts, and what the browser refused to run or load.
    fn note(&mut self, said: &Value) {
        let told = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => &said["params"]["exceptionDetails"],
            Some("Log.entryAdded") if said["params"]["entry"]["level"] == "error" => {
                &said["params"]["entry"]
            }
            Some("Page.javascriptDialogOpening") => &said["params"],
            Some(_) | None => return,
        };
        self.complaints.push(told.to_string());
    }

    /// What an expression comes to in the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.ask("Runtime.evaluate", asked).await?;
        ensure!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true in the page. What it says while it loads does not count.
    pub(crate) async fn until(&mut self, what: &str, expression: &str) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.evaluate(expression).await;
            if matches!(now, Ok(Value::Bool(true))) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let text = self.evaluate("document.body.innerText").await?;
                bail!("in vain: {what}. The page says: {text}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Goes to a page, and waits until it is there.
    pub(crate) async fn go(&mut self, url: &str) -> anyhow::Result<()> {
        self.evaluate("globalThis.isOld = true").await?;
        self.ask("Page.navigate", json!({ "url": url })).await?;
        self.loaded().await
    }

    /// Waits for another page than the one that was there.
    async fn loaded(&mut self) -> anyhow::Result<()> {
        let there = "!globalThis.isOld && document.readyState === 'complete'";
        self.until("the page to load", there).await
    }

    /// Clicks on what leads to another page: the first link or button with this text.
    pub(crate) async fn follow(&mut self, text: &str) -> anyhow::Result<()> {
        self.evaluate("globalThis.isOld = true").await?;
        self.click(text).await?;
        self.loaded().await
    }

    pub(crate) async fn click(&mut self, text: &str) -> anyhow::Result<()> {
        let text = json!(text);
        let script = format!(
            "(() => {{ const all = [...document.querySelectorAll('a, button, summary')];
             const it = all.find((e) => e.innerText.trim() === {text});
             if (it) setTimeout(() => it.click()); return !!it; }})()"
        );
        let clicked = self.evaluate(&script).await?;
        ensure!(clicked == json!(true), "nothing to click says {text}");
        Ok(())
    }

    /// Presses a key, wherever people are on the page.
    pub(crate) async fn press(&mut self, key: &str) -> anyhow::Result<()> {
        let (text, code) = match key {
            "Enter" => ("\r", 13),
            _ => (key, 0),
        };
        let down =
            json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", down).await?;
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", up).await?;
        Ok(())
    }

    /// Types into a field of a form.
    pub(crate) async fn fill(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let (field, value) = (json!(format!("[name={name}]")), json!(value));
        let filled = format!(
            "(() => {{ const it = document.querySelector({field}); if (it) it.value = {value}; return !!it; }})()"
        );
        ensure!(
            self.evaluate(&filled).await? == json!(true),
            "no field {name}"
        );
        Ok(())
    }

    /// All that people can read on the page.
    pub(crate) async fn text(&mut self) -> anyhow::Result<String> {
        let text = self.evaluate("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Makes the window as wide as that, in CSS pixels.
    pub(crate) async fn width(&mut self, width: u32) -> anyhow::Result<()> {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700 });
        self.ask("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Takes a picture of the whole page, where people ask for some: `COUNTERFOIL_TEST_SCREENSHOTS` names the
    /// folder.
    pub(crate) async fn picture(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(folder) = std::env::var_os("COUNTERFOIL_TEST_SCREENSHOTS") else {
            return Ok(());
        };
        for width in [1280, 390] {
            self.width(width).await?;
            let asked = json!({ "format": "png", "captureBeyondViewport": true });
            let picture = self.ask("Page.captureScreenshot", asked).await?;
            let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap_or_default())?;
            let file = Path::new(&folder).join(format!("{name}-{width}.png"));
            std::fs::write(file, picture)?;
        }
        self.width(1280).await
    }

    /// Whether something is wider than the window.
    pub(crate) async fn is_too_wide(&mut self) -> anyhow::Result<bool> {
        let wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        Ok(self.evaluate(wide).await? == json!(true))
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.session = None;
        // It may be gone before it says so.
        let _ = self.ask("Browser.close", json!({})).await;
        let process = &mut self.process;
        eventually("the browser to end", PATIENCE, async || {
            Ok(process.try_wait()?.map(drop))
        })
        .await
    }
}
