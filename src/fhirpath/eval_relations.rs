//! Conditions: an expression as an invariant, and binary operators with a Boolean answer: `=`, `~`, `<`, `in`, `implies`, `xor`.
//! Spec: <http://hl7.org/fhirpath/N1/#operations>.

use std::cmp::Ordering;

use super::{
    ast::{Chain, Expr, Operator, Step},
    error::Error,
    eval::{Env, GO_ON, Run, STOP, as_boolean},
    functions::Function,
    item::Item,
};

impl<'a> Run<'_, 'a> {
    /// As a condition: empty is false, several items are true.
    pub(super) fn start_truth(&self, expr: &'a Expr) -> Result<bool, Error> {
        let env = self.outset();
        match expr {
            Expr::Chain(chain) if !ends_in_predicate(chain) => {
                let (mut count, mut holds) = (0, false);
                let _ = self.visit(expr, env, &mut |item| {
                    count += 1;
                    holds = count > 1 || as_boolean(&item);
                    if count > 1 { STOP } else { GO_ON }
                })?;
                Ok(holds)
            }
            Expr::Union(_) | Expr::As(..) | Expr::Define(_) => match &*self.collect(expr, env)? {
                [] => Ok(false),
                [item] => Ok(as_boolean(item)),
                _ => Ok(true),
            },
            _ => Ok(self.truth(expr, env)?.unwrap_or(false)),
        }
    }

    /// Operators whose answer is a Boolean.
    pub(super) fn relation(
        &self,
        operator: Operator,
        left: &'a Expr,
        right: &'a Expr,
        whole: &'a Expr,
        env: Env<'_, 'a>,
    ) -> Result<Option<bool>, Error> {
        Ok(match operator {
            Operator::Implies => match self.truth(left, env)? {
                Some(false) => Some(true),
                Some(true) => self.truth(right, env)?,
                None => self.truth(right, env)?.filter(|value| *value),
            },
            Operator::Xor => match (self.truth(left, env)?, self.truth(right, env)?) {
                (Some(left), Some(right)) => Some(left != right),
                _ => None,
            },
            Operator::Equal | Operator::NotEqual => {
                let left = self.collect(left, env)?;
                if left.is_empty() {
                    return Ok(None);
                }
                let equal = self.equal_all(&left, &self.collect(right, env)?)?;
                if operator == Operator::Equal { equal } else { equal.map(|equal| !equal) }
            }
            Operator::Equivalent | Operator::NotEquivalent => {
                let equivalent = self.equivalent_all(&self.collect(left, env)?, &self.collect(right, env)?)?;
                Some(equivalent == (operator == Operator::Equivalent))
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                let (Some(left), Some(right)) = (self.single(left, env)?, self.single(right, env)?) else {
                    return Ok(None);
                };
                self.order(&left, &right)?.map(|order| match operator {
                    Operator::Less => order == Ordering::Less,
                    Operator::LessOrEqual => order != Ordering::Greater,
                    Operator::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                })
            }
            Operator::In => self.member_of(left, right, env)?,
            Operator::Contains => self.member_of(right, left, env)?,
            _ => return self.singleton(whole, env),
        })
    }

    /// Whether the one item of `element` is among `collection`; stops at the first that equals it.
    fn member_of(&self, element: &'a Expr, collection: &'a Expr, env: Env<'_, 'a>) -> Result<Option<bool>, Error> {
        let Some(element) = self.single(element, env)? else { return Ok(None) };
        let mut found = false;
        let mut look = |item: Item<'a>| {
            if self.equal(&element, &item)? == Some(true) {
                found = true;
                return STOP;
            }
            GO_ON
        };
        // The arms of a union need not be told apart for this
        match collection {
            Expr::Union(arms) => {
                for arm in arms {
                    if self.visit(arm, env, &mut look)?.is_break() {
                        break;
                    }
                }
            }
            other => {
                let _ = self.visit(other, env, &mut look)?;
            }
        }
        Ok(Some(found))
    }
}

/// Whether the last step of a chain is a function, which decides by itself what it takes.
fn ends_in_predicate(chain: &Chain) -> bool {
    matches!(chain.steps.last(), Some(Step::Call(call)) if !matches!(call.function, Function::Where | Function::Select | Function::OfType | Function::As | Function::Extension | Function::Trace))
}
