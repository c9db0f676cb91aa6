//! `liaison mappings export`: a mapping as a Bundle of StructureMap and ConceptMap resources; what these cannot say, on
//! stderr.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::{Exit, Run, translate};

/// `liaison mappings export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kind of object
    #[arg(long, value_name = "TYPE")]
    object: String,
    /// The dialect whose overlays count
    #[arg(long, default_value = "generic")]
    dialect: String,
    /// A folder of mappings laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Run {
    let mappings = translate::mappings_of(args.mappings.as_deref())?;
    let plan =
        mappings.plan(&args.object, &args.dialect).ok_or_else(|| translate::unknown_object(&mappings, &args.object))?;
    let export = plan.export();
    let entry: Vec<Value> = export.resources.into_iter().map(|resource| json!({ "resource": resource })).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": entry });
    crate::cli::say!("{}", serde_json::to_string_pretty(&bundle).unwrap_or_default());
    for (rule, what) in &export.not_expressed {
        eprintln!("not expressed: {what} {}", if rule.is_empty() { String::new() } else { format!("({rule})") });
    }
    Ok(Exit::Good)
}
