//! What every `--help` ends with: examples that can be typed as they stand, and what the exit codes mean. One table for
//! the whole command line; a test walks over all commands and fails where a line is missing or an example cannot be
//! parsed.

use clap::{Command, CommandFactory};

use super::command::Cli;

/// A command's words, its examples, and what makes it end with 0, 1 and 2.
struct Entry {
    path: &'static str,
    examples: &'static [&'static str],
    good: &'static str,
    bad: &'static str,
    could_not: &'static str,
}

const USAGE: &str = "it could not run: wrong usage, a missing path";
const NEVER: &str = "not used";

const ENTRIES: &[Entry] = &[
    Entry {
        path: "",
        examples: &["liaison demo --once", "liaison validate patient.json", "liaison serve --config liaison.toml"],
        good: "good",
        bad: "the input is bad; what is wrong was told",
        could_not: "it could not run: wrong usage, a missing path, something that cannot be reached or is in use",
    },
    Entry {
        path: "backup",
        examples: &["liaison backup backups/monday", "liaison backup backups/monday --ledger data/ledger"],
        good: "the copy is whole; to restore it, copy it back and start",
        bad: "the ledger is damaged, and so would be its copy",
        could_not: "no ledger there, the folder is not empty, no room",
    },
    Entry {
        path: "demo",
        examples: &["liaison demo", "liaison demo --once", "liaison demo --once --output json"],
        good: "the day went well",
        bad: "something was lost, doubled or overwritten",
        could_not: "it could not run: no port, no room for its ledger",
    },
    Entry {
        path: "serve",
        examples: &["liaison serve", "liaison serve --config examples/liaison.toml"],
        good: "it was told to stop, and did",
        bad: NEVER,
        could_not: "it could not start: the configuration is wrong, the port is taken, the ledger is in use",
    },
    Entry {
        path: "config",
        examples: &["liaison config check --config liaison.toml"],
        good: "good",
        bad: "the configuration has faults",
        could_not: "the file cannot be read",
    },
    Entry {
        path: "config check",
        examples: &["liaison config check", "liaison config check --config examples/liaison.toml --output json"],
        good: "no faults (weak places are told)",
        bad: "the configuration has faults: each with its line",
        could_not: "the file cannot be read",
    },
    Entry {
        path: "sandbox",
        examples: &[
            "liaison sandbox",
            "liaison sandbox --listen 127.0.0.1:0 --faults examples/faults.toml",
            "liaison sandbox --data practice-ehr",
        ],
        good: "it was told to stop, and did",
        bad: "the file of faults is wrong",
        could_not: "it could not start: the port is taken, or is open to the network; the folder cannot be used",
    },
    Entry {
        path: "translate",
        examples: &[
            "liaison translate --to fhir --object appointment visit.json",
            "liaison translate --to internal --object patient --system epic patient.fhir.json",
            "liaison translate --to fhir --object appointment --base theirs.json ours.json",
        ],
        good: "translated, on stdout",
        bad: "the object or resource cannot be translated; why is on stderr",
        could_not: "an unknown kind, system or dialect, a missing file",
    },
    Entry {
        path: "validate",
        examples: &[
            "liaison validate patient.json",
            "liaison validate --package hl7.fhir.us.core-6.1.0.tgz --profile \
             http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient patients.ndjson",
            "cat bundle.json | liaison validate --output json -",
        ],
        good: "all valid (warnings may be told)",
        bad: "something is invalid, or no JSON",
        could_not: "a missing path (all others were validated), an unknown profile or option, a broken package",
    },
    Entry {
        path: "mappings",
        examples: &["liaison mappings check", "liaison mappings coverage --object appointment"],
        good: "good",
        bad: "a mapping breaks a law or an example",
        could_not: USAGE,
    },
    Entry {
        path: "mappings check",
        examples: &[
            "liaison mappings check --object appointment --pairs 500",
            "liaison mappings check --mappings my-mappings --output json",
        ],
        good: "all laws hold, all examples run",
        bad: "a mapping is wrong, or breaks a law or an example",
        could_not: "an unknown kind, a missing folder",
    },
    Entry {
        path: "mappings coverage",
        examples: &["liaison mappings coverage --object patient", "liaison mappings coverage --dialect us-core"],
        good: "told",
        bad: NEVER,
        could_not: "an unknown kind or dialect, a package that cannot be read",
    },
    Entry {
        path: "mappings explain",
        examples: &[
            "liaison mappings explain --object appointment visit.json",
            "liaison mappings explain --object patient --dialect epic --output json patient.fhir.json",
        ],
        good: "told",
        bad: "the object or resource cannot be translated",
        could_not: "an unknown kind or dialect, a missing file",
    },
    Entry {
        path: "mappings export",
        examples: &["liaison mappings export --object appointment"],
        good: "written to stdout",
        bad: NEVER,
        could_not: "an unknown kind or dialect",
    },
    Entry {
        path: "mappings shadow",
        examples: &[
            "liaison mappings shadow --candidate my-mappings",
            "liaison mappings shadow --candidate my-mappings --object letter --system general-hospital --values",
        ],
        good: "nothing would come out otherwise",
        bad: "something would come out otherwise; what is told",
        could_not: "no ledger, mappings that cannot be read, an unknown kind or system",
    },
    Entry {
        path: "profiles",
        examples: &["liaison profiles install hl7.fhir.us.core-6.1.0.tgz", "liaison profiles list"],
        good: "good",
        bad: "a package is refused",
        could_not: USAGE,
    },
    Entry {
        path: "profiles install",
        examples: &[
            "liaison profiles install hl7.fhir.us.core-6.1.0.tgz",
            "liaison profiles install hl7.fhir.us.core#6.1.0",
        ],
        good: "installed, or was installed already",
        bad: "a package is unsafe, unreadable, or not the one that its checksum promises",
        could_not: "the registry cannot be reached, the folder cannot be written",
    },
    Entry {
        path: "profiles list",
        examples: &["liaison profiles list", "liaison profiles list --output json"],
        good: "told",
        bad: "the list of installed packages is damaged",
        could_not: "the folder cannot be read",
    },
    Entry {
        path: "profiles core-pack",
        examples: &["liaison profiles core-pack hl7.fhir.r4.core-4.0.1.tgz"],
        good: "written",
        bad: "the package is not the genuine one",
        could_not: "a file cannot be read or written",
    },
    Entry {
        path: "push",
        examples: &[
            "liaison push --object patient patients.ndjson",
            "liaison push --object appointment --to http://127.0.0.1:8080 --wait 60 visits/",
        ],
        good: "all accepted (and arrived, with --wait)",
        bad: "something was refused, or did not arrive in time; pushing again doubles nothing",
        could_not: "the gateway does not answer or does not know the kind, a missing path (all others were pushed)",
    },
    Entry {
        path: "ledger",
        examples: &["liaison ledger verify", "liaison ledger show visit-1 --ledger data/ledger"],
        good: "good",
        bad: "the ledger is damaged, or has no such entry",
        could_not: "there is no ledger there, or a gateway uses it",
    },
    Entry {
        path: "ledger verify",
        examples: &["liaison ledger verify", "liaison ledger verify --ledger data/ledger"],
        good: "the ledger is whole",
        bad: "the ledger is damaged; the first bad entry is told",
        could_not: "there is no ledger there",
    },
    Entry {
        path: "ledger export",
        examples: &["liaison ledger export", "liaison ledger export --bodies --ledger data/ledger"],
        good: "written to stdout",
        bad: "the ledger is damaged",
        could_not: "there is no ledger there",
    },
    Entry {
        path: "ledger show",
        examples: &["liaison ledger show 12", "liaison ledger show visit-1 --ledger data/ledger"],
        good: "shown",
        bad: "there is no such entry, object, sync or item, or the ledger is damaged",
        could_not: "there is no ledger there",
    },
    Entry {
        path: "ledger rebuild",
        examples: &["liaison ledger rebuild --ledger data/ledger"],
        good: "made anew",
        bad: NEVER,
        could_not: "there is no ledger there, or a gateway uses it",
    },
    Entry {
        path: "systems",
        examples: &["liaison systems probe http://127.0.0.1:8090/fhir"],
        good: "good",
        bad: NEVER,
        could_not: "the EHR cannot be reached, or is none",
    },
    Entry {
        path: "systems probe",
        examples: &[
            "liaison systems probe http://127.0.0.1:8090/fhir",
            "liaison systems probe --name general-hospital https://ehr.example/fhir",
        ],
        good: "the configuration is on stdout",
        bad: NEVER,
        could_not: "the EHR cannot be reached, or is none",
    },
];

/// The whole command line, each command with its examples and exit codes.
#[must_use]
pub fn command() -> Command {
    ended(Cli::command(), "")
}

fn ended(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command.mut_subcommand(name, |inner| ended(inner, &path))
    });
    match ENTRIES.iter().find(|entry| entry.path == path) {
        Some(entry) => command.after_help(end(entry)),
        None => command,
    }
}

fn end(entry: &Entry) -> String {
    let many = if entry.examples.len() == 1 { "Example" } else { "Examples" };
    let examples: Vec<String> = entry.examples.iter().map(|example| format!("  {example}")).collect();
    format!(
        "{many}:\n{}\n\nExit codes:\n  0  {}\n  1  {}\n  2  {}",
        examples.join("\n"),
        entry.good,
        entry.bad,
        entry.could_not
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let path =
                if path.is_empty() { inner.get_name().to_owned() } else { format!("{path} {}", inner.get_name()) };
            paths(inner, &path, found);
        }
    }

    #[test]
    fn every_help_has_an_example_and_its_exit_codes() {
        let mut found = Vec::new();
        paths(&command(), "", &mut found);
        assert!(found.len() > 20, "{}", found.len());
        for (path, mut command) in found.clone() {
            let help = command.render_long_help().to_string();
            for part in ["Example", "Exit codes:\n  0  ", "\n  1  ", "\n  2  "] {
                assert!(help.contains(part), "`liaison {path} --help` lacks {part:?}: add a line to src/app/help.rs");
            }
            assert!(help.contains(&format!("liaison {path}")), "the example of `{path}` shows another command");
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{path}: {} says nothing", argument.get_id());
            }
        }
        for entry in ENTRIES {
            assert!(found.iter().any(|(path, _)| path == entry.path), "there is no command `{}` any more", entry.path);
        }
    }

    #[test]
    fn every_example_can_be_typed() {
        for example in ENTRIES.iter().flat_map(|entry| entry.examples) {
            let words = example.split(" | ").last().unwrap_or(example).split_whitespace();
            if let Err(error) = command().try_get_matches_from(words) {
                panic!("{example}: {error}");
            }
        }
    }

    #[test]
    fn nothing_that_must_say_something_may_be_empty() {
        let mut found = Vec::new();
        paths(&command(), "", &mut found);
        for (path, command) in found {
            for argument in command.get_arguments() {
                let parser = format!("{:?}", argument.get_value_parser());
                let empty = argument.get_action().takes_values() && parser.contains("ValueParser::string");
                assert!(!empty, "{path}: {} takes an empty text", argument.get_id());
            }
        }
    }

    #[test]
    fn no_help_shows_what_the_environment_holds() {
        let mut found = Vec::new();
        paths(&command(), "", &mut found);
        for (path, command) in found {
            let shown = command.get_arguments().find(|a| a.get_env().is_some() && !a.is_hide_env_values_set());
            assert!(shown.is_none(), "{path}: {shown:?} would show an address with its password");
        }
    }
}
