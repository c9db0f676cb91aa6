//! Plays the scenario: pushes through the gateway, changes at the EHR, waits, and keeps what is needed for the verdict.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{
    gateway::Gateway,
    judge::{Edit, Truth},
    scenario::Step,
};
use crate::{
    cli::CouldNotRun,
    rest::{Method, Request},
    sandbox::Running,
};

/// Pushes under way at a time.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(60);
const PENDING: [&str; 4] = ["accepted", "sending", "retrying", "unknown"];

/// What happened, as far as the tools on both sides know.
#[derive(Default)]
pub struct Played {
    /// Accepted: object and id.
    pub accepted: Vec<(String, String)>,
    /// Changed or called off after that: object and id.
    pub changed: Vec<(String, String)>,
    /// Refused at once: object, id, what the gateway said, what was wrong.
    pub refused: Vec<(String, String, String, String)>,
    /// Answers that should not have been: plain sentences.
    pub surprises: Vec<String>,
    /// Changes by the EHR's staff.
    pub edits: Vec<Edit>,
    /// Records that the EHR's staff made: the kind of object and where they are.
    pub arrivals: Vec<(String, String)>,
    /// Changes and records of theirs that the gateway took in.
    pub pulled: usize,
    /// What the EHR did wrong, and how often.
    pub faults: BTreeMap<&'static str, u64>,
    /// For each edit, the object's last entry before it.
    marks: Vec<u64>,
}

/// One run.
pub struct Player<'a> {
    pub gateway: &'a Gateway,
    pub ehr: &'a Running,
    pub instance: &'a str,
    pub bar: ProgressBar,
}

/// A bar over all steps, on a terminal only.
pub fn bar(steps: &[Step], wanted: bool) -> ProgressBar {
    let length: usize = steps.iter().map(weight).sum();
    let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(length as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    bar
}

fn weight(step: &Step) -> usize {
    match step {
        Step::Push { bodies, .. } => bodies.len(),
        Step::Settle | Step::Pulled => 20,
        _ => 1,
    }
}

impl Player<'_> {
    pub async fn play(&self, steps: &[Step]) -> Result<Played, CouldNotRun> {
        let mut played = Played::default();
        for step in steps {
            self.step(step, &mut played).await?;
            if !matches!(step, Step::Push { .. }) {
                self.bar.inc(weight(step) as u64);
            }
        }
        self.note_faults(&mut played);
        self.bar.finish_and_clear();
        Ok(played)
    }

    async fn step(&self, step: &Step, played: &mut Played) -> Result<(), CouldNotRun> {
        match step {
            Step::Faults(file) => {
                self.note_faults(played);
                self.ehr.set_faults(file).map_err(|error| CouldNotRun::new(error.to_string(), ""))
            }
            Step::Push { object, bodies } => self.push(object, bodies, played).await,
            Step::Refused { object, body, why } => {
                let answer = self.gateway.post(object, body).await?;
                let id = body["id"].as_str().unwrap_or_default().to_owned();
                if answer.status == 422 {
                    let said = sentence(&answer.body);
                    played.refused.push((object.clone(), id, said, why.clone()));
                } else {
                    played
                        .surprises
                        .push(format!("{object} {id} was to be refused, and was answered {}", answer.status));
                    played.accepted.push((object.clone(), id));
                }
                Ok(())
            }
            Step::Change { object, id, merge } => {
                self.bar.set_message(format!("{} {id} is changed", self.gateway.title(object)));
                let answer = self.gateway.change(object, id, merge).await?;
                check(played, object, id, answer.status, &answer.body);
                Ok(())
            }
            Step::Cancel { object, id, reason } => {
                self.bar.set_message(format!("{} {id} is cancelled", self.gateway.title(object)));
                let answer = self.gateway.cancel(object, id, reason).await?;
                check(played, object, id, answer.status, &answer.body);
                Ok(())
            }
            Step::Ehr { object, id, patch } => self.at_the_ehr(object, id, patch, played).await,
            Step::Arrives { object, resource } => {
                self.made_at_the_ehr(object, resource, played);
                Ok(())
            }
            Step::Settle => {
                self.bar.set_message("what is under way arrives");
                self.settle().await
            }
            Step::Pulled => {
                self.bar.set_message("what changed at the EHR comes back");
                self.pulled(played).await
            }
        }
    }

    /// Adds up what was committed since the faults were last set.
    fn note_faults(&self, played: &mut Played) {
        for (kind, count) in self.ehr.faults_by_kind().into_iter().filter(|(_, count)| *count > 0) {
            *played.faults.entry(kind.words()).or_default() += count;
        }
    }

    async fn push(&self, object: &str, bodies: &[Value], played: &mut Played) -> Result<(), CouldNotRun> {
        self.bar.set_message(format!("each {} is pushed", self.gateway.title(object)));
        let answers: Vec<(String, u16, Value)> = stream::iter(bodies)
            .map(|body| async move {
                let answer = self.gateway.post(object, body).await?;
                self.bar.inc(1);
                let id = body["id"].as_str().unwrap_or_default().to_owned();
                Ok::<_, CouldNotRun>((id, answer.status, answer.body))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (id, status, body) in answers {
            if status == 202 {
                played.accepted.push((object.to_owned(), id));
            } else {
                check(played, object, &id, status, &body);
            }
        }
        Ok(())
    }

    async fn at_the_ehr(
        &self,
        object: &str,
        id: &str,
        patch: &[Value],
        played: &mut Played,
    ) -> Result<(), CouldNotRun> {
        let Some((kind, resource)) = Truth::new(self.instance, self.ehr.truth()).find(object, id) else {
            played.surprises.push(format!("{object} {id} is not at the EHR, so that nobody could change it there"));
            return Ok(());
        };
        self.bar.set_message(format!("the EHR's staff change {} {id}", self.gateway.title(object)));
        let mark = self.last_entry(object, id).await?;
        let mut request = Request::new(Method::Patch, &format!("{kind}/{resource}"), "");
        request.headers.push(("content-type".to_owned(), "application/json-patch+json".to_owned()));
        request.body = json!(patch).to_string().into_bytes();
        let response = self.ehr.request(&request);
        if response.status == 200 {
            let (object, id, patch) = (object.to_owned(), id.to_owned(), patch.to_vec());
            played.edits.push(Edit { object, id, kind, resource, patch });
            played.marks.push(mark);
        } else {
            played.surprises.push(format!("the EHR answered {} to its own staff at {object} {id}", response.status));
        }
        Ok(())
    }

    fn made_at_the_ehr(&self, object: &str, resource: &Value, played: &mut Played) {
        self.bar.set_message(format!("the EHR's staff make {}", self.gateway.title(object)));
        let resource = placed(resource, &Truth::new(self.instance, self.ehr.truth()));
        let kind = crate::fhir::resource_type(&resource).unwrap_or_default().to_owned();
        let mut request = Request::new(Method::Post, &kind, "");
        request.headers.push(("content-type".to_owned(), "application/fhir+json".to_owned()));
        request.body = resource.to_string().into_bytes();
        let response = self.ehr.request(&request);
        let made = crate::fhir::read(&response.body).ok().filter(|_| response.status == 201);
        match made.as_ref().and_then(|made| made.get("id")?.as_str()) {
            Some(id) => played.arrivals.push((object.to_owned(), format!("{kind}/{id}"))),
            None => {
                played.surprises.push(format!("the EHR answered {} to its own staff's new {object}", response.status))
            }
        }
    }

    async fn last_entry(&self, object: &str, id: &str) -> Result<u64, CouldNotRun> {
        let history = self.gateway.history(object, id).await?;
        Ok(history.iter().filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or_default())
    }

    /// Until nothing is under way any more; what still is when patience ends counts as lost in the verdict.
    async fn settle(&self) -> Result<(), CouldNotRun> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let mut pending = false;
            for state in PENDING {
                let page = self.gateway.get(&format!("syncs?state={state}&limit=1")).await?;
                pending |= !page.body["items"].as_array().is_none_or(Vec::is_empty);
            }
            if !pending {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Until the gateway has an entry about each change of the EHR's staff.
    async fn pulled(&self, played: &mut Played) -> Result<(), CouldNotRun> {
        const SEEN: [&str; 3] = ["applied", "observed", "conflicted"];
        let started = Instant::now();
        loop {
            let mut seen = 0;
            for (edit, mark) in played.edits.iter().zip(&played.marks) {
                let history = self.gateway.history(&edit.object, &edit.id).await?;
                let told = |entry: &Value| {
                    entry["seq"].as_u64().is_some_and(|seq| seq > *mark)
                        && entry["kind"].as_str().is_some_and(|kind| SEEN.contains(&kind))
                };
                seen += usize::from(history.iter().any(told));
            }
            for (object, reference) in &played.arrivals {
                let page = self.gateway.get(&format!("syncs?object={object}&remote={reference}&limit=1")).await?;
                seen += usize::from(page.body["items"].as_array().is_some_and(|items| !items.is_empty()));
            }
            played.pulled = seen;
            if seen == played.edits.len() + played.arrivals.len() || started.elapsed() > PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// `{object id}` becomes what the EHR calls that object.
fn placed(node: &Value, truth: &Truth) -> Value {
    match node {
        Value::String(text) => {
            let named = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')?.split_once(' '));
            let found = named.and_then(|(object, id)| truth.find(object, id));
            found.map_or_else(|| node.clone(), |(kind, id)| json!(format!("{kind}/{id}")))
        }
        Value::Array(items) => items.iter().map(|item| placed(item, truth)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), placed(value, truth))).collect(),
        other => other.clone(),
    }
}

fn check(played: &mut Played, object: &str, id: &str, status: u16, body: &Value) {
    if status == 202 {
        played.changed.push((object.to_owned(), id.to_owned()));
    } else {
        played.surprises.push(format!("{object} {id} was answered {status}: {}", sentence(body)));
    }
}

/// What a problem document says, its findings included.
fn sentence(problem: &Value) -> String {
    let detail = problem["detail"].as_str().or_else(|| problem["title"].as_str()).unwrap_or("no reason was given");
    let findings = problem["errors"].as_array().into_iter().flatten();
    let findings: Vec<&str> = findings.filter_map(|finding| finding["detail"].as_str()).collect();
    if findings.is_empty() { detail.to_owned() } else { findings.join("; ") }
}
