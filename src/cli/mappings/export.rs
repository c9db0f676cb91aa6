//! `liaison mappings export`: a mapping as a Bundle of StructureMap and ConceptMap resources; what these cannot say, on
//! stderr.

use serde_json::{Value, json};

use super::One;
use crate::cli::{Exit, Run};

/// `liaison mappings export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    one: One,
}

pub(super) fn run(args: &Args) -> Run {
    let plan = args.one.plan()?;
    let export = plan.export();
    let entry =
        export.resources.into_iter().map(|resource| json!({ "fullUrl": resource["url"], "resource": resource }));
    let entry: Vec<Value> = entry.collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entry });
    crate::cli::say!("{}", serde_json::to_string_pretty(&bundle).unwrap_or_default());
    for (rule, what) in &export.not_expressed {
        eprintln!("not expressed: {what} {}", if rule.is_empty() { String::new() } else { format!("({rule})") });
    }
    Ok(Exit::Good)
}
