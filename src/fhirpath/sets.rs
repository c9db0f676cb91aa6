//! Telling many items apart in linear time: `distinct`, and which of some items are among others. By a hash that equal
//! items share, then by `=`.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    error::Error,
    eval::Run,
    item::{Collection, Item, decimal},
};

/// Bounds for looking for pairs one by one.
const FEW: usize = 8;

impl<'a> Run<'_, 'a> {
    /// A hash that equal items share.
    fn hash(&self, item: &Item<'a>) -> Result<u64, Error> {
        let mut hasher = DefaultHasher::new();
        match item.atom() {
            Item::String(text) => text.hash(&mut hasher),
            Item::Boolean(value) => value.hash(&mut hasher),
            Item::Integer(value) => Decimal::from(value).hash(&mut hasher),
            Item::Decimal(value) => value.normalize().hash(&mut hasher),
            // A node of complex type may equal another by quantity, else by content
            Item::Node(node) => {
                if item.quantity().is_none()
                    && let Some(value) = node.value
                {
                    return self.deep_hash(value);
                }
            }
            _ => {}
        }
        Ok(hasher.finish())
    }

    fn deep_hash(&self, value: &Value) -> Result<u64, Error> {
        self.step()?;
        let mut hasher = DefaultHasher::new();
        match value {
            Value::Number(number) => match decimal(number.as_str()) {
                Some(decimal) => decimal.normalize().hash(&mut hasher),
                None => number.as_str().hash(&mut hasher),
            },
            Value::String(text) => text.hash(&mut hasher),
            Value::Bool(value) => value.hash(&mut hasher),
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    self.deep_hash(value)?.hash(&mut hasher);
                }
            }
            Value::Object(map) => {
                let mut sum = 0_u64;
                for (key, value) in map {
                    let mut entry = DefaultHasher::new();
                    (key, self.deep_hash(value)?).hash(&mut entry);
                    sum = sum.wrapping_add(entry.finish());
                }
                sum.hash(&mut hasher);
            }
        }
        Ok(hasher.finish())
    }

    /// Keeps the first of equal items; stops at the first repetition if `stop`, and then says so.
    pub(super) fn distinct(&self, items: Collection<'a>, stop: bool) -> Result<(Collection<'a>, bool), Error> {
        let many = items.len() > FEW;
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut kept = Collection::new();
        'items: for item in items {
            let hash = if many { self.hash(&item)? } else { 0 };
            if many {
                for at in buckets.get(&hash).map(Vec::as_slice).unwrap_or_default() {
                    if self.equal(&kept[*at], &item)? == Some(true) {
                        if stop {
                            return Ok((kept, true));
                        }
                        continue 'items;
                    }
                }
                buckets.entry(hash).or_default().push(kept.len());
            } else {
                for other in &kept {
                    if self.equal(other, &item)? == Some(true) {
                        if stop {
                            return Ok((kept, true));
                        }
                        continue 'items;
                    }
                }
            }
            kept.push(item);
        }
        Ok((kept, false))
    }

    /// For each of `items`, whether `among` has an equal one.
    pub(super) fn found_in(&self, items: &[Item<'a>], among: &[Item<'a>]) -> Result<Vec<bool>, Error> {
        let mut buckets: HashMap<u64, Vec<&Item<'a>>> = HashMap::new();
        let many = among.len() > FEW;
        for other in among {
            buckets.entry(if many { self.hash(other)? } else { 0 }).or_default().push(other);
        }
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let hash = if many { self.hash(item)? } else { 0 };
            let mut here = false;
            for other in buckets.get(&hash).map(Vec::as_slice).unwrap_or_default() {
                if self.equal(item, other)? == Some(true) {
                    here = true;
                    break;
                }
            }
            found.push(here);
        }
        Ok(found)
    }
}
