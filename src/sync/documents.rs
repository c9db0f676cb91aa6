//! Documents whose bytes are too many for memory: kept in the ledger under their hash while they arrive, named in `data`
//! (`fhir::stored`), judged by what is known of them, and put in again by the sender.

use std::collections::HashSet;

use serde_json::Value;

use super::{Error, puller::Puller, record::LIAISON, setup::System, translator::Translator};
use crate::{
    ehr::{Body, Content, Keep, Keeping, Kept, Seen},
    fhir::{Object, OwnBase, stored},
    ledger::{Hash, Ledger, LedgerError, Proposal, Receiving},
};

/// Keeps what is long in an EHR's answers.
pub(super) struct InLedger(pub Ledger);

struct Arriving(Ledger, Receiving);

impl Keep for InLedger {
    fn begin(&self) -> Result<Box<dyn Keeping>, String> {
        let receiving = self.0.receive().map_err(|error| error.to_string())?;
        Ok(Box::new(Arriving(self.0.clone(), receiving)))
    }
}

impl Keeping for Arriving {
    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.1.write(bytes).map_err(|error| error.to_string())
    }

    fn name(&self) -> String {
        self.1.hash().to_string()
    }

    fn end(self: Box<Self>, content_type: String) -> Kept {
        let Self(ledger, receiving) = *self;
        Box::pin(async move {
            let in_words = |error: LedgerError| error.to_string();
            // Lists and reads show the same document again and again.
            if ledger.attachment(&receiving.hash()).map_err(in_words)?.is_some() {
                return Ok(());
            }
            let received = ledger.blocking(move || receiving.finish()).await.flatten().map_err(in_words)?;
            let proposal = Proposal::attachment(received, &content_type, LIAISON, "A document came from an EHR.");
            ledger.commit(proposal).await.map(drop).map_err(in_words)
        })
    }
}

/// The bytes of a stored attachment (`sha256-…`), to be streamed.
///
/// # Errors
/// [`LedgerError::Body`] where they are not there.
pub fn content(ledger: &Ledger, name: &str) -> Result<Content, LedgerError> {
    let hash = Hash::parse(name).ok_or(LedgerError::NoObject)?;
    let row = ledger.attachment(&hash)?.ok_or(LedgerError::Body(hash))?;
    match ledger.body_file(&hash) {
        Some(path) => Ok(Content::File { path, size: row.size }),
        None => ledger.body(&hash)?.map(Content::Bytes).ok_or(LedgerError::Body(hash)),
    }
}

impl Translator {
    /// A resource on its way out.
    pub fn outgoing(&self, resource: &Value) -> Result<Body, Error> {
        Body::json(resource, |name| self.content(name))
    }

    /// The bytes behind a name.
    pub fn content(&self, name: &str) -> Result<Content, Error> {
        Ok(content(&self.ledger, name)?)
    }

    /// All that a resource names is there as it was stored: looked at before a send begins, not in its middle.
    pub async fn check_content(&self, resource: &Value) -> Result<(), Error> {
        let mut names = HashSet::new();
        stored::each(resource, &mut |_, name| names.extend(Hash::parse(name)));
        for hash in names {
            let ledger = self.ledger.clone();
            if !self.ledger.blocking(move || ledger.is_intact(&hash)).await.flatten()? {
                return Err(Error::Ledger(LedgerError::Body(hash)));
            }
        }
        Ok(())
    }

    /// Says of stored files that a resource points to for the first time how large they are and, as FHIR has it, their
    /// SHA-1. `before`: the resource as it was.
    pub fn describe(&self, resource: &mut Value, before: Option<&Value>) -> Result<(), LedgerError> {
        let mut known = HashSet::new();
        if let Some(before) = before {
            files(&mut before.clone(), &mut |_, hash| {
                known.insert(hash);
                Ok(())
            })?;
        }
        files(resource, &mut |file, hash| {
            if known.contains(&hash) {
                return Ok(());
            }
            let Some(row) = self.ledger.attachment(&hash)? else { return Ok(()) };
            if let (Some(sha1), false) = (row.sha1, file.contains_key("hash")) {
                file.insert("hash".to_owned(), sha1.into());
            }
            if let (Ok(size), false) = (u32::try_from(row.size), file.contains_key("size")) {
                file.insert("size".to_owned(), size.into());
            }
            Ok(())
        })
    }

    /// What a resource says of named bytes and is not so; also names of bytes that were never here.
    pub fn false_claims(&self, resource: &Value) -> Result<Vec<&'static str>, LedgerError> {
        let mut found = Vec::new();
        let mut failed = Ok(());
        stored::each(resource, &mut |members, name| {
            let row = Hash::parse(name).map_or(Ok(None), |hash| self.ledger.attachment(&hash));
            match row {
                Ok(Some(row)) => {
                    let size = members.get("size").and_then(Value::as_u64);
                    if size.is_some_and(|size| size != row.size) {
                        found.push("The size of an attached file is not what the record says.");
                    }
                    let hash = members.get("hash").and_then(Value::as_str);
                    if hash.zip(row.sha1.as_deref()).is_some_and(|(said, is)| said != is) {
                        found.push("An attached file is not the one that the record's hash names.");
                    }
                }
                Ok(None) => found.push("An attached file is no base64."),
                Err(error) => failed = Err(error),
            }
        });
        failed.map(|()| found)
    }
}

/// Every attachment (or whatever has such a `url`) that names a stored file.
fn files(
    value: &mut Value,
    found: &mut dyn FnMut(&mut Object, Hash) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| files(item, found)),
        Value::Object(members) => {
            let url = members.get("url").and_then(Value::as_str).and_then(|url| url.strip_prefix("Binary/"));
            if let Some(hash) = url.filter(|id| id.len() == 64).and_then(Hash::parse) {
                found(members, hash)?;
            }
            members.values_mut().try_for_each(|inner| files(inner, found))
        }
        _ => Ok(()),
    }
}

impl Puller {
    /// The EHR's own Binaries that a resource names: parts of it. Other addresses are never fetched.
    pub(super) async fn companions(&self, system: &System, body: &Value) -> Vec<Seen> {
        fn urls(node: &Value, own: &OwnBase, found: &mut Vec<String>) {
            match node {
                Value::Object(members) => {
                    let named = members.get("url").and_then(Value::as_str).and_then(|url| own.own(url));
                    found.extend(named.filter(|(kind, _)| kind == "Binary").map(|(_, id)| id));
                    members.values().for_each(|value| urls(value, own, found));
                }
                Value::Array(items) => items.iter().for_each(|item| urls(item, own, found)),
                _ => {}
            }
        }
        let mut ids = Vec::new();
        urls(body, &system.own, &mut ids);
        let mut seen = Vec::new();
        for id in ids.iter().take(20) {
            seen.extend(system.read(&self.translator.clock, "Binary", id).await.ok());
        }
        seen
    }
}
