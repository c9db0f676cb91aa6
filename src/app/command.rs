//! The command line's grammar, over all rooms that offer a command, and which room runs it.

use crate::{
    cli::{CouldNotRun, Run, backup, config, ledger, mappings, profiles, push, serve, systems, translate, validate},
    sandbox,
};

/// Liaison, a FHIR R4 interoperability gateway.
#[derive(Debug, clap::Parser)]
#[command(name = "liaison", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a whole copy of a ledger, also of a running one.
    Backup(backup::Args),
    /// The main job on invented input, with everything on this machine.
    Demo(super::demo::Args),
    /// Verify, export, show or rebuild a ledger, offline.
    Ledger(ledger::Args),
    /// Prove the mappings' laws, and show what they do.
    Mappings(mappings::Args),
    /// Make the core pack, install packages of profiles, list them.
    Profiles(profiles::Args),
    /// Send internal objects to a running gateway.
    Push(push::Args),
    /// Tell what is wrong with a configuration, and what is weak in it.
    Config(config::Args),
    /// Run the gateway.
    Serve(serve::Args),
    /// Run a practice EHR, with faults on request.
    Sandbox(sandbox::command::Args),
    /// Translate an object to FHIR, or FHIR to an object.
    Translate(translate::Args),
    /// Validate FHIR resources against R4, profiles and packages.
    Validate(validate::Args),
    /// Look at an EHR and write the configuration for it.
    Systems(systems::Args),
}

/// Runs a command.
///
/// # Errors
/// [`CouldNotRun`], which is exit code 2.
pub fn run(command: Command) -> Run {
    match command {
        Command::Backup(args) => backup::run(&args),
        Command::Demo(args) => super::runtime()?.block_on(super::demo::run(args)),
        Command::Ledger(args) => ledger::run(&args),
        Command::Mappings(args) => mappings::run(&args, &configured),
        Command::Profiles(args) => profiles::run(&args, &super::fetch::Http::REGISTRY),
        Command::Push(args) => push::run(&args),
        Command::Sandbox(args) => practice(args),
        Command::Translate(args) => translate::run(&args, &configured),
        Command::Validate(args) => validate::run(&args, std::sync::Arc::new(super::fetch::Http::TERMINOLOGY)),
        Command::Systems(args) => systems::run(&args),
        Command::Config(args) => super::config_check::run(&args),
        Command::Serve(args) => super::serve::run(&args),
    }
}

fn practice(args: sandbox::command::Args) -> Run {
    use sandbox::command::CommandError;
    match super::runtime()?.block_on(sandbox::command::run(args)) {
        Ok(()) => Ok(crate::cli::Exit::Good),
        Err(CommandError::Faults(fault)) => {
            eprintln!("liaison: {fault}");
            Ok(crate::cli::Exit::Bad)
        }
        Err(other) => Err(CouldNotRun::new(other.to_string(), "")),
    }
}

/// What `translate` needs of a configuration.
fn configured(path: &std::path::Path) -> Result<translate::Configured, CouldNotRun> {
    let config = super::config::Config::read(path).map_err(|error| CouldNotRun::from_error(&error, ""))?;
    let system =
        |system: &crate::ehr::SystemConfig| (system.name.to_string(), system.dialect.clone(), system.zone.clone());
    let systems = config.systems.iter().map(system).collect();
    Ok(translate::Configured { instance: config.server.instance, mappings: config.mappings.dir, systems })
}
