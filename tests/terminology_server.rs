//! A terminology server, where one is configured, decides what nobody can decide offline: for the gateway by its
//! configuration, for `liaison validate` by the environment. Its absence is no error.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use serde_json::{Value, json};

use crate::support::{Server, block_on, client, liaison, send};

/// A server that knows the LOINC code 8867-4 and no other; gives its base URL.
fn terminology() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/fhir", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut first = String::new();
            let _ = reader.read_line(&mut first);
            let mut line = String::from("x");
            while line.trim() != "" {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            let known = first.contains("code=8867-4&") || first.contains("code=8867-4 ");
            let answer =
                json!({"resourceType": "Parameters", "parameter": [{"name": "result", "valueBoolean": known}]});
            let body = answer.to_string();
            let _ = write!(
                reader.get_mut(),
                "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    base
}

fn flag(code: &str) -> Value {
    json!({"resourceType": "Flag", "status": "active", "subject": {"display": "x"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]}})
}

/// Whether `liaison validate` calls it valid, and its exit code.
fn validated(code: &str, server: Option<&str>) -> (bool, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flag.json");
    std::fs::write(&file, flag(code).to_string()).expect("written");
    let mut command = liaison();
    command.args(["validate", "--output", "json"]).arg(&file).env_remove("LIAISON_TERMINOLOGY_SERVER");
    if let Some(server) = server {
        command.env("LIAISON_TERMINOLOGY_SERVER", server);
    }
    let said = command.output().expect("runs");
    let line = String::from_utf8_lossy(&said.stdout);
    (line.contains("\"valid\":true"), said.status.code())
}

#[test]
fn validate_asks_the_server_that_the_environment_names() {
    let server = terminology();
    assert_eq!(validated("8867-4", Some(&server)), (true, Some(0)));
    assert_eq!(validated("0-0", Some(&server)), (false, Some(1)));
    // Nobody to ask, or nobody there: no error
    assert_eq!(validated("0-0", None), (true, Some(0)));
    assert_eq!(validated("0-0", Some("http://127.0.0.1:9/fhir")), (true, Some(0)));
    assert_eq!(validated("0-0", Some("nowhere")).1, Some(2));
}

#[test]
fn serve_asks_the_server_of_its_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("liaison.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ninstance = \"north\"\n[ledger]\npath = {:?}\n[profiles]\nterminology_server = {:?}\n",
        folder.path().join("ledger").to_string_lossy(),
        terminology()
    );
    std::fs::write(&config, text).expect("written");
    let server = Server::gateway(&config);
    block_on(async {
        for (code, good) in [("8867-4", true), ("0-0", false)] {
            let url = format!("{}/fhir/Flag/$validate", server.url);
            let answer = send(&client(), "POST", &url, &[], &flag(code)).await.expect("an answer");
            assert_eq!(!answer.text.contains("\"error\""), good, "{code}: {}", answer.text);
        }
    });
}
