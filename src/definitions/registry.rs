//! Packages from a FHIR package registry (`https://packages.fhir.org`), with those they need. Speaks no network: a
//! [`Fetch`] does. Only the registry's own origin is asked, and what it sends is checked against the checksum it gives.
//! <https://confluence.hl7.org/display/FHIR/NPM+Package+Specification>, <https://registry.fhir.org/learn>

use serde_json::Value;
use sha1::{Digest, Sha1};
use url::Url;

use super::{
    Error,
    install::{Checked, Installed, fits, is_built_in},
    package::{hex, is_plain},
    versions,
};
use crate::fhir;

/// Reaches out: `app` supplies it.
pub trait Fetch {
    /// The body of a GET that was answered with 200.
    ///
    /// # Errors
    /// A short sentence why not.
    fn get(&self, url: &Url) -> Result<Vec<u8>, String>;
}

/// A registry.
pub struct Registry<'a> {
    /// Its address.
    pub url: Url,
    /// How it is reached.
    pub fetch: &'a dyn Fetch,
}

/// More packages than any guide needs, so that a malicious registry cannot go on for ever.
const MOST: usize = 100;

impl Registry<'_> {
    /// Fetches `name#version` (`latest` if no version is given) and what it needs and is not installed.
    ///
    /// # Errors
    /// [`Error::Registry`], [`Error::Checksum`], and as [`Checked::tgz`]. The first package must come; of those it needs,
    /// each that does not is named in the second result.
    pub fn fetch(&self, wanted: &str, installed: &Installed) -> Result<(Vec<Checked>, Vec<String>), Error> {
        let (mut fetched, mut missing): (Vec<Checked>, Vec<String>) = (Vec::new(), Vec::new());
        let mut queue = vec![wanted.to_owned()];
        let mut asked = std::collections::BTreeSet::new();
        while let Some(label) = queue.pop() {
            let first = fetched.is_empty();
            if !first && (is_built_in(&label) || !asked.insert(label.clone())) {
                continue;
            }
            let (name, version) = label.split_once('#').unwrap_or((&label, "latest"));
            let known = |one: &Checked| one.package.name == name && fits(&one.package.version, version);
            if !first && (installed.best(name, version).is_some() || fetched.iter().any(known)) {
                continue;
            }
            if fetched.len() >= MOST {
                return Err(failed(wanted, "it needs more packages than any guide does"));
            }
            match self.one(name, version) {
                Ok(one) => {
                    queue.extend(one.package.dependencies.iter().map(|(name, version)| format!("{name}#{version}")));
                    fetched.push(one);
                }
                Err(Error::Registry { .. }) if !first => missing.push(label),
                Err(error) => return Err(error),
            }
        }
        Ok((fetched, missing))
    }

    fn one(&self, name: &str, version: &str) -> Result<Checked, Error> {
        let label = format!("{name}#{version}");
        if !is_plain(name) || !is_plain(version) {
            return Err(failed(&label, "that is not a package's name and version"));
        }
        let listing = self.get(&label, &[name])?;
        let listing = fhir::read(&listing).map_err(|_| failed(&label, "its answer is not JSON"))?;
        let all = listing.get("versions").and_then(Value::as_object);
        let tagged = listing.pointer("/dist-tags/latest").and_then(Value::as_str);
        let exact = match version {
            "latest" | "current" | "dev" if tagged.is_some() => tagged.map(str::to_owned),
            _ => {
                let fitting = all.into_iter().flatten().map(|(known, _)| known).filter(|known| fits(known, version));
                fitting.max_by(|a, b| versions::compare(a, b)).cloned()
            }
        };
        let exact = exact.filter(|exact| is_plain(exact)).ok_or_else(|| failed(&label, "it has no such version"))?;
        let entry = all.and_then(|all| all.get(&exact));
        let url = self.address(&[name, &exact])?;
        let tgz = self.fetch.get(&url).map_err(|why| failed(&label, &why))?;
        let promised = entry.and_then(|entry| entry.pointer("/dist/shasum")).and_then(Value::as_str);
        if promised.is_some_and(|promised| !promised.eq_ignore_ascii_case(&hex(&Sha1::digest(&tgz)))) {
            return Err(Error::Checksum { package: label, place: "the registry's listing".to_owned() });
        }
        let checked = Checked::tgz(&label, tgz, url.as_str())?;
        if checked.package.label() != format!("{name}#{exact}") {
            return Err(Error::unsafe_(&label, format!("the registry sent {}", checked.package.label())));
        }
        Ok(checked)
    }

    fn get(&self, label: &str, path: &[&str]) -> Result<Vec<u8>, Error> {
        let url = self.address(path)?;
        self.fetch.get(&url).map_err(|why| failed(label, &why))
    }

    fn address(&self, path: &[&str]) -> Result<Url, Error> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| failed(self.url.as_str(), "that is no address"))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }
}

fn failed(package: &str, why: &str) -> Error {
    Error::Registry { package: package.to_owned(), why: why.to_owned() }
}
