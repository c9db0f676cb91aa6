//! `liaison mappings coverage`: what of FHIR a mapping maps, preserves and loses.

use serde_json::{Value, json};

use super::Common;
use crate::{
    cli::{Exit, Output, Run, translate},
    definitions::Definitions,
    mapping::State,
};

/// `liaison mappings coverage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The dialect whose overlays count
    #[arg(long, default_value = "generic")]
    dialect: String,
}

pub(super) fn run(args: &Args) -> Run {
    let mappings = translate::mappings_of(args.common.mappings.as_deref())?;
    if let Some(name) = args.common.object.as_ref().filter(|name| mappings.object(name).is_none()) {
        return Err(translate::unknown_object(&mappings, name));
    }
    let definitions = Definitions::core();
    for object in mappings.objects() {
        if args.common.object.as_ref().is_some_and(|name| name != object.name()) {
            continue;
        }
        let Some(plan) = mappings.plan(object.name(), &args.dialect) else { continue };
        let coverage = plan.coverage(object, &definitions);
        if args.common.output == Output::Json {
            let mut line =
                json!({ "mapping": object.name(), "dialect": plan.dialect(), "resource": object.resource_type() });
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), coverage.json()) {
                line.extend(more);
            }
            crate::cli::say!("{line}");
            continue;
        }
        let count = |state: State| coverage.elements.iter().filter(|covered| covered.state == state).count();
        crate::cli::say!(
            "{} → {} ({}): {} elements mapped, {} preserved, {} fields lost",
            object.name(),
            object.resource_type(),
            plan.dialect(),
            count(State::Mapped),
            count(State::Preserved),
            coverage.lost.len()
        );
        for covered in &coverage.elements {
            let mark = if covered.must_support { " (must support)" } else { "" };
            match covered.state {
                State::Mapped => {
                    let mut fields: Vec<&str> = covered
                        .rules
                        .iter()
                        .map(|(field, _)| field.as_str())
                        .filter(|field| !field.is_empty())
                        .collect();
                    fields.dedup();
                    let shown = if fields.is_empty() { "constant".to_owned() } else { fields.join(", ") };
                    crate::cli::say!("  mapped     {}{mark} ⇄ {shown}", covered.element);
                }
                State::Preserved => crate::cli::say!("  preserved  {}{mark}", covered.element),
            }
        }
        for loss in &coverage.lost {
            crate::cli::say!("  lost       {}: {}", loss.field, loss.why);
        }
        for field in &coverage.without_rule {
            crate::cli::say!("  no rule    {field}");
        }
    }
    Ok(Exit::Good)
}
