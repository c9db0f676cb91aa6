//! What an EHR can do to us, drawn by seed. Each quirk has a counter, so that a run over many seeds shows that every one of them
//! struck (`FAULTS` parts 1 and 2, `PROMISES` "The faulty EHR").

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines the kinds with their traits once.
macro_rules! quirks {
    ($($name:ident $class:ident $weight:literal $what:literal;)*) => {
        /// A kind of quirk.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $what] $name,)* }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            pub const fn class(self) -> Class { match self { $(Self::$name => Class::$class,)* } }
            /// How often one of this kind strikes where it is drawn, in percent of the requests it concerns.
            pub const fn weight(self) -> u32 { match self { $(Self::$name => $weight,)* } }
            pub const fn what(self) -> &'static str { match self { $(Self::$name => $what,)* } }
        }
    };
}

/// How long a quirk lasts, and who is to blame for what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A fault: for a while, and healed at the end.
    Fault,
    /// The EHR's way: all the time; everything must still arrive, or be with a person.
    Way,
    /// Trouble that never heals: must end with a person.
    Trouble,
    /// What its staff do or its data are.
    Data,
}

quirks! {
    LostReply Fault 25 "commits, and the reply is lost";
    DroppedRequest Fault 20 "the request is lost on the way";
    NoConnection Fault 25 "no connection can be made";
    Slow Fault 40 "an answer takes seconds";
    TooSlow Fault 20 "an answer takes longer than we wait; the request arrives late";
    Busy Fault 30 "429 with Retry-After";
    BusyBare Fault 30 "429 without Retry-After";
    Unavailable Fault 30 "503 with Retry-After, nothing done";
    UnavailableBare Fault 30 "503 without Retry-After, nothing done";
    Broken Fault 25 "500, nothing done";
    BadGateway Fault 25 "502, nothing done";
    TimedOut Fault 20 "408, nothing done";
    BrokenAfter Fault 25 "500 after the commit";
    StaleSearch Fault 100 "searches lag behind";
    WrongBody Fault 15 "200 with another resource";
    Truncated Fault 15 "200 with half a body";
    Html Fault 15 "200 with a page for people";
    Expired Fault 100 "401 for a while";
    NoMetadata Fault 100 "404 on /metadata for a while";
    PageFails Fault 100 "a further page of a list fails";
    OutcomeInList Fault 60 "a list holds an outcome with an error";
    Locked Fault 100 "423 on one record, with or without Retry-After";
    Down Fault 100 "out of reach for a while";
    Doubles Fault 10 "makes a second record by itself";
    IgnoresIfNoneExist Way 100 "ignores If-None-Exist";
    IgnoresIfMatch Way 100 "ignores If-Match";
    IgnoresIdentifier Way 100 "ignores identifier in searches";
    NoOr Way 100 "refuses several values in one search parameter";
    NoHistory Way 100 "keeps no history";
    NoLastUpdated Way 100 "cannot search by _lastUpdated";
    Year2099 Way 100 "one record says lastUpdated 2099";
    NoOffset Way 100 "lastUpdated without an offset";
    StaleUpdated Way 100 "lastUpdated stays as it was when a record changes";
    StrongEtag Way 100 "strong ETags, compared as text";
    BareEtag Way 100 "ETags without quotes, compared as text";
    OpaqueEtag Way 100 "ETags that are no version id";
    ForeignNext Way 100 "next links name another host";
    ShortTokens Way 100 "tokens live for seconds, and some die before their time";
    SmallPages Way 100 "two entries a page, whatever is asked for";
    EmptyStatement Way 100 "a statement without resources";
    UnreadableForEver Trouble 100 "reading one record is refused for ever";
    ListForbidden Trouble 100 "listing one type of resource is refused for ever";
    SearchForbidden Trouble 100 "searching by identifier is refused for ever";
    Unauthorised Trouble 100 "401 for ever";
    ForbiddenRecord Trouble 100 "403 on one record, whatever is asked";
    RefusesObject Trouble 100 "422 for one object";
    RefusesType Trouble 100 "422 for one kind of resource";
    DownForEver Trouble 100 "out of reach for ever";
    OwnRecords Data 100 "staff create records of their own";
    OwnIdentified Data 100 "staff create a record with an identifier that we know too";
    NoId Data 100 "a list holds a record without an id";
    ChangingBytes Data 100 "a list holds a broken record whose bytes change each time";
    Deletes Data 100 "staff delete a record";
    Foreign Data 100 "a visit names a patient under the own base in full, or one of the same id under another base";
    Moves Way 40 "takes a write and makes something else of it";
    BothAdd Data 100 "both sides add to one list at the same time";
    MergedAway Data 100 "staff merge a patient into another one";
}

/// What the gateway does not heed yet (issue 10): drawn only where it is named in `SIM_QUIRKS`.
pub const NOT_YET: [Kind; 0] = [];

/// One quirk of one EHR in a plan.
#[derive(Clone, Debug)]
pub struct Quirk {
    pub kind: Kind,
    pub ehr: usize,
    /// Strikes in so many of a hundred cases.
    pub percent: u32,
    /// From when to when, in seconds of the world.
    pub from_s: u64,
    pub until_s: u64,
    /// What varies within the kind.
    pub vary: u64,
}

impl std::fmt::Display for Quirk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EHR {}: {} ({:?}, {} %", self.ehr, self.kind.what(), self.kind, self.percent)?;
        if self.kind.class() == Class::Fault {
            write!(f, ", {} to {} s", self.from_s, self.until_s)?;
        }
        write!(f, ", {})", self.vary)
    }
}

/// How often each kind struck in this process.
static STRUCK: [AtomicU64; Kind::ALL.len()] = [const { AtomicU64::new(0) }; Kind::ALL.len()];

pub fn count(kind: Kind) {
    STRUCK[kind as usize].fetch_add(1, Ordering::Relaxed);
}

pub fn counts() -> Vec<(Kind, u64)> {
    Kind::ALL.iter().map(|kind| (*kind, STRUCK[*kind as usize].load(Ordering::Relaxed))).collect()
}
