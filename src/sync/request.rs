//! What surfaces ask of the engine and what they get back. Plain data, no behaviour.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    domain::{ObjectId, ObjectName, SystemName},
    error::Finding,
};

/// An idempotency key within its scope (client and route); kept as long as the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Client and route, as the surface puts them together.
    pub scope: String,
    /// The client's `Idempotency-Key`.
    pub key: String,
}

/// A new object (`POST /api/v1/{objects}`).
#[derive(Clone, Debug)]
pub struct Accept {
    /// Which kind of object.
    pub object: ObjectName,
    /// The internal object; `id` may be absent.
    pub body: Value,
    /// Idempotency key.
    pub key: Key,
    /// Who asks.
    pub by: String,
    /// `Prefer: handling=lenient`: what is invalid for a system is parked instead of refused.
    pub lenient: bool,
}

/// How an object is changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// The whole new object (`PUT`).
    Replace(Value),
    /// A merge patch (RFC 7396, `PATCH`).
    Merge(Value),
    /// A value of an EHR's that ours replaced is brought back.
    Restore {
        /// The entry that kept it.
        seq: u64,
        /// The field, as that entry names it.
        path: String,
    },
    /// A reference is moved to the right record, or taken out.
    Relink {
        /// As it stands, or its place.
        reference: Value,
        /// The right one.
        to: Option<Value>,
    },
    /// The object's `cancel` transition.
    Cancel {
        /// Why, in words, where the caller says.
        reason: Option<Value>,
    },
}

/// A sender's file sent again (`Prefer: merge`): merged with what others changed since this sender sent it last.
#[derive(Clone, Debug)]
pub struct Resend {
    /// Which kind of object.
    pub object: ObjectName,
    /// Its id.
    pub id: ObjectId,
    /// The whole object, as the sender has it.
    pub body: Value,
    /// Idempotency key, where given.
    pub key: Option<Key>,
    /// Who sends.
    pub by: String,
    /// As in [`Accept`].
    pub lenient: bool,
}

/// A change of an existing object.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which kind of object.
    pub object: ObjectName,
    /// Its id.
    pub id: ObjectId,
    /// The version that the caller saw (`If-Match`).
    pub expected: u64,
    /// What changes.
    pub change: Change,
    /// Idempotency key, where given.
    pub key: Option<Key>,
    /// Who asks.
    pub by: String,
    /// As in [`Accept`].
    pub lenient: bool,
}

/// What would be sent (`?preview=true`); nothing is stored.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The object as it would be stored.
    pub body: Value,
    /// One entry a target system.
    pub targets: Vec<PreviewTarget>,
}

/// What one system would get.
#[derive(Clone, Debug)]
pub struct PreviewTarget {
    /// The system.
    pub system: SystemName,
    /// The resources, main one first.
    pub resources: Vec<Value>,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
}

/// What a person decides about a worklist item.
#[derive(Clone, Debug)]
pub enum Action {
    /// Gives it an owner.
    Assign {
        /// The owner.
        to: String,
    },
    /// A remark.
    Comment {
        /// The words.
        text: String,
    },
    /// Sends (or reads) again as things stand.
    Retry,
    /// Closes it without sending.
    Dismiss {
        /// Why.
        reason: String,
        /// What waits for it goes without it (`"dependants": "send-without"`), rather than to a person each.
        send_without: bool,
    },
    /// Decides field by field.
    Resolve {
        /// What was decided and why.
        note: String,
        /// Decision by field path.
        fields: BTreeMap<String, Choice>,
    },
}

/// The decision about one field of a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// Our value goes to the EHR.
    Ours,
    /// The EHR's value is taken over.
    Theirs,
    /// Neither: this value goes to both.
    Value(Value),
}

/// What retrying a group would do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRetry {
    /// Items that are (or would be) sent again, in the order of the objects' versions.
    pub items: Vec<String>,
    /// Items that are left alone because a newer version of the object is there already.
    pub superseded: Vec<String>,
    /// Items that still cannot be sent, with what is wrong.
    pub findings: BTreeMap<String, Vec<Finding>>,
}
