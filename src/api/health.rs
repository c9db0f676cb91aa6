//! `/livez`, `/readyz`, `/metrics` (<https://prometheus.io/docs/instrumenting/exposition_formats/>). An EHR that is down
//! does not make the gateway unready. Labels are routes, systems and states: no ids, no patient data.

use std::{collections::BTreeMap, fmt::Write as _, sync::Mutex, time::Duration};

use axum::{
    body::Body,
    http::{Response, header},
};
use serde_json::json;

use super::{
    Ask,
    reply::{self, Answered, with},
};
use crate::sync::{Condition, FetchStatus, SystemStatus};

/// Method, route, status.
type Label = (String, String, u16);

/// What was answered how often and how long it took.
#[derive(Default)]
pub(super) struct Counters(Mutex<BTreeMap<Label, (u64, Duration)>>);

impl Counters {
    pub(super) fn count(&self, method: &str, route: &str, status: u16, took: Duration) {
        let mut counters = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (count, total) = counters.entry((method.to_owned(), route.to_owned(), status)).or_default();
        *count += 1;
        *total += took;
    }
}

/// `GET /livez`: the process answers.
pub(super) async fn live(_: Ask) -> Answered {
    Ok(reply::ok(&json!({"status": "live"})))
}

/// `GET /readyz`: pushes can be taken on.
pub(super) async fn ready(ask: Ask) -> Answered {
    ask.api.ledger().is_ready()?;
    let systems: Vec<_> = ask.api.engine().systems()?.iter().map(super::systems::shown).collect();
    Ok(reply::ok(&json!({"status": "ready", "systems": systems})))
}

/// How the EHRs are, in figures.
fn of_systems(text: &mut String, systems: &[SystemStatus]) {
    let mut family = |name: &str, help: &str, lines: Vec<(String, i64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in lines {
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
    };
    let known = systems.iter().filter(|system| system.condition != Condition::Learning);
    let up = known.map(|system| (format!("system=\"{}\"", system.name), i64::from(system.condition == Condition::Up)));
    family("liaison_system_up", "1 while an EHR can be used, by its own exchanges.", up.collect());
    let down =
        systems.iter().filter_map(|system| Some((format!("system=\"{}\"", system.name), system.since?.as_second())));
    family("liaison_system_down_since_seconds", "Since when an EHR cannot be used (Unix time).", down.collect());
    let fetches = |figure: &dyn Fn(&FetchStatus) -> Option<i64>| {
        let of = |system: &SystemStatus| {
            let lines = system.fetches.iter().filter_map(|(kind, fetch)| {
                Some((format!("system=\"{}\",type=\"{kind}\"", system.name), figure(fetch)?))
            });
            lines.collect::<Vec<_>>()
        };
        systems.iter().flat_map(of).collect::<Vec<_>>()
    };
    let failed = fetches(&|fetch| Some(i64::from(fetch.failed)));
    family("liaison_fetch_failed_rounds", "Rounds of fetching that failed, one after the other.", failed);
    let fetched = fetches(&|fetch| fetch.last_success.map(jiff::Timestamp::as_second));
    family("liaison_fetch_last_success_seconds", "When fetching a type succeeded last (Unix time).", fetched);
}

/// `GET /metrics`
pub(super) async fn metrics(ask: Ask) -> Answered {
    let (api, mut text) = (&ask.api, String::new());
    let ledger = api.ledger();
    let mut plain = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    plain("liaison_ledger_entries", "gauge", "Entries in the ledger.", ledger.head());
    plain("liaison_ledger_syncs_total", "counter", "Times that files were synced to disk.", ledger.syncs_done());
    let ready = u64::from(ledger.is_ready().is_ok());
    plain("liaison_ready", "gauge", "1 while pushes can be taken on.", ready);
    let _ = writeln!(text, "# HELP liaison_syncs Objects at systems, by state.\n# TYPE liaison_syncs gauge");
    for ((system, state), count) in ledger.counts()? {
        let _ = writeln!(text, "liaison_syncs{{system=\"{system}\",state=\"{}\"}} {count}", state.as_str());
    }
    of_systems(&mut text, &api.engine().systems()?);
    let _ = writeln!(text, "# HELP liaison_worklist_open Items that await a person, by code.");
    let _ = writeln!(text, "# TYPE liaison_worklist_open gauge");
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for group in ledger.groups()? {
        *open.entry(group.code).or_default() += group.count;
    }
    for (code, count) in open {
        let _ = writeln!(text, "liaison_worklist_open{{code=\"{code}\"}} {count}");
    }
    let _ = writeln!(text, "# HELP liaison_http_request_seconds Answers, by route and status.");
    let _ = writeln!(text, "# TYPE liaison_http_request_seconds summary");
    let counters = api.counters().0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    for ((method, route, status), (count, total)) in counters {
        let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
        let _ = writeln!(text, "liaison_http_request_seconds_sum{{{labels}}} {:.6}", total.as_secs_f64());
        let _ = writeln!(text, "liaison_http_request_seconds_count{{{labels}}} {count}");
    }
    let response = Response::new(Body::from(text));
    Ok(with(response, header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
}
