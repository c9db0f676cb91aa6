//! Small random damage to a resource, for tests that nothing panics or hangs whatever comes in.

use fastrand::Rng;
use serde_json::{Value, json};

/// Changes one random place of `value`.
pub fn mutate(value: &mut Value, random: &mut Rng, seeds: &[Value]) {
    let mut place = value;
    for _ in 0..random.usize(..8) {
        let step = match &*place {
            Value::Object(members) if !members.is_empty() => random.usize(..members.len()),
            Value::Array(items) if !items.is_empty() => random.usize(..items.len()),
            _ => break,
        };
        place = match place {
            Value::Object(members) => members.values_mut().nth(step).expect("in range"),
            Value::Array(items) => &mut items[step],
            _ => break,
        };
    }
    match random.u8(..12) {
        0 => *place = json!(null),
        1 => *place = json!([]),
        2 => *place = json!({}),
        3 => *place = json!("#"),
        4 => *place = json!(-1),
        5 => *place = json!("\u{0}é<b>𝄞</b>2024-13-99T"),
        6 => {
            *place =
                json!({"reference": "#", "extension": [{"url": "x", "valueReference": {"reference": "Patient/1"}}]})
        }
        7 => *place = Value::Array(vec![place.clone(); 3]),
        8 => *place = seeds[random.usize(..seeds.len())].clone(),
        9 => {
            if let Value::Object(members) = place
                && let Some(key) = members.keys().nth(random.usize(..members.len().max(1))).cloned()
            {
                let old = members.shift_remove(&key).unwrap_or_default();
                members.insert(format!("_{key}"), old);
            }
        }
        10 => {
            if let Value::Object(members) = place
                && let Some(key) = members.keys().nth(random.usize(..members.len().max(1))).cloned()
            {
                members.shift_remove(&key);
            }
        }
        _ => {
            if let Value::String(text) = place {
                let cut = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                text.truncate(cut);
            }
        }
    }
}
