//! The merge by example, and its laws on generated sides.

use proptest::prelude::*;
use serde_json::json;

use super::{
    field::{Sameness, Unit},
    *,
};
use crate::mapping::plan::Forms;

fn owned(owner: Owner) -> FieldRule {
    FieldRule { owner, unit: Unit::Whole, ..FieldRule::default() }
}

fn group(owner: Owner, members: Vec<(&str, FieldRule)>) -> FieldRule {
    let members = members.into_iter().map(|(name, rule)| (name.into(), rule)).collect();
    FieldRule { owner, members, ..FieldRule::default() }
}

/// An object with a field of each kind.
fn rules() -> FieldRule {
    use Owner::{Ehr, Internal, Review};
    let answers = [("booked".to_owned(), vec!["pending".to_owned()])].into();
    let spaced = Forms { white_space: true, case: false };
    let choice = |owner| FieldRule { choice: Some("when".into()), ..owned(owner) };
    let phone = vec![("kind", owned(Internal)), ("value", owned(Internal)), ("use", owned(Internal))];
    let remark = vec![("text", owned(Internal)), ("by", owned(Internal)), ("at", owned(Internal))];
    let who = FieldRule { same: Sameness::Reference, unit: Unit::Apart, ..owned(Review) };
    let person = vec![("who", who.clone()), ("reply", owned(Review)), ("needed", owned(Review))];
    let concept = vec![("text", owned(Internal)), ("codes", owned(Internal))];
    group(
        Internal,
        vec![
            ("note", FieldRule { forms: spaced, ..owned(Internal) }),
            ("status", FieldRule { answers, ..owned(Review) }),
            ("start", FieldRule { same: Sameness::Moment, ..owned(Review) }),
            ("price", owned(Internal)),
            ("seen", owned(Ehr)),
            ("room", group(Internal, vec![("name", owned(Internal)), ("floor", owned(Internal))])),
            ("on", choice(Review)),
            ("between", choice(Review)),
            ("given", FieldRule { ordered: true, ..owned(Review) }),
            ("tags", owned(Internal)),
            ("slots", FieldRule { same: Sameness::Reference, unit: Unit::Apart, ..owned(Ehr) }),
            ("phones", FieldRule { key: vec!["kind".into(), "value".into()], ..group(Internal, phone) }),
            ("people", FieldRule { key: vec!["who".into()], ..group(Review, person) }),
            ("remarks", group(Internal, remark)),
            ("reason", FieldRule { unit: Unit::Whole, ..group(Review, concept.clone()) }),
            ("reasons", FieldRule { unit: Unit::Whole, ..group(Internal, concept) }),
        ],
    )
}

fn three(base: &Value, ours: &Value, theirs: &Value, occasion: Occasion) -> Merged {
    merge(&Sides { base: Some(base), ours, said: ours, theirs }, &Settled::new(), occasion, &rules())
}

fn fetched(base: Value, ours: Value, theirs: Value) -> Merged {
    three(&base, &ours, &theirs, Occasion::Fetched)
}

/// Nothing was changed here since it was sent.
fn answered(sent: Value, theirs: Value) -> Merged {
    three(&sent, &sent, &theirs, Occasion::Answered)
}

fn adopted(ours: Value, theirs: Value) -> Merged {
    let sides = Sides { base: None, ours: &ours, said: &ours, theirs: &theirs };
    merge(&sides, &Settled::new(), Occasion::Fetched, &rules())
}

fn paths(fields: &[Field]) -> Vec<&str> {
    fields.iter().map(|field| field.path.as_str()).collect()
}

#[test]
fn each_side_keeps_what_only_it_changed() {
    let merged = fetched(
        json!({"note": "a", "room": {"name": "1", "floor": 2}, "start": "9"}),
        json!({"note": "b", "room": {"name": "1", "floor": 2}, "start": "9"}),
        json!({"note": "a", "room": {"name": "2", "floor": 2}, "start": "9"}),
    );
    assert_eq!(merged.value, json!({"note": "b", "room": {"name": "2", "floor": 2}, "start": "9"}));
    assert_eq!(merged.value, merged.outgoing);
    assert!(merged.takes_theirs && merged.keeps_ours && merged.conflicts.is_empty());
    assert_eq!(paths(&merged.taken), ["/room/name"]);
}

/// A name here and another one there may be one name, before and after a change; two phones are two.
#[test]
fn without_a_base_two_items_may_be_one() {
    let rules = group(Owner::Internal, vec![("names", owned(Owner::Review)), ("phones", owned(Owner::Internal))]);
    let ours = json!({"names": [{"family": "A"}, {"family": "C"}], "phones": ["1"]});
    let theirs = json!({"names": [{"family": "B"}, {"family": "C"}], "phones": ["2"]});
    let sides = Sides { base: None, ours: &ours, said: &ours, theirs: &theirs };
    let mut merged = merge(&sides, &Settled::new(), Occasion::Fetched, &rules);
    assert_eq!(paths(&merged.conflicts), ["/names"]);
    assert_eq!(merged.value, json!({"names": [{"family": "A"}, {"family": "C"}], "phones": ["1", "2"]}));
    // Left as they are, they are not asked about again, with a base or without one.
    let settled = Settled::from([("/names".to_owned(), merged.conflicts[0].settle(&rules))]);
    for base in [None, Some(&theirs)] {
        let again = merge(&Sides { base, ..sides }, &settled, Occasion::Fetched, &rules);
        assert!(again.conflicts.is_empty() && again.taken.iter().all(|field| field.path != "/names"), "{again:?}");
        assert_eq!(again.outgoing["names"], theirs["names"]);
    }
    assert!(merged.decide(&rules, "/names", Decision::Theirs));
    assert_eq!(merged.value["names"], theirs["names"]);
    // A key that only some items have says nothing of the others; two keys say that they are two.
    let name = group(Owner::Review, vec![("use", owned(Owner::Review)), ("family", owned(Owner::Review))]);
    let keyed = group(Owner::Review, vec![("names", FieldRule { key: vec!["use".into()], ..name })]);
    let asks = |ours: &Value, theirs: &Value| {
        let (ours, theirs) = (json!({"names": [ours]}), json!({"names": [theirs]}));
        let sides = Sides { base: None, ours: &ours, said: &ours, theirs: &theirs };
        !merge(&sides, &Settled::new(), Occasion::Fetched, &keyed).conflicts.is_empty()
    };
    assert!(asks(&json!({"family": "A"}), &json!({"family": "B"})));
    assert!(asks(&json!({"use": "official", "family": "A"}), &json!({"family": "B"})));
    assert!(!asks(&json!({"use": "official", "family": "A"}), &json!({"use": "nickname", "family": "B"})));
    // What only one side has is no question.
    let theirs = json!({"names": [{"family": "C"}]});
    let sides = Sides { theirs: &theirs, ..sides };
    assert!(merge(&sides, &Settled::new(), Occasion::Fetched, &rules).conflicts.is_empty());
}

#[test]
fn owners_decide_where_both_changed() {
    let merged = fetched(
        json!({"seen": "booked", "start": "9", "note": "a"}),
        json!({"seen": "arrived", "start": "10", "note": "b"}),
        json!({"seen": "cancelled", "start": "11", "note": "c"}),
    );
    assert_eq!(merged.value, json!({"seen": "cancelled", "start": "10", "note": "b"}));
    assert_eq!(merged.outgoing, json!({"seen": "cancelled", "start": "11", "note": "b"}), "ours waits for a person");
    assert_eq!(paths(&merged.yielded), ["/seen"]);
    assert_eq!(merged.overruled[0].theirs, Some(json!("c")));
    assert_eq!(
        merged.conflicts[0].to_json(),
        json!({"path": "start", "base": "9", "ours": "10", "theirs": "11", "owner": "review"})
    );
}

#[test]
fn what_is_the_same_in_form_is_no_difference_and_their_form_stays() {
    let ours =
        json!({"id": "a", "note": "a b", "start": "2026-03-01T09:00:00+01:00", "price": 1.5, "tags": ["x", "y"]});
    let theirs: Value = crate::fhir::read_str(
        r#"{"note": " a  b", "start": "2026-03-01T08:00:00Z", "price": 1.50, "tags": ["y", "x"]}"#,
    )
    .unwrap();
    for merged in [fetched(json!({}), ours.clone(), theirs.clone()), answered(ours.clone(), theirs.clone())] {
        assert!(!merged.takes_theirs && !merged.keeps_ours && merged.conflicts.is_empty());
        assert_eq!(merged.value, ours);
        assert_eq!(merged.outgoing["note"], theirs["note"]);
        assert_eq!(merged.outgoing["tags"], theirs["tags"]);
    }
}

#[test]
fn fields_that_the_mapping_does_not_say_stay() {
    let ours = json!({"id": "x", "note": "a", "only_here": 1});
    let (said, theirs) = (json!({"note": "a", "only_here": 1}), json!({"note": "b", "strange": 2}));
    let sides = Sides { base: Some(&json!({"note": "a"})), ours: &ours, said: &said, theirs: &theirs };
    let merged = merge(&sides, &Settled::new(), Occasion::Fetched, &rules());
    assert_eq!(merged.value, json!({"id": "x", "note": "b", "only_here": 1}));
    assert!(!merged.keeps_ours);
    let open = merge(&sides, &Settled::new(), Occasion::Fetched, &rules().open());
    assert_eq!(open.value, json!({"id": "x", "note": "b", "only_here": 1, "strange": 2}), "between two of our own");
}

#[test]
fn removed_on_one_side_and_changed_on_the_other_is_a_question() {
    let base = || json!({"note": "a", "seen": "a", "start": "9"});
    let merged = fetched(base(), json!({}), json!({"note": "b", "seen": "b", "start": "10"}));
    assert_eq!(paths(&merged.conflicts), ["/note", "/start"]);
    assert_eq!(merged.value, json!({"seen": "b"}), "but not where the EHR decides");
    let merged = fetched(base(), json!({"note": "b", "seen": "a", "start": "9"}), json!({"seen": "a", "start": "9"}));
    assert_eq!(paths(&merged.conflicts), ["/note"]);
    let merged = fetched(base(), base(), json!({"seen": "a", "start": "9"}));
    assert_eq!(merged.value, json!({"seen": "a", "start": "9"}), "a removed field is a change");
}

#[test]
fn a_group_whose_members_both_sides_removed_is_gone() {
    let base = json!({"room": {"name": "1", "floor": 2}});
    let merged = fetched(base, json!({"room": {"floor": 2}}), json!({"room": {"name": "1"}}));
    assert_eq!((merged.value, merged.outgoing), (json!({}), json!({})));
}

#[test]
fn forms_of_one_choice_are_decided_together() {
    let base = || json!({"on": "1"});
    let merged = fetched(base(), json!({"on": "2"}), json!({"between": {"from": "1", "to": "3"}}));
    assert_eq!(paths(&merged.conflicts), ["/on", "/between"]);
    assert_eq!((merged.value, &merged.outgoing), (json!({"on": "2"}), &json!({"between": {"from": "1", "to": "3"}})));
    let merged = fetched(base(), base(), json!({"between": {"from": "1"}}));
    assert_eq!(merged.value, json!({"between": {"from": "1"}}));
    let merged = fetched(json!({}), json!({"on": "2"}), json!({"between": {"from": "1"}}));
    assert_eq!(merged.conflicts.len(), 2, "both at once would be no object");
    let mut settled = Settled::new();
    merged.conflicts.iter().for_each(|field| _ = settled.insert(field.path.clone(), field.settle(&rules())));
    let (ours, theirs) = (json!({"on": "2"}), json!({"between": {"from": "1"}}));
    let again = merge(
        &Sides { base: Some(&base()), ours: &ours, said: &ours, theirs: &theirs },
        &settled,
        Occasion::Fetched,
        &rules(),
    );
    assert_eq!(again.settled, ["/on", "/between"]);
    assert!(!again.keeps_ours && !again.takes_theirs && again.conflicts.is_empty());
}

#[test]
fn without_a_base_nothing_is_overwritten_unseen() {
    let merged = adopted(
        json!({"note": "a", "start": "9", "seen": "x", "price": 1, "tags": ["a", "b"]}),
        json!({"note": "b", "start": "10", "seen": "y", "given": ["Ann"], "tags": ["b", "c"]}),
    );
    assert_eq!(paths(&merged.conflicts), ["/note", "/start"]);
    assert_eq!(
        merged.value,
        json!({"note": "a", "start": "9", "seen": "y", "price": 1, "tags": ["a", "b", "c"], "given": ["Ann"]})
    );
    assert_eq!(
        merged.outgoing,
        json!({"note": "b", "start": "10", "seen": "y", "price": 1, "tags": ["b", "c", "a"], "given": ["Ann"]})
    );
}

#[test]
fn what_an_ehr_answers_is_looked_at() {
    let merged = answered(
        json!({"status": "booked", "start": "09:30", "note": "n", "price": 1, "reason": {"text": "flu"}}),
        json!({"status": "pending", "start": "09:45", "price": 1, "seen": "s", "room": {"name": "1"},
            "reason": {"text": "flu", "codes": ["J11"]}}),
    );
    assert_eq!(paths(&merged.conflicts), ["/start"], "changed");
    assert_eq!(paths(&merged.dropped), ["/note"], "dropped");
    let mut taken = paths(&merged.taken);
    taken.sort_unstable();
    assert_eq!(taken, ["/reason", "/room", "/seen", "/status"], "listed, added, the EHR's own");
    assert!(!merged.keeps_ours && merged.takes_theirs);
    assert_eq!(merged.value["note"], "n");
    assert_eq!(merged.value["status"], "pending");
    assert_eq!(merged.outgoing.get("note"), None);
    assert_eq!(merged.outgoing["start"], "09:45");
}

#[test]
fn a_part_that_an_answer_lacks_is_dropped_and_no_question() {
    let sent = json!({"reason": {"text": "flu", "codes": ["J11"]}, "tags": ["a", "b"], "given": ["A"]});
    let merged = answered(sent.clone(), json!({"reason": {"codes": ["J11"]}, "tags": ["a"]}));
    assert_eq!(merged.dropped.len(), 3);
    assert_eq!(merged.value, sent);
    assert!(!merged.keeps_ours && !merged.takes_theirs && merged.conflicts.is_empty());
    assert_eq!(merged.outgoing, json!({"reason": {"codes": ["J11"]}, "tags": ["a"]}));
}

#[test]
fn what_changed_here_since_it_was_sent_goes_there_still() {
    let (sent, ours) = (json!({"status": "booked", "note": "a"}), json!({"status": "cancelled", "note": "b"}));
    let merged = three(&sent, &ours, &json!({"status": "pending", "note": "a"}), Occasion::Answered);
    assert!(merged.keeps_ours && !merged.takes_theirs && merged.conflicts.is_empty());
    assert_eq!(merged.outgoing, ours);
    let merged = three(&sent, &ours, &json!({"status": "booked"}), Occasion::Answered);
    assert_eq!(merged.outgoing, ours, "what was dropped has a new value");
    let merged = three(&sent, &ours, &json!({"status": "booked", "note": "c"}), Occasion::Answered);
    assert_eq!(paths(&merged.conflicts), ["/note"]);
}

#[test]
fn lists_keep_what_both_have_added_each_in_its_order() {
    let phone = |value: &str| json!({"kind": "phone", "value": value});
    let base = json!({"phones": [phone("1"), phone("2")]});
    let ours = json!({"phones": [phone("1"), phone("2"), phone("3")]});
    let theirs = json!({"phones": [phone("4"), phone("2"), phone("1")]});
    let merged = fetched(base, ours, theirs);
    assert_eq!(merged.value["phones"], json!([phone("1"), phone("2"), phone("3"), phone("4")]));
    assert_eq!(merged.outgoing["phones"], json!([phone("4"), phone("2"), phone("1"), phone("3")]));
    assert!(merged.takes_theirs && merged.keeps_ours && merged.conflicts.is_empty() && merged.overruled.is_empty());
}

#[test]
fn items_with_a_key_merge_by_their_fields() {
    let person = |who: &str, reply: &str, needed: &str| json!({"who": {"object": "p", "id": who}, "reply": reply, "needed": needed});
    let base = json!({"people": [person("a", "open", "yes"), person("b", "open", "yes")]});
    let ours = json!({"people": [person("a", "open", "no"), person("b", "yes", "yes")]});
    let theirs = json!({"people": [person("b", "no", "yes"), person("a", "yes", "yes")]});
    let mut merged = fetched(base, ours, theirs);
    assert_eq!(merged.value["people"], json!([person("a", "yes", "no"), person("b", "yes", "yes")]));
    assert_eq!(merged.outgoing["people"], json!([person("b", "no", "yes"), person("a", "yes", "no")]));
    let path = merged.conflicts[0].path.clone();
    assert!(path.starts_with("/people/#") && path.ends_with("/reply"), "{path}");
    assert!(!merged.decide(&rules(), "/note", Decision::Ours));
    let mut other = merged.clone();
    assert!(other.decide(&rules(), &path, Decision::Theirs));
    assert_eq!(other.value["people"][1]["reply"], "no");
    assert!(merged.decide(&rules(), &path, Decision::Value(Some(json!("perhaps")))));
    assert_eq!(
        (&merged.value["people"][1]["reply"], &merged.outgoing["people"][0]["reply"]),
        (&json!("perhaps"), &json!("perhaps"))
    );
    assert!(merged.conflicts.is_empty());
}

#[test]
fn an_item_removed_here_and_changed_there_is_a_question_and_can_be_decided_either_way() {
    let phone = |value: &str, place: &str| json!({"kind": "phone", "value": value, "use": place});
    let base = json!({"phones": [phone("1", "home"), phone("2", "home")]});
    let (ours, theirs) =
        (json!({"phones": [phone("2", "home")]}), json!({"phones": [phone("1", "work"), phone("2", "home")]}));
    let merged = fetched(base.clone(), ours.clone(), theirs.clone());
    assert_eq!(merged.conflicts.len(), 1);
    assert_eq!((&merged.conflicts[0].ours, &merged.conflicts[0].theirs), (&None, &Some(phone("1", "work"))));
    assert_eq!((&merged.value, &merged.outgoing), (&ours, &theirs));
    let path = merged.conflicts[0].path.clone();
    let mut gone = merged.clone();
    gone.decide(&rules(), &path, Decision::Ours);
    assert_eq!((&gone.outgoing, gone.keeps_ours), (&ours, true));
    let mut back = merged;
    back.decide(&rules(), &path, Decision::Theirs);
    assert_eq!(back.value["phones"], json!([phone("2", "home"), phone("1", "work")]));
    assert!(!back.keeps_ours);
    let both = fetched(base.clone(), ours.clone(), base);
    assert_eq!(both.outgoing, ours, "removed here, unchanged there");
}

#[test]
fn items_without_a_key_are_found_again_by_what_they_say() {
    let remark = |text: &str, by: &str| json!({"text": text, "by": by, "at": "2026-01-01"});
    let base = json!({"remarks": [remark("a", "x"), remark("b", "y")]});
    let changed_there = json!({"remarks": [remark("A", "x"), remark("b", "y")]});
    let merged = fetched(base.clone(), json!({"remarks": [remark("b", "y")]}), changed_there.clone());
    assert_eq!(merged.conflicts.len(), 1, "changed there and removed here");
    let merged = fetched(base.clone(), json!({"remarks": [remark("a", "z"), remark("b", "y")]}), changed_there.clone());
    assert_eq!(merged.value["remarks"], json!([remark("A", "z"), remark("b", "y")]), "each in another member");
    let mut merged = fetched(base, json!({"remarks": [remark("ä", "x"), remark("b", "y")]}), changed_there);
    assert_eq!(merged.overruled.len(), 1);
    assert_eq!(merged.overruled[0].theirs, Some(remark("A", "x")), "the item as one value");
    rules().set(&mut merged.value, &merged.overruled[0].path, merged.overruled[0].theirs.clone());
    assert_eq!(merged.value["remarks"][0]["text"], "A", "and it can be brought back");
}

#[test]
fn ordered_lists_are_one_value() {
    let merged = fetched(json!({"given": ["a"]}), json!({"given": ["a", "b"]}), json!({"given": ["c", "a"]}));
    assert_eq!(paths(&merged.conflicts), ["/given"]);
    let merged = fetched(json!({"given": ["a", "b"]}), json!({"given": ["b", "a"]}), json!({"given": ["a", "b"]}));
    assert!(merged.keeps_ours, "their order is a change");
}

#[test]
fn a_settled_pair_is_no_question_until_a_side_changes() {
    let rules = rules();
    let (ours, theirs) = (json!({"start": "9", "note": "a"}), json!({"start": "10", "note": "a"}));
    let settled =
        Settled::from([("/start".to_owned(), settle(&rules, "/start", ours.get("start"), theirs.get("start")))]);
    let run = |base: &Value, ours: &Value, theirs: &Value, occasion| {
        merge(&Sides { base: Some(base), ours, said: ours, theirs }, &settled, occasion, &rules)
    };
    for base in [&ours, &theirs, &json!({})] {
        for occasion in [Occasion::Fetched, Occasion::Answered] {
            let merged = run(base, &ours, &theirs, occasion);
            assert_eq!(merged.settled, ["/start"]);
            assert!(merged.conflicts.is_empty() && !merged.takes_theirs);
            assert_eq!((&merged.value["start"], &merged.outgoing["start"]), (&json!("9"), &json!("10")));
        }
    }
    let merged = run(&theirs, &json!({"start": "9", "note": "b"}), &theirs, Occasion::Fetched);
    assert_eq!(merged.outgoing, json!({"start": "10", "note": "b"}), "an unrelated change does not carry it over");
    let merged = run(&theirs, &ours, &json!({"start": "11", "note": "a"}), Occasion::Fetched);
    assert_eq!(merged.value["start"], "11");
    let merged = run(&theirs, &json!({"start": "8", "note": "a"}), &theirs, Occasion::Fetched);
    assert_eq!((merged.keeps_ours, &merged.outgoing["start"]), (true, &json!("8")));
}

#[test]
fn settled_items_stay_as_they_are_on_each_side() {
    let rules = rules();
    let sent = json!({"tags": ["a", "b"]});
    let first = answered(sent.clone(), json!({"tags": ["a"]}));
    let settled: Settled = first.dropped.iter().map(|field| (field.path.clone(), field.settle(&rules))).collect();
    let (ours, theirs) = (json!({"tags": ["a", "b", "c"]}), json!({"tags": ["a", "d"]}));
    let sides = Sides { base: Some(&json!({"tags": ["a"]})), ours: &ours, said: &ours, theirs: &theirs };
    let merged = merge(&sides, &settled, Occasion::Fetched, &rules);
    assert_eq!(merged.value["tags"], json!(["a", "b", "c", "d"]));
    assert_eq!(merged.outgoing["tags"], json!(["a", "d", "c"]), "b was dropped there and is not sent again");
    let whole = answered(sent.clone(), json!({}));
    assert_eq!(paths(&whole.dropped), ["/tags"], "one field, not an item each");
    let settled: Settled = whole.dropped.iter().map(|field| (field.path.clone(), field.settle(&rules))).collect();
    let sides = Sides { base: Some(&json!({})), ours: &sent, said: &sent, theirs: &json!({"tags": ["z"]}) };
    let merged = merge(&sides, &settled, Occasion::Fetched, &rules);
    assert_eq!((&merged.value["tags"], &merged.outgoing["tags"]), (&json!(["a", "b", "z"]), &json!(["z"])));
}

#[test]
fn what_a_settled_item_was_before_is_no_other_items_past() {
    let rules = rules();
    let remark = |text: &str, by: &str| json!({"text": text, "by": by, "at": "1"});
    let base = json!({"remarks": [remark("a", "x")]});
    let ours = json!({"remarks": [remark("b", "x"), remark("a", "y"), remark("c", "x")]});
    let theirs = json!({"remarks": [remark("d", "x"), remark("a", "z")]});
    let once = fetched(base.clone(), ours.clone(), theirs.clone());
    let in_question = once.conflicts.iter().chain(&once.overruled);
    let settled: Settled = in_question.map(|field| (field.path.clone(), field.settle(&rules))).collect();
    assert_eq!(settled.len(), 1);
    let again = merge(
        &Sides { base: Some(&base), ours: &ours, said: &ours, theirs: &theirs },
        &settled,
        Occasion::Fetched,
        &rules,
    );
    assert_eq!((again.settled.len(), again.conflicts.len(), again.overruled.len()), (1, 0, 0));
}

#[test]
fn merge_patch_follows_its_rfc() {
    let mut target = json!({"a": "b", "c": {"d": "e", "f": "g"}});
    merge_patch(&mut target, &json!({"a": "z", "c": {"f": null}, "n": {"m": 1}}));
    assert_eq!(target, json!({"a": "z", "c": {"d": "e"}, "n": {"m": 1}}));
}

/// Values from so few that sides often meet.
fn any_object() -> impl Strategy<Value = Value> {
    let word = || prop_oneof![Just("a"), Just("b"), Just("a "), Just("c")].prop_map(|word| json!(word));
    let person = (word(), word()).prop_map(|(who, reply)| json!({"who": {"object": "p", "id": who}, "reply": reply}));
    let phone = (word(), word()).prop_map(|(value, place)| json!({"kind": "phone", "value": value, "use": place}));
    let remark = (word(), word(), word()).prop_map(|(text, by, at)| json!({"text": text, "by": by, "at": at}));
    let concept = prop_oneof![
        word().prop_map(|text| json!({"text": text})),
        (word(), word()).prop_map(|(text, code)| json!({"text": text, "codes": [code]})),
    ];
    let set = |item: BoxedStrategy<Value>| proptest::collection::vec(item, 0..4).prop_map(|items| json!(items)).boxed();
    let room = (word(), word()).prop_map(|(name, floor)| json!({"name": name, "floor": floor}));
    let fields: Vec<(&str, BoxedStrategy<Value>)> = vec![
        ("note", word().boxed()),
        ("status", prop_oneof![Just(json!("booked")), Just(json!("pending")), Just(json!("over"))].boxed()),
        ("seen", word().boxed()),
        ("room", room.boxed()),
        ("on", word().boxed()),
        ("between", word().prop_map(|from| json!({"from": from})).boxed()),
        ("given", set(word().boxed())),
        ("tags", set(word().boxed())),
        ("slots", set(word().prop_map(|id| json!({"object": "slot", "id": id})).boxed())),
        ("phones", set(phone.boxed())),
        ("people", set(person.boxed())),
        ("remarks", set(remark.boxed())),
        ("reason", concept.clone().boxed()),
        ("reasons", set(concept.boxed())),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| proptest::option::weighted(0.4, value).prop_map(move |value| (name.to_owned(), value)))
        .collect();
    fields.prop_map(|fields| {
        let mut members: serde_json::Map<String, Value> =
            fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        // No object says two forms of a choice.
        if members.contains_key("on") {
            members.shift_remove("between");
        }
        Value::Object(members)
    })
}

fn occasions() -> impl Strategy<Value = Occasion> {
    prop_oneof![Just(Occasion::Fetched), Just(Occasion::Answered)]
}

/// Every value and list item of an object, in form, with the field it stands in.
fn facts(value: &Value, rules: &FieldRule) -> Vec<(String, Value)> {
    let mut facts = Vec::new();
    for (name, rule) in rules.members() {
        match value.get(name) {
            Some(Value::Array(items)) if !rule.is_ordered() => {
                facts.extend(items.iter().map(|item| (name.to_owned(), rule.in_form(item))));
            }
            Some(value) => facts.push((name.to_owned(), rule.in_form(value))),
            None => {}
        }
    }
    facts.retain(|(_, value)| !value.is_null());
    facts
}

/// Whether one says all that the other does.
fn covers(all: &Value, part: &Value) -> bool {
    match (all, part) {
        (Value::Object(all), Value::Object(part)) => {
            part.iter().all(|(name, value)| all.get(name).is_some_and(|own| covers(own, value)))
        }
        _ => all == part,
    }
}

fn told(merged: &Merged) -> impl Iterator<Item = &Field> {
    let Merged { conflicts, overruled, yielded, taken, dropped, .. } = merged;
    conflicts.iter().chain(overruled).chain(yielded).chain(taken).chain(dropped)
}

/// Whether the outcome told somebody of a value: as it is, or by its parts.
fn was_told(merged: &Merged, name: &str, value: &Value, rules: &FieldRule, of: fn(&Field) -> &Option<Value>) -> bool {
    let rule = rules.at(&format!("/{name}"));
    told(merged).filter(|field| field.path.split('/').nth(1) == Some(name)).any(|field| {
        let Some(said) = of(field) else { return false };
        let inner = rules.at(&field.path).in_form(said);
        let whole = rule.in_form(said);
        let last = field.path.rsplit('/').next().unwrap_or_default();
        whole == *value
            || value.get(last) == Some(&inner)
            || whole.as_array().is_some_and(|items| items.contains(value))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn equal_sides_never_differ(base in proptest::option::of(any_object()), both in any_object(), occasion in occasions()) {
        let sides = Sides { base: base.as_ref(), ours: &both, said: &both, theirs: &both };
        let merged = merge(&sides, &Settled::new(), occasion, &rules());
        prop_assert!(!merged.takes_theirs && !merged.keeps_ours && told(&merged).next().is_none());
        prop_assert_eq!(&merged.value, &both);
        prop_assert_eq!(&merged.outgoing, &both);
    }

    #[test]
    fn one_sided_changes_win_whole(base in any_object(), other in any_object()) {
        let rules = rules();
        let keep = three(&base, &other, &base, Occasion::Fetched);
        prop_assert!(told(&keep).next().is_none() && !keep.takes_theirs);
        prop_assert_eq!(&keep.value, &other);
        prop_assert_eq!(rules.in_form(&keep.outgoing), rules.in_form(&other));
        let take = three(&base, &base, &other, Occasion::Fetched);
        prop_assert!(take.conflicts.is_empty() && take.overruled.is_empty() && !take.keeps_ours);
        prop_assert_eq!(rules.in_form(&take.value), rules.in_form(&other));
        prop_assert_eq!(&take.outgoing, &other);
    }

    #[test]
    fn merging_again_changes_nothing(base in proptest::option::of(any_object()), ours in any_object(), theirs in any_object()) {
        let rules = rules();
        let sides = Sides { base: base.as_ref(), ours: &ours, said: &ours, theirs: &theirs };
        let once = merge(&sides, &Settled::new(), Occasion::Fetched, &rules);
        let (value, outgoing) = (&once.value, &once.outgoing);
        let run = |base: &Value, theirs: &Value| {
            merge(&Sides { base: Some(base), ours: value, said: value, theirs }, &Settled::new(), Occasion::Fetched, &rules)
        };
        // What was merged is the next base.
        let twice = run(&theirs, &theirs);
        prop_assert!(!twice.takes_theirs && told(&twice).next().is_none(), "{:?}", twice);
        prop_assert_eq!(&twice.value, value);
        // And once it is there, both sides agree.
        if once.conflicts.is_empty() {
            prop_assert_eq!(rules.in_form(value), rules.in_form(outgoing));
            prop_assert_eq!(rules.in_form(&twice.outgoing), rules.in_form(outgoing));
            let after = run(outgoing, outgoing);
            prop_assert!(!after.takes_theirs && !after.keeps_ours);
        }
    }

    #[test]
    fn a_question_stays_the_same_question(mut base in any_object(), mut ours in any_object(), mut theirs in any_object()) {
        let rules = rules();
        // What an item without key was before is found by likeness, which what was taken over may change.
        for side in [&mut base, &mut ours, &mut theirs] {
            ["remarks", "reasons"].iter().for_each(|name| _ = side.as_object_mut().unwrap().shift_remove(*name));
            // The same holds for several items with one key.
            for (list, key) in [("phones", "/value"), ("people", "/who/id")] {
                let mut seen = Vec::new();
                if let Some(items) = side.get_mut(list).and_then(Value::as_array_mut) {
                    items.retain(|item| {
                        let key = item.pointer(key).cloned();
                        let first = !seen.contains(&key);
                        seen.push(key);
                        first
                    });
                }
            }
        }
        let once = three(&base, &ours, &theirs, Occasion::Fetched);
        let twice = three(&base, &once.value, &theirs, Occasion::Fetched);
        prop_assert!(!twice.takes_theirs, "{:?}", twice);
        prop_assert_eq!(&twice.value, &once.value);
        prop_assert_eq!(rules.in_form(&twice.outgoing), rules.in_form(&once.outgoing));
        let sorted = |fields: &[Field]| {
            let mut fields = fields.to_vec();
            fields.sort_by(|a, b| a.path.cmp(&b.path));
            fields
        };
        prop_assert_eq!(sorted(&twice.conflicts), sorted(&once.conflicts));
    }

    #[test]
    fn settled_pairs_never_return(
        base in proptest::option::of(any_object()), ours in any_object(), theirs in any_object(),
        occasion in occasions(), later in occasions(), anew in any::<bool>(),
    ) {
        let rules = rules();
        let sides = Sides { base: base.as_ref(), ours: &ours, said: &ours, theirs: &theirs };
        let once = merge(&sides, &Settled::new(), occasion, &rules);
        let open: Vec<&Field> = once.conflicts.iter().chain(&once.dropped).collect();
        let settled: Settled = open.iter().map(|field| (field.path.clone(), field.settle(&rules))).collect();
        // Afterwards they hold what was sent beside it, and the base is that or what it was.
        let (value, outgoing) = (&once.value, &once.outgoing);
        let sides = Sides { base: if anew { Some(outgoing) } else { base.as_ref() }, ours: value, said: value, theirs: outgoing };
        let again = merge(&sides, &settled, later, &rules);
        prop_assert!(told(&again).next().is_none() && !again.takes_theirs && !again.keeps_ours, "{settled:?}\n{again:?}");
        prop_assert_eq!(&again.value, value);
        prop_assert_eq!(&again.outgoing, outgoing);
    }

    #[test]
    fn nothing_goes_without_a_trace(base in any_object(), ours in any_object(), theirs in any_object(), occasion in occasions()) {
        let rules = rules();
        let merged = three(&base, &ours, &theirs, occasion);
        let (value, before) = (facts(&merged.value, &rules), facts(&base, &rules));
        let outgoing = facts(&merged.outgoing, &rules);
        let in_any = |all: &[(String, Value)], name: &str, fact: &Value| all.iter().any(|(own, value)| own == name && covers(value, fact));
        for (name, fact) in facts(&theirs, &rules) {
            // Ours to remove, or to change, where they had left it.
            let unchanged = before.contains(&(name.clone(), fact.clone()));
            prop_assert!(
                unchanged || in_any(&value, &name, &fact) || was_told(&merged, &name, &fact, &rules, |field| &field.theirs)
                    || members_are_there(&rules, &merged.value, &name, &fact),
                "theirs: {name} {fact}\n{merged:?}"
            );
        }
        for (name, fact) in facts(&ours, &rules) {
            let unchanged = before.contains(&(name.clone(), fact.clone()));
            prop_assert!(
                unchanged || in_any(&value, &name, &fact) || in_any(&outgoing, &name, &fact)
                    || was_told(&merged, &name, &fact, &rules, |field| &field.ours)
                    || members_are_there(&rules, &merged.value, &name, &fact),
                "ours: {name} {fact}\n{merged:?}"
            );
        }
    }

    #[test]
    fn every_conflict_is_decidable(base in proptest::option::of(any_object()), ours in any_object(), theirs in any_object(), way in 0..2) {
        let rules = rules();
        let sides = Sides { base: base.as_ref(), ours: &ours, said: &ours, theirs: &theirs };
        let mut merged = merge(&sides, &Settled::new(), Occasion::Fetched, &rules);
        let fields = merged.conflicts.clone();
        let mut paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
        for field in &fields {
            let decision = if way == 0 { Decision::Ours } else { Decision::Theirs };
            prop_assert!(merged.decide(&rules, &field.path, decision));
        }
        prop_assert!(merged.conflicts.is_empty());
        prop_assert_eq!(rules.in_form(&merged.value), rules.in_form(&merged.outgoing), "{:?}", fields);
        paths.sort_unstable();
        let all = paths.len();
        paths.dedup();
        prop_assert_eq!(paths.len(), all, "two fields by one name");
    }
}

/// Whether an item or group is there in parts: it was merged by its members.
fn members_are_there(rules: &FieldRule, merged: &Value, name: &str, fact: &Value) -> bool {
    let rule = rules.at(&format!("/{name}"));
    let Value::Object(members) = fact else { return false };
    if !rule.is_walked() {
        return false;
    }
    let form = rule.in_form(merged.get(name).unwrap_or(&Value::Null));
    let candidates: Vec<&Value> = form.as_array().map_or_else(|| vec![&form], |items| items.iter().collect());
    candidates
        .iter()
        .any(|own| members.iter().filter(|(name, value)| own.get(*name) == Some(value)).count() * 2 >= members.len())
}
