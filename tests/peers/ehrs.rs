//! EHRs that others made, set up below `target/peers/` and started on loopback. Whatever is missing here (Node, Python, a
//! package index) is told as a reason to skip.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;

use super::staff::{Commit, Staff};
use crate::{
    foreign_ehr::{self, Sekmet},
    support::{client, root, send, wait_for},
};

/// A running EHR.
pub struct Peer {
    /// Its FHIR base URL.
    pub base: String,
    /// `[systems.auth]` for it.
    pub auth: String,
    /// How its own people get in.
    pub staff: Staff,
    content: Content,
}

enum Content {
    /// `GET /_all/Type` at its own address.
    Listed(#[expect(dead_code, reason = "kept so that it ends with the test")] Running),
    Sekmet(Sekmet),
    /// By a search for all.
    Searched(#[expect(dead_code, reason = "kept so that it ends with the test")] Running),
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Host and port.
    pub fn host(&self) -> &str {
        self.base.trim_start_matches("http://").split('/').next().unwrap_or_default()
    }

    /// All resources of a type that it holds, asked for past any proxy.
    pub async fn all(&self, kind: &str) -> Vec<Value> {
        match &self.content {
            Content::Sekmet(sekmet) => sekmet.all(kind).await,
            Content::Searched(_) => {
                let (status, page) = self.staff.ask(Method::GET, &format!("{kind}?_count=1000"), None, None).await;
                assert_eq!(status, 200, "{kind}: {page}");
                let more = page["link"].as_array().into_iter().flatten().any(|link| link["relation"] == "next");
                assert!(!more, "{kind}: one page has them all");
                let entries = page["entry"].as_array().cloned().unwrap_or_default();
                entries.into_iter().map(|entry| entry["resource"].clone()).collect()
            }
            Content::Listed(_) => {
                let url = format!("http://{}/_all/{kind}", self.host());
                let answer =
                    send(&client(), "GET", &url, &[], &Value::Null).await.expect("the peer lists what it holds");
                assert_eq!(answer.status, 200, "{url}: {}", answer.text);
                let entries = answer.body["entry"].as_array().cloned().unwrap_or_default();
                entries.into_iter().map(|entry| entry["resource"].clone()).collect()
            }
        }
    }

    /// Every version that was ever written there, in order, by whom.
    pub async fn truth(&self) -> Vec<Commit> {
        let url = format!("http://{}/_truth", self.host());
        let answer = send(&client(), "GET", &url, &[], &Value::Null).await.expect("the peer tells its history");
        assert_eq!(answer.status, 200, "{url}: {}", answer.text);
        answer.text.lines().map(|line| serde_json::from_str(line).expect("a commit")).collect()
    }

    async fn is_up(&self) {
        let url = format!("{}/metadata", self.base);
        wait_for(&format!("{url} answers"), Duration::from_secs(300), || async {
            send(&client(), "GET", &url, &[], &Value::Null).await.ok().map(drop)
        })
        .await;
    }
}

/// One set-up at a time: two tests may want the same.
static SETTING_UP: Mutex<()> = Mutex::new(());

/// `target/peers/NAME`, made by `make` in a folder beside it, so that half of one is never taken for whole.
fn installed(name: &str, make: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let _turn = SETTING_UP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = root().join("target/peers").join(name);
    if folder.exists() {
        return Some(folder);
    }
    let fresh = folder.with_extension(format!("new-{}", std::process::id()));
    std::fs::create_dir_all(&fresh).ok()?;
    let made = make(&fresh) && std::fs::rename(&fresh, &folder).is_ok();
    if !made {
        let _ = std::fs::remove_dir_all(&fresh);
    }
    (made || folder.exists()).then_some(folder)
}

fn quiet(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn start(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).expect("writable");
    let command = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a handle")).stderr(log);
    Running(command.spawn().expect("it starts"))
}

/// A package of npm's in a folder of its own.
fn npm(name: &str, package: &str, json: &str) -> Option<PathBuf> {
    installed(name, |fresh| {
        let mut install = Command::new("npm");
        install.current_dir(fresh).args(["install", "--no-audit", "--no-fund", "--ignore-scripts", package]);
        std::fs::write(fresh.join("package.json"), json).is_ok() && quiet(&mut install)
    })
}

/// An EHR of `tests/peers`, run by Node where its packages are; it says what it holds and what was ever written.
async fn node(script: &str, place: &Path, folder: &Path, base: &str, how: &[(&str, &str)]) -> Peer {
    let port = free_port();
    let mut command = Command::new("node");
    command.current_dir(place).arg(root().join("tests/peers").join(script)).arg(port.to_string());
    command.envs(how.iter().copied());
    let running = start(&mut command, &folder.join(script).with_extension("log"));
    let base = format!("http://127.0.0.1:{port}/{base}");
    let staff = Staff::new(&base, None);
    let peer = Peer { base, auth: "kind = \"none\"".to_owned(), staff, content: Content::Listed(running) };
    peer.is_up().await;
    peer
}

/// `@medplum/fhir-router` with its repository in memory.
pub async fn medplum(folder: &Path, how: &[(&str, &str)]) -> Result<Peer, String> {
    let place = npm("npm", "@medplum/fhir-router@5.2.13", "{\"private\": true}");
    let place = place.ok_or("no node and npm with @medplum/fhir-router")?;
    Ok(node("medplum.mjs", &place, folder, "fhir", how).await)
}

/// `@asymmetrik/node-fhir-server-core`, which ignores conditions.
pub async fn asymmetrik(folder: &Path, how: &[(&str, &str)]) -> Result<Peer, String> {
    // It names tools of its own development (and MongoDB) as what it needs, and never loads them: 130 MB that stay away.
    let json = r#"{"private": true, "overrides": {"eslint": "npm:ms@2.1.3", "mongodb": "npm:ms@2.1.3", "snyk": "npm:ms@2.1.3"}}"#;
    let place = npm("asymmetrik", "@asymmetrik/node-fhir-server-core@2.2.5", json);
    let place = place.ok_or("no node and npm with @asymmetrik/node-fhir-server-core")?;
    Ok(node("asymmetrik.mjs", &place, folder, "4_0_1", how).await)
}

/// HAPI's plain server with a store in memory (`tests/peers/hapi`), built by Maven.
pub async fn hapi(folder: &Path) -> Result<Peer, String> {
    java("hapi", "HapiEhr", folder, Content::Listed).await
}

/// HAPI's JPA server on H2 in memory (`tests/peers/hapi-jpa`): 390 MB of libraries, and a minute until it is up.
pub async fn hapi_jpa(folder: &Path) -> Result<Peer, String> {
    java("hapi-jpa", "HapiJpa", folder, Content::Searched).await
}

async fn java(name: &str, class: &str, folder: &Path, content: fn(Running) -> Content) -> Result<Peer, String> {
    let place = installed(name, |fresh| {
        let pom = root().join("tests/peers").join(name).join("pom.xml");
        let out = format!("-Dout={}", fresh.display());
        quiet(Command::new("mvn").args(["-q", "-B", "-f"]).arg(pom).args([&out, "compile"]))
    });
    let place = place.ok_or("no JDK (17) and Maven with HAPI FHIR")?;
    let port = free_port();
    let classes = format!("{0}/classes:{0}/lib/*", place.display());
    let mut command = Command::new("java");
    command.current_dir(folder).args(["-Xmx2g", "-cp", &classes, class]).arg(port.to_string());
    let running = start(&mut command, &folder.join(name).with_extension("log"));
    let base = format!("http://127.0.0.1:{port}/fhir");
    let staff = Staff::new(&base, None);
    let peer = Peer { base, auth: "kind = \"none\"".to_owned(), staff, content: content(running) };
    peer.is_up().await;
    Ok(peer)
}

/// PyPI's `fhirstarter`: no conditions, one identifier a search.
pub async fn fhirstarter(folder: &Path) -> Result<Peer, String> {
    let place = installed("fhirstarter", |fresh| {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(fresh))
            && quiet(Command::new(fresh.join("bin/python")).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "fhirstarter==4.2.0",
                "uvicorn<1",
            ]))
    });
    let place = place.ok_or("no python3 with fhirstarter (pip)")?;
    let port = free_port();
    let mut command = Command::new(place.join("bin/python"));
    command.current_dir(folder).arg(root().join("tests/peers/fhirstarter_app.py")).arg(port.to_string());
    let running = start(&mut command, &folder.join("fhirstarter.log"));
    let base = format!("http://127.0.0.1:{port}");
    let staff = Staff::new(&base, None);
    let peer = Peer { base, auth: "kind = \"none\"".to_owned(), staff, content: Content::Listed(running) };
    peer.is_up().await;
    Ok(peer)
}

/// PyPI's `sekmet-fhir`, which demands SMART Backend Services, and whose links name its own address.
pub async fn sekmet(folder: &Path) -> Result<Peer, String> {
    let program = {
        let _turn = SETTING_UP.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        foreign_ehr::environment().ok_or("no python3 with sekmet-fhir (pip)")?
    };
    let (private, public) = foreign_ehr::keys(folder);
    let sekmet = Sekmet::start(&program, folder, &public);
    let auth = format!(
        "kind = \"smart-backend\"\nclient_id = \"liaison\"\nkey_file = {:?}\ntoken_url = \"{}\"\nscope = \"system/*.*\"",
        private.display().to_string(),
        sekmet.tokens
    );
    let staff = Staff::new(&sekmet.base, Some("Bearer the-ehrs-own-staff"));
    let peer = Peer { base: sekmet.base.clone(), auth, staff, content: Content::Sekmet(sekmet) };
    peer.is_up().await;
    Ok(peer)
}
