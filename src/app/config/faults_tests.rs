//! Every key of `examples/liaison.toml` with wrong values: each is refused with its line, its column and a remedy.

use std::path::Path;

use super::*;

const GOOD: &str = r#"[server]
instance = "north-clinic"
[[systems]]
name = "hospital"
base_url = "http://127.0.0.1:8090/fhir"
zone = "Europe/London"
push = ["patient", "appointment"]
[systems.auth]
kind = "none"
[systems.pull]
types = ["Patient", "Appointment"]
"#;

fn faults(text: &str) -> Vec<Fault> {
    let (config, mut faults) = Config::draft(text, Path::new("liaison.toml"));
    let more = config.map(|config| {
        let mut found = Vec::new();
        for checked in
            [config.check_machine(), config.check_named(&Definitions::core(), &mapping::Mappings::embedded().unwrap())]
        {
            if let Err(ConfigError::Faults { faults, .. }) = checked {
                found.extend(faults);
            }
        }
        found
    });
    faults.extend(more.into_iter().flatten());
    faults
}

/// One change of the good configuration, which is one fault, at this line and with these words.
fn one(from: &str, to: &str, line: usize, words: &[&str]) {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from}");
    let found = faults(&text);
    let [fault] = found.as_slice() else { panic!("{to}: {} faults: {found:#?}", found.len()) };
    assert_eq!(fault.line, line, "{to}: {fault}");
    assert!(fault.column >= 1 && !fault.problem.is_empty(), "{to}: {fault}");
    let told = ConfigError::Faults { path: "liaison.toml".into(), faults: found.clone() }.to_string();
    assert!(told.contains(&format!("line {line}, column {}", fault.column)), "{told}");
    for word in words {
        assert!(told.contains(word), "{to}: {word} is missing in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn the_good_one_and_the_examples_have_none() {
    assert_eq!(faults(GOOD), []);
    for name in ["liaison.toml", "demo/liaison.toml"] {
        let text = crate::embedded::find(crate::embedded::EXAMPLES, name).unwrap();
        assert_eq!(faults(std::str::from_utf8(text).unwrap()), [], "{name}");
    }
}

#[test]
fn the_server_and_its_surroundings() {
    let server = |to: &str, words: &[&str]| one("[server]", &format!("[server]\n{to}"), 2, words);
    server("listen = \"localhost:9000\"", &["server.listen", "127.0.0.1:9000"]);
    server("listen = \"127.0.0.1\"", &["port"]);
    server("listen = \"127.0.0.1:99999\"", &["65535"]);
    server("listen = \"0.0.0.0:8080\"", &["loopback"]);
    server("listen = 8080", &["server.listen"]);
    server("max_body = \"32 MB\"", &["MiB"]);
    server("max_body = 0", &["server.max_body"]);
    server("lissen = \"127.0.0.1:1\"", &["lissen", "did you mean `listen`"]);
    server("tls = { cert_file = \"x\" }", &["not available yet"]);
    one("\"north-clinic\"", "\"\"", 2, &["server.instance", "1 to 64"]);
    one("\"north-clinic\"", "\"a b\"", 2, &["server.instance"]);
    let first = |to: &str, words: &[&str]| one("[server]", &format!("{to}\n[server]"), 2, words);
    first("[ledger]\npath = \"\"", &["ledger.path", "empty"]);
    first("[ledger]\npath = \"Cargo.toml\"", &["no folder"]);
    first("[ledger]\nurl = \"postgres://u:hunter2@h/x\"", &["not available yet"]);
    first("[auth]\nmode = \"required\"", &["not available yet"]);
    first("[auth]\nmode = \"oauth\"", &["did you mean `oauth2`"]);
    first("[mappings]\ndir = \"nowhere\"", &["no folder nowhere"]);
    first("[profiles]\ndir = \"nowhere\"", &["no folder nowhere"]);
    first("[profiles]\npackages = [\"no.such#1.0.0\"]", &["not installed", "liaison profiles install"]);
    first("[profiles]\nterminology_server = \"tx.fhir.org\"", &["no address"]);
    first("[profiles]\nterminology_server = \"https://u:hunter2@h/r4\"", &["user name or password"]);
    one("[server]", "[log]\nlevel = \"info\"\n[server]", 1, &["not available yet"]);
    one("[server]", "[sever]\n[server]", 1, &["did you mean `server`"]);
}

#[test]
fn a_system() {
    one("\"hospital\"", "\"local\"", 4, &["own name"]);
    one("\"hospital\"", "\"north hospital\"", 4, &["systems.name", "1 to 64"]);
    for (to, words) in [
        ("ehr.example/fhir", "no address"),
        ("ftp://ehr.example/fhir", "http"),
        ("https://u:hunter2@ehr.example/fhir", "user name or password"),
        ("https://ehr.example/fhir?x=1", "no ?"),
        ("https://ehr.example/fhir/metadata", "/metadata"),
        ("http://localhost:8080/fhir", "gateway's own address"),
    ] {
        one("http://127.0.0.1:8090/fhir", to, 5, &["systems.base_url", words]);
    }
    one("Europe/London", "Europe/Londn", 6, &["systems.zone", "did you mean \"Europe/London\""]);
    one("Europe/London", "", 6, &["time zone"]);
    one("\"appointment\"]", "\"patients\"]", 7, &["systems.push", "did you mean `patient`"]);
    one("\"appointment\"]", "\"unicorn\"]", 7, &["unicorn"]);
    one("\"appointment\"]", "\"patient\"]", 7, &["twice"]);
    let more = |to: &str, words: &[&str]| one("[systems.auth]", &format!("{to}\n[systems.auth]"), 8, words);
    more("dialect = \"epik\"", &["did you mean `epic`"]);
    more("dialekt = \"epic\"", &["did you mean `dialect`"]);
    more("max_concurrency = 0", &["systems.max_concurrency"]);
    more("max_concurrency = -1", &["systems.max_concurrency"]);
    more("max_concurrency = \"8\"", &["whole number"]);
    more("timeout = \"0s\"", &["systems.timeout", "30s"]);
    more("timeout = 30", &["systems.timeout", "30s"]);
    more("timeout = \"30 parsecs\"", &["systems.timeout", "30s"]);
    more("connect_timeout = \"0s\"", &["systems.connect_timeout"]);
    more("give_up_after = \"0s\"", &["systems.give_up_after"]);
    more("settle_within = \"-1s\"", &["systems.settle_within"]);
    more("give_up_after = \"99999h\"", &["year"]);
    more("binary = \"base64\"", &["systems.binary", "json", "raw"]);
    more("max_response_bytes = 0", &["systems.max_response_bytes"]);
    more("max_document_bytes = 0", &["systems.max_document_bytes"]);
    more("max_backlog = 0", &["systems.max_backlog"]);
    more("profiles = { letter = [\"http://hl7.org/fhir/StructureDefinition/DocumentReference\"] }", &["push"]);
    more("profiles = { patient = [] }", &["no profile"]);
    more("profiles = { patient = [\"http://hl7.org/fhir/StructureDefinition/Patiens\"] }", &["did you mean"]);
    more("profiles = { patient = [\"http://hl7.org/fhir/StructureDefinition/bmi\"] }", &["Observation"]);
    let again =
        "[[systems]]\nname = \"other\"\nbase_url = \"http://LOCALHOST:8090/fhir/\"\n[[systems]]\nname = \"hospital\"";
    one("[[systems]]\nname = \"hospital\"", again, 8, &["two systems", "line 5"]);
}

#[test]
fn what_is_read_back() {
    one("\"Patient\",", "\"Patiant\",", 11, &["systems.pull.types", "did you mean `Patient`"]);
    one("\"Patient\",", "\"HumanName\",", 11, &["HumanName"]);
    one("\"Patient\",", "\"DomainResource\",", 11, &["DomainResource"]);
    one("\"Patient\",", "\"Appointment\",", 11, &["twice"]);
    one("[\"Patient\", \"Appointment\"]", "[]", 11, &["nothing"]);
    one("types = [\"Patient\", \"Appointment\"]", "every = \"30s\"", 10, &["types"]);
    let more = |to: &str, words: &[&str]| one("[systems.pull]", &format!("[systems.pull]\n{to}"), 11, words);
    more("every = \"0s\"", &["systems.pull.every"]);
    more("every = \"30\"", &["systems.pull.every", "30s"]);
    more("page_size = 0", &["systems.pull.page_size"]);
    more("overlap = \"soon\"", &["systems.pull.overlap"]);
    more("sweep = { Appointment = { param = \"datum\" } }", &["sweep", "datum", "date"]);
    more("sweep = { Appointment = { param = \"status\" } }", &["status", "date"]);
    more("sweep = { Slot = { param = \"start\" } }", &["Slot", "types"]);
    more("sweep = { Appointment = { past_days = 3 } }", &["param"]);
}

#[test]
fn how_we_are_known() {
    let auth = |to: &str, line: usize, words: &[&str]| one("kind = \"none\"", to, line, words);
    auth("kind = \"none\"\ntoken_file = \"x\"", 10, &["contradict"]);
    auth("kind = \"basik\"", 9, &["did you mean `basic`"]);
    auth("token_file = \"x\"", 8, &["kind"]);
    auth("kind = \"bearer\"", 8, &["token_file"]);
    auth("kind = \"bearer\"\ntoken_file = \"Cargo.toml\"\ntoken_env = \"X\"", 11, &["contradict"]);
    auth("kind = \"bearer\"\ntoken_file = \"nowhere/token\"", 10, &["nowhere/token", "not there"]);
    auth("kind = \"bearer\"\ntoken_env = \"LIAISON_NO_SUCH\"", 10, &["LIAISON_NO_SUCH", "not set"]);
    auth("kind = \"bearer\"\ntoken = \"hunter2\"", 10, &["token_file", "never from here"]);
    auth("kind = \"basic\"\nusername = \"\"\npassword_env = \"PATH\"", 10, &["empty"]);
    auth("kind = \"basic\"\nusername = \"a:b\"\npassword_env = \"PATH\"", 10, &["colon"]);
    auth("kind = \"basic\"\nuser = \"a\"\npassword_env = \"PATH\"", 10, &["user"]);
    auth("kind = \"smart-backend\"\nclient_id = \"x\"\nkey_file = \"Cargo.toml\"", 11, &["PEM"]);
    auth("kind = \"client-credentials\"\nclient_id = \"\"\nsecret_env = \"PATH\"", 10, &["client_id", "empty"]);
    auth(
        "kind = \"client-credentials\"\nclient_id = \"x\"\nsecret_env = \"PATH\"\ntoken_url = \"x\"",
        12,
        &["token_url"],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let text = GOOD
        .replace("[server]", "[server]\nlisten = \"localhost:1\"\nport = 3")
        .replace("zone = \"Europe/London\"", "zone = \"Mars\"\ntimeout = 5\npassword = \"hunter2\"")
        .replace("\"Patient\",", "\"Patiant\",");
    let found = faults(&text);
    let keys: Vec<&str> = found.iter().map(|fault| fault.key.as_str()).collect();
    for key in
        ["server.listen", "server.port", "systems.zone", "systems.timeout", "systems.password", "systems.pull.types"]
    {
        assert!(keys.contains(&key), "{key} of {keys:?}");
    }
    assert_eq!(keys.len(), 6, "{found:#?}");
    let told = ConfigError::Faults { path: "liaison.toml".into(), faults: found }.to_string();
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_text_that_is_no_toml_says_where() {
    let found = faults("[server]\nlisten = \n[ledger\n");
    assert!(!found.is_empty() && found[0].line == 2, "{found:?}");
}
