//! The compiled form: chains are flat, `and`, `or` and `|` have many arms, functions are resolved, literal regular
//! expressions compiled. Built once by `parser`, shared by all evaluations.

use std::sync::OnceLock;

use regex::Regex;
use rust_decimal::Decimal;

use super::{functions::Function, temporal::Temporal};

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    Text(Box<str>),
    Integer(i64),
    Decimal(Decimal),
    Boolean(bool),
    Temporal(Temporal),
    /// A quantity literal: value, unit, whether the unit is a calendar word.
    Quantity(Decimal, Box<str>, bool),
    /// `{}`.
    Empty,
    This,
    Index,
    Total,
    Variable(Box<str>),
    Chain(Chain),
    /// Unary minus (`true`) or plus.
    Polarity(bool, Box<Expr>),
    And(Vec<Expr>),
    /// Arms of `or`; `xor` is binary.
    Or(Vec<Expr>),
    Union(Vec<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Is(Box<Expr>, TypeName),
    As(Box<Expr>, TypeName),
    /// `defineVariable`, with what follows it.
    Define(Box<Define>),
    /// The items that a `defineVariable` hands on.
    Defined,
}

/// A chain around a `defineVariable`.
#[derive(Debug)]
pub(super) struct Define {
    /// What stands before it.
    pub before: Expr,
    /// The variable's name.
    pub name: Expr,
    /// Its value, on what stands before as a whole; without it what stands before is the value.
    pub value: Option<Expr>,
    /// What follows, on the same items.
    pub after: Expr,
}

/// A base and the steps after it.
#[derive(Debug)]
pub(super) struct Chain {
    /// `None`: the focus.
    pub base: Option<Box<Expr>>,
    pub steps: Vec<Step>,
}

impl Chain {
    /// The chain as an expression: divided at the first `defineVariable`, so that what follows sees the variable.
    pub(super) fn divided(mut self) -> Expr {
        let is_define = |step: &Step| matches!(step, Step::Call(call) if call.function == Function::DefineVariable);
        let Some(at) = self.steps.iter().position(is_define) else { return Expr::Chain(self) };
        let after = self.steps.split_off(at + 1);
        let Some(Step::Call(call)) = self.steps.pop() else { return Expr::Chain(self) };
        let before = match (self.base, self.steps.is_empty()) {
            (None, true) => Expr::This,
            (Some(base), true) => *base,
            (base, false) => Expr::Chain(Self { base, steps: self.steps }),
        };
        let after = match after.is_empty() {
            true => Expr::Defined,
            false => Self { base: Some(Box::new(Expr::Defined)), steps: after }.divided(),
        };
        let mut args = call.args.into_iter();
        let name = args.next().unwrap_or(Expr::Empty);
        let value = args.next().map(|value| match value {
            Expr::This => Expr::Defined,
            Expr::Chain(Self { base: None, steps }) => Expr::Chain(Self { base: Some(Box::new(Expr::Defined)), steps }),
            other => other,
        });
        Expr::Define(Box::new(Define { before, name, value, after }))
    }
}

/// One step of a chain.
#[derive(Debug)]
pub(super) enum Step {
    Member(Box<str>),
    Item(Box<Expr>),
    Call(Box<Call>),
}

/// A function call.
#[derive(Debug)]
pub(super) struct Call {
    pub function: Function,
    pub args: Vec<Expr>,
    /// Of `is`, `as`, `ofType`.
    pub type_name: Option<TypeName>,
    /// Of `matches` and the like, where the pattern is a literal: compiled at first use, `None` if it is no pattern.
    pub regex: OnceLock<Option<Regex>>,
    /// Whether an argument mentions `$index`: then items cannot be taken one at a time through several steps.
    pub counts: bool,
}

impl Step {
    /// Whether the step maps one item at a time, without knowing the others.
    pub(super) fn streams(&self) -> bool {
        match self {
            Self::Member(_) => true,
            Self::Item(_) => false,
            Self::Call(call) => match call.function {
                Function::Where | Function::Select => !call.counts,
                Function::OfType | Function::Extension | Function::Children | Function::Resolve => true,
                _ => false,
            },
        }
    }
}

/// `System.String`, `FHIR.Patient`, `code`.
#[derive(Debug)]
pub(super) struct TypeName {
    pub namespace: Option<Box<str>>,
    pub name: Box<str>,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    Xor,
    Implies,
    Add,
    Subtract,
    Concatenate,
    Multiply,
    Divide,
    Div,
    Mod,
}
