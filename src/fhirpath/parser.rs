//! Tokens to `Expr`: recursive descent over the official grammar, precedence by binding power. Nesting is bounded, so that
//! no text can overflow the stack here, in the evaluator, or when the tree is dropped.

use std::sync::OnceLock;

use rust_decimal::Decimal;

use super::{
    ast::{Call, Chain, Expr, Operator, Step, TypeName},
    error::Error,
    functions::Function,
    lexer::{Lexer, Token},
};

/// Nested brackets, arguments and left-leaning operators.
const DEPTH: usize = 64;
/// Steps in one chain (`a.b.c`).
const STEPS: usize = 128;

const CALENDAR: [&str; 16] = [
    "year",
    "years",
    "month",
    "months",
    "week",
    "weeks",
    "day",
    "days",
    "hour",
    "hours",
    "minute",
    "minutes",
    "second",
    "seconds",
    "millisecond",
    "milliseconds",
];

pub(super) fn parse(text: &str) -> Result<Expr, Error> {
    let tokens = Lexer::tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, counts: false };
    let expr = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => parser.error("the expression should end here"),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// Whether `$index` was met since it was last reset.
    counts: bool,
}

/// Binding power of a binary operator; higher binds tighter.
fn power(token: &Token) -> Option<(&str, u8)> {
    let name = match token {
        Token::Symbol(symbol) => symbol,
        Token::Identifier(name) => &**name,
        _ => return None,
    };
    let power = match name {
        "implies" => 1,
        "or" | "xor" => 2,
        "and" => 3,
        "in" | "contains" => 4,
        "=" | "~" | "!=" | "!~" => 5,
        "<" | "<=" | ">" | ">=" => 6,
        "|" => 7,
        "is" | "as" => 8,
        "+" | "-" | "&" => 9,
        "*" | "/" | "div" | "mod" => 10,
        _ => return None,
    };
    Some((name, power))
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |(_, offset)| *offset)
    }

    fn error<T>(&self, what: &str) -> Result<T, Error> {
        Err(Error::syntax(self.text, self.offset(), what))
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(here) if *here == symbol);
        self.at += usize::from(found);
        found
    }

    fn demand(&mut self, symbol: &str) -> Result<(), Error> {
        if self.accept(symbol) { Ok(()) } else { self.error(&format!("'{symbol}' is expected")) }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= DEPTH {
            return Err(Error::Depth { limit: DEPTH });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self, least: u8) -> Result<Expr, Error> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            let mut lean = 0;
            while let Some((name, power)) = power(parser.peek()).filter(|(_, power)| *power >= least.max(1)) {
                let name = name.to_owned();
                parser.at += 1;
                lean += 1;
                let flat = matches!(name.as_str(), "and" | "or" | "|");
                if !flat && parser.depth + lean > DEPTH {
                    return Err(Error::Depth { limit: DEPTH });
                }
                left = if let "is" | "as" = name.as_str() {
                    let type_name = parser.type_name()?;
                    let left = Box::new(left);
                    if name == "is" { Expr::Is(left, type_name) } else { Expr::As(left, type_name) }
                } else {
                    let right = parser.expression(power + 1)?;
                    join(&name, left, right)
                };
            }
            Ok(left)
        })
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        let minus = match self.peek() {
            Token::Symbol("-") => true,
            Token::Symbol("+") => false,
            _ => return self.chain(),
        };
        self.at += 1;
        let inner = self.deeper(Self::unary)?;
        Ok(match (minus, inner) {
            (true, Expr::Integer(value)) => Expr::Integer(-value),
            (true, Expr::Decimal(value)) => Expr::Decimal(-value),
            (minus, inner) => Expr::Polarity(minus, Box::new(inner)),
        })
    }

    fn chain(&mut self) -> Result<Expr, Error> {
        let mut steps = Vec::new();
        let base = self.term(&mut steps)?;
        loop {
            if self.accept(".") {
                // US Core 3.1 writes `who.resolve().is Practitioner`: the operator, though the grammar has no such dot
                let operator = matches!(self.peek(), Token::Identifier(name) if matches!(&**name, "is" | "as"))
                    && matches!(self.tokens.get(self.at + 1), Some((Token::Identifier(name), _))
                        if name.starts_with(|first: char| first.is_ascii_uppercase()));
                if operator {
                    break;
                }
                let step = self.invocation()?;
                steps.push(step);
            } else if self.accept("[") {
                let index = self.expression(0)?;
                self.demand("]")?;
                steps.push(Step::Item(Box::new(index)));
            } else {
                break;
            }
            if steps.len() > STEPS {
                return Err(Error::Depth { limit: STEPS });
            }
        }
        Ok(match base {
            Some(base) if steps.is_empty() => base,
            base => Chain { base: base.map(Box::new), steps }.divided(),
        })
    }

    /// The head of a chain; a member or function of the focus goes to `steps` and gives no base.
    fn term(&mut self, steps: &mut Vec<Step>) -> Result<Option<Expr>, Error> {
        Ok(Some(match self.peek().clone() {
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.demand(")")?;
                inner
            }
            Token::Symbol("{") => {
                self.at += 1;
                self.demand("}")?;
                Expr::Empty
            }
            Token::Text(text) => {
                self.at += 1;
                Expr::Text(text)
            }
            Token::Integer(value) => {
                self.at += 1;
                self.unit(Decimal::from(value)).unwrap_or(Expr::Integer(value))
            }
            Token::Decimal(value) => {
                self.at += 1;
                self.unit(value).unwrap_or(Expr::Decimal(value))
            }
            Token::Temporal(temporal) => {
                self.at += 1;
                Expr::Temporal(temporal)
            }
            Token::Variable(name) => {
                self.at += 1;
                constant(name)
            }
            Token::Dollar(name) => {
                self.at += 1;
                match name {
                    "this" => Expr::This,
                    "index" => {
                        self.counts = true;
                        Expr::Index
                    }
                    _ => Expr::Total,
                }
            }
            Token::Identifier(name) if matches!(&*name, "true" | "false") && !self.is_call() => {
                self.at += 1;
                Expr::Boolean(&*name == "true")
            }
            Token::Identifier(_) | Token::Delimited(_) => {
                let step = self.invocation()?;
                steps.push(step);
                return Ok(None);
            }
            _ => return self.error("a value, a name or '(' is expected"),
        }))
    }

    /// The unit after a number, if there is one.
    fn unit(&mut self, value: Decimal) -> Option<Expr> {
        let (unit, calendar) = match self.peek() {
            Token::Text(unit) => (unit.clone(), false),
            Token::Identifier(word) if CALENDAR.contains(&&**word) => (word.clone(), true),
            _ => return None,
        };
        self.at += 1;
        Some(Expr::Quantity(value, unit, calendar))
    }

    fn is_call(&self) -> bool {
        matches!(self.tokens.get(self.at + 1), Some((Token::Symbol("("), _)))
    }

    fn invocation(&mut self) -> Result<Step, Error> {
        let at = self.offset();
        let name = match self.peek().clone() {
            Token::Identifier(name) | Token::Delimited(name) => name,
            // `Bundle.$this` and the like are allowed by the grammar
            Token::Dollar("this") => {
                self.at += 1;
                let call = Call::plain(Function::Select, vec![Expr::This]);
                return Ok(Step::Call(Box::new(call)));
            }
            _ => return self.error("the name of an element or function is expected"),
        };
        self.at += 1;
        if !self.accept("(") {
            return Ok(Step::Member(name));
        }
        let Some((function, least, most)) = Function::named(&name) else {
            let (line, column) = Error::place(self.text, at);
            return Err(Error::UnknownFunction { name: name.into(), line, column });
        };
        let outer = std::mem::take(&mut self.counts);
        let mut call = Call::plain(function, Vec::new());
        if matches!(function, Function::Is | Function::As | Function::OfType) {
            call.type_name = Some(self.type_name()?);
        } else if !matches!(self.peek(), Token::Symbol(")")) {
            loop {
                call.args.push(self.expression(0)?);
                if !self.accept(",") {
                    break;
                }
            }
        }
        self.demand(")")?;
        call.counts = self.counts;
        self.counts = outer || call.counts;
        let given = call.args.len() + usize::from(call.type_name.is_some());
        if given < least || given > most {
            return Err(Error::syntax(self.text, at, &format!("{name}() takes {least} to {most} arguments")));
        }
        Ok(Step::Call(Box::new(call)))
    }

    fn type_name(&mut self) -> Result<TypeName, Error> {
        let name = |parser: &mut Self| match parser.next() {
            Token::Identifier(name) | Token::Delimited(name) => Ok(name),
            // CDA and older profiles quote the name
            Token::Text(name) => Ok(name),
            _ => {
                parser.at -= 1;
                parser.error("the name of a type is expected")
            }
        };
        let first = name(self)?;
        // `as Quantity.unit` is not a namespace; only the two namespaces there are, are taken for one
        if matches!(&*first, "System" | "FHIR") && self.accept(".") {
            return Ok(TypeName { namespace: Some(first), name: name(self)? });
        }
        Ok(TypeName { namespace: None, name: first })
    }
}

impl Call {
    fn plain(function: Function, args: Vec<Expr>) -> Self {
        Self { function, args, type_name: None, regex: OnceLock::new(), counts: false }
    }
}

/// Variables whose value never changes become literals.
fn constant(name: Box<str>) -> Expr {
    let text = match &*name {
        "ucum" => "http://unitsofmeasure.org".to_owned(),
        "sct" => "http://snomed.info/sct".to_owned(),
        "loinc" => "http://loinc.org".to_owned(),
        other => match other.split_once('-') {
            Some(("vs", rest)) => format!("http://hl7.org/fhir/ValueSet/{rest}"),
            Some(("cs", rest)) => format!("http://hl7.org/fhir/CodeSystem/{rest}"),
            Some(("ext", rest)) => format!("http://hl7.org/fhir/StructureDefinition/{rest}"),
            _ => return Expr::Variable(name),
        },
    };
    Expr::Text(text.into())
}

fn join(name: &str, left: Expr, right: Expr) -> Expr {
    let many = |left: Expr, right: Expr, wrap: fn(Vec<Expr>) -> Expr, arms: Option<Vec<Expr>>| match arms {
        Some(mut arms) => {
            arms.push(right);
            wrap(arms)
        }
        None => wrap(vec![left, right]),
    };
    let operator = match name {
        "and" => {
            return match left {
                Expr::And(arms) => many(Expr::Empty, right, Expr::And, Some(arms)),
                left => many(left, right, Expr::And, None),
            };
        }
        "or" => {
            return match left {
                Expr::Or(arms) => many(Expr::Empty, right, Expr::Or, Some(arms)),
                left => many(left, right, Expr::Or, None),
            };
        }
        "|" => {
            return match left {
                Expr::Union(arms) => many(Expr::Empty, right, Expr::Union, Some(arms)),
                left => many(left, right, Expr::Union, None),
            };
        }
        "xor" => Operator::Xor,
        "implies" => Operator::Implies,
        "in" => Operator::In,
        "contains" => Operator::Contains,
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "~" => Operator::Equivalent,
        "!~" => Operator::NotEquivalent,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        "+" => Operator::Add,
        "-" => Operator::Subtract,
        "&" => Operator::Concatenate,
        "*" => Operator::Multiply,
        "/" => Operator::Divide,
        "div" => Operator::Div,
        _ => Operator::Mod,
    };
    Expr::Binary(operator, Box::new(left), Box::new(right))
}
