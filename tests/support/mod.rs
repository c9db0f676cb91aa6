//! What several test modules share: the real binary as a child process, an HTTP client, waiting with a deadline.

pub mod beside;
pub mod mutate;
pub mod own;
pub mod rig;
pub mod xml;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use liaison::definitions::Package;
use serde_json::Value;

/// The built binary.
pub fn liaison() -> Command {
    Command::new(env!("CARGO_BIN_EXE_liaison"))
}

/// The repository's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A package that others published; `None`, said in one line, where it is not at hand.
pub fn package(name: &str) -> Option<Package> {
    let path = beside::shared(&format!("packages/{name}.tgz"))?;
    Some(Package::open(&path).expect("a genuine package"))
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Starts the binary, nothing on stdin, stdout and stderr to be read.
fn spawn(args: &[&str]) -> Child {
    liaison()
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

/// Runs the binary to its end, at most a minute.
pub fn run(args: &[&str]) -> Said {
    let mut child = spawn(args);
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(Box::new(child.stdout.take().expect("piped")));
    let err = read(Box::new(child.stderr.take().expect("piped")));
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("`liaison {}` went on for a minute instead of ending", args.join(" "));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let code = child.wait().expect("ended").code().unwrap_or(-1);
    Said { code, out: out.join().expect("read"), err: err.join().expect("read") }
}

/// A `liaison serve` or `liaison sandbox` child; killed with -9 when dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    /// Starts `liaison serve --config FILE`.
    pub fn gateway(config: &Path) -> Self {
        Self::start(&["serve", "--config", &config.to_string_lossy()])
    }

    /// Starts a command that prints `listening http://…` first, and waits for that line.
    pub fn start(args: &[&str]) -> Self {
        let mut child = spawn(args);
        let stderr = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(stderr).read_to_string(&mut text);
            text
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let Some(url) = first.strip_prefix("listening ") else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not start: {first}\n{}", errors.join().unwrap_or_default());
        };
        let url = url.trim().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    /// The most memory that it ever held, in KiB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill runs");
        assert!(sent.success(), "SIG{name} was not sent");
    }

    /// SIGTERM; how long it took to end, or `None` after the deadline.
    pub fn terminate(&mut self, within: Duration) -> Option<Duration> {
        let started = Instant::now();
        self.signal("TERM");
        while started.elapsed() < within {
            if self.child.try_wait().ok().flatten().is_some() {
                return Some(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub text: String,
}

/// One client for all tests of a module.
pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client")
}

/// Sends a request with a JSON body (none where `Null`); the body of the answer as JSON, `Null` where it is none.
pub async fn send(
    client: &reqwest::Client,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Answer, reqwest::Error> {
    let mut request = client.request(method.parse().expect("a method"), url);
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await?;
    Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text })
}

/// Polls until `ready` gives something; panics after the deadline, saying for what it waited.
pub async fn wait_for<T, F>(what: &str, within: Duration, mut ready: impl FnMut() -> F) -> T
where
    F: std::future::Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(found) = ready().await {
            return found;
        }
        assert!(started.elapsed() < within, "waited {within:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A runtime for one test.
pub fn block_on<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
