//! What becomes of one value that is not the same on both sides: a table over who changed it, how their side came to be
//! known, and who owns the field (DESIGN, "What an EHR answers is looked at").

use crate::mapping::Owner;

/// How their side came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// By reading; the base is what both sides were when they agreed last.
    Fetched,
    /// As the answer to a write; the base is what was sent, read back through the mapping.
    Answered,
}

/// One value that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) occasion: Occasion,
    pub(super) owner: Owner,
    /// Whether there is a base at all.
    pub(super) based: bool,
    /// We changed it since the base, or since it was settled.
    pub(super) we: bool,
    /// They did.
    pub(super) they: bool,
    /// It was settled before, and at least one side has moved on.
    pub(super) was_settled: bool,
    /// We have a value.
    pub(super) ours: bool,
    /// They have one.
    pub(super) theirs: bool,
    /// The base lacks it, or theirs says all that the base does.
    pub(super) added: bool,
    /// Theirs says only a part of what the base does.
    pub(super) shrunk: bool,
    /// The mapping lists theirs as an answer to what was sent.
    pub(super) listed: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ours is to be written there.
    Ours,
    /// Theirs is taken over here.
    Theirs,
    /// Both changed it and the EHR owns it: theirs is taken over.
    Yielded,
    /// Both changed it and we own it: ours is written, theirs is kept for the record.
    Overruled,
    /// A person decides.
    Asked,
    /// It was sent, and they show nothing, or not all of it.
    Dropped,
    /// That it differs is settled.
    Settled,
}

/// The table.
pub(super) fn verdict(change: Change) -> Verdict {
    match (change.we, change.they) {
        (false, false) => Verdict::Settled,
        (true, false) => Verdict::Ours,
        (false, true) => alone(change),
        (true, true) => both(change),
    }
}

/// Only they changed it.
fn alone(change: Change) -> Verdict {
    let fetched = change.occasion == Occasion::Fetched || !change.based;
    if fetched || (change.was_settled && change.theirs) {
        return Verdict::Theirs;
    }
    // An EHR that shows less than it was sent may not know the field; that is no decision of anybody.
    if !change.theirs || change.shrunk {
        return Verdict::Dropped;
    }
    if change.added || change.listed || change.owner == Owner::Ehr { Verdict::Theirs } else { Verdict::Asked }
}

fn both(change: Change) -> Verdict {
    let answered = change.occasion == Occasion::Answered && change.based;
    // Our newer value is still to be sent, and what they made of the older one is expected.
    if answered && !change.theirs {
        return Verdict::Ours;
    }
    if answered && change.listed {
        return Verdict::Overruled;
    }
    if change.owner == Owner::Ehr {
        return Verdict::Yielded;
    }
    // Without a base nobody knows who changed it: nothing may be overwritten unseen. One that was removed on one side and
    // changed on the other is a question for the same reason.
    let doubtful = !change.based || change.ours != change.theirs || (answered && !change.added);
    match change.owner {
        Owner::Internal if !doubtful => Verdict::Overruled,
        _ => Verdict::Asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(occasion: Occasion, owner: Owner, we: bool, they: bool) -> Change {
        let (added, shrunk, listed, was_settled) = (false, false, false, false);
        Change { occasion, owner, based: true, we, they, was_settled, ours: true, theirs: true, added, shrunk, listed }
    }

    #[test]
    fn what_was_fetched() {
        use Occasion::Fetched;
        use Owner::{Ehr, Internal, Review};
        for owner in [Internal, Ehr, Review] {
            assert_eq!(verdict(change(Fetched, owner, true, false)), Verdict::Ours);
            assert_eq!(verdict(change(Fetched, owner, false, true)), Verdict::Theirs);
            assert_eq!(verdict(change(Fetched, owner, false, false)), Verdict::Settled);
        }
        assert_eq!(verdict(change(Fetched, Internal, true, true)), Verdict::Overruled);
        assert_eq!(verdict(change(Fetched, Ehr, true, true)), Verdict::Yielded);
        assert_eq!(verdict(change(Fetched, Review, true, true)), Verdict::Asked);
        for (owner, wanted) in [(Internal, Verdict::Asked), (Review, Verdict::Asked), (Ehr, Verdict::Yielded)] {
            let both = change(Fetched, owner, true, true);
            assert_eq!(verdict(Change { based: false, ..both }), wanted, "without a base");
            assert_eq!(verdict(Change { ours: false, ..both }), wanted, "removed here, changed there");
            assert_eq!(verdict(Change { theirs: false, ..both }), wanted, "changed here, removed there");
        }
    }

    #[test]
    fn what_was_answered() {
        use Occasion::Answered;
        use Owner::{Ehr, Internal, Review};
        for owner in [Internal, Review] {
            let changed = change(Answered, owner, false, true);
            assert_eq!(verdict(changed), Verdict::Asked);
            assert_eq!(verdict(Change { added: true, ..changed }), Verdict::Theirs);
            assert_eq!(verdict(Change { listed: true, ..changed }), Verdict::Theirs);
            assert_eq!(verdict(Change { theirs: false, ..changed }), Verdict::Dropped);
            assert_eq!(verdict(Change { shrunk: true, ..changed }), Verdict::Dropped);
            assert_eq!(verdict(Change { was_settled: true, ..changed }), Verdict::Theirs, "an ordinary change");
            let both = change(Answered, owner, true, true);
            assert_eq!(verdict(both), Verdict::Asked);
            assert_eq!(verdict(Change { listed: true, ..both }), Verdict::Overruled);
            assert_eq!(verdict(Change { theirs: false, ..both }), Verdict::Ours);
        }
        assert_eq!(verdict(change(Answered, Ehr, false, true)), Verdict::Theirs);
        assert_eq!(verdict(Change { theirs: false, ..change(Answered, Ehr, false, true) }), Verdict::Dropped);
        assert_eq!(verdict(Change { added: true, ..change(Answered, Internal, true, true) }), Verdict::Overruled);
    }
}
