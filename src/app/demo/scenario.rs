//! What the demo does, read from `examples/demo/scenario.json` and the objects of `examples/demo/day/`. All data: no
//! object, no EHR and no fault is named in code.

use serde_json::Value;

use crate::{
    cli::CouldNotRun,
    embedded::{EXAMPLES, find},
    fhir,
    sandbox::FaultsFile,
};

/// One step.
pub enum Step {
    /// From now on the EHR commits these faults.
    Faults(FaultsFile),
    /// All objects of one kind are pushed.
    Push { object: String, bodies: Vec<Value> },
    /// An object that must be refused.
    Refused { object: String, body: Value, why: String },
    /// A change at the gateway (merge patch).
    Change { object: String, id: String, merge: Value },
    /// An object is called off.
    Cancel { object: String, id: String, reason: String },
    /// A change by the EHR's own staff (JSON Patch).
    Ehr { object: String, id: String, patch: Vec<Value> },
    /// A record that the EHR's own staff make; `{object id}` in it stands for what the EHR calls that object.
    Arrives { object: String, resource: Value },
    /// Until everything has arrived or waits for a person.
    Settle,
    /// Until every change made at the EHR has been seen by the gateway.
    Pulled,
}

/// The gateway's configuration.
pub fn configuration() -> Result<&'static str, CouldNotRun> {
    text("demo/liaison.toml")
}

/// The steps in order.
pub fn steps() -> Result<Vec<Step>, CouldNotRun> {
    let list = json("demo/scenario.json", text("demo/scenario.json")?)?;
    let steps = list.as_array().ok_or_else(|| broken("demo/scenario.json"))?;
    steps.iter().map(|step| read(step)?.ok_or_else(|| broken("demo/scenario.json"))).collect()
}

fn read(step: &Value) -> Result<Option<Step>, CouldNotRun> {
    let said = |name: &str| step.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(what), object, id) = (said("do"), said("object"), said("id")) else { return Ok(None) };
    let found = match what.as_str() {
        "settle" => Some(Step::Settle),
        "pulled" => Some(Step::Pulled),
        "faults" => {
            let file = serde_json::json!({"seed": 2026, "fault": step.get("fault")});
            serde_json::from_value(file).ok().map(Step::Faults)
        }
        "push" => match object {
            Some(object) => Some(Step::Push { bodies: day(&object)?, object }),
            None => None,
        },
        "refused" => object
            .zip(step.get("body").cloned())
            .zip(said("why"))
            .map(|((object, body), why)| Step::Refused { object, body, why }),
        "change" => object.zip(id).zip(step.get("merge").cloned()).map(|((object, id), merge)| Step::Change {
            object,
            id,
            merge,
        }),
        "cancel" => {
            object.zip(id).zip(said("reason")).map(|((object, id), reason)| Step::Cancel { object, id, reason })
        }
        "ehr" => object
            .zip(id)
            .zip(step.get("patch").and_then(Value::as_array).cloned())
            .map(|((object, id), patch)| Step::Ehr { object, id, patch }),
        "arrives" => {
            object.zip(step.get("resource").cloned()).map(|(object, resource)| Step::Arrives { object, resource })
        }
        _ => None,
    };
    Ok(found)
}

fn day(object: &str) -> Result<Vec<Value>, CouldNotRun> {
    let name = format!("demo/day/{object}.ndjson");
    text(&name)?.lines().map(|line| json(&name, line)).collect()
}

fn text(name: &str) -> Result<&'static str, CouldNotRun> {
    find(EXAMPLES, name).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(|| broken(name))
}

fn json(name: &str, text: &str) -> Result<Value, CouldNotRun> {
    fhir::read_str(text).map_err(|_| broken(name))
}

fn broken(name: &str) -> CouldNotRun {
    CouldNotRun::new(format!("examples/{name}, which is built into the program, cannot be used"), "build it anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_reads_and_names_only_objects_of_the_day() {
        let steps = steps().unwrap();
        let pushed = |object: &str, id: &str| {
            steps.iter().any(|step| match step {
                Step::Push { object: own, bodies } => own == object && bodies.iter().any(|body| body["id"] == id),
                _ => false,
            })
        };
        let mut count = 0;
        for step in &steps {
            match step {
                Step::Push { bodies, .. } => count += bodies.len(),
                Step::Change { object, id, .. } | Step::Cancel { object, id, .. } | Step::Ehr { object, id, .. } => {
                    assert!(pushed(object, id), "{object} {id}");
                }
                _ => {}
            }
        }
        assert!(count > 300, "{count} objects");
    }
}
