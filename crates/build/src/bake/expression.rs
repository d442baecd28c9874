//! HCL's expressions: operators, calls, lists, objects, `for`.

use super::parser::{Parser, Read};
use super::syntax::{Expr, For, Kind, Operator, Step};
use super::value::Value;

/// As many operators, or names behind dots, may follow each other: each is one deeper for whoever
/// carries them out.
const MAX_CHAIN: usize = 512;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Read<Expr> {
        self.deeper(|parser| {
            parser.spaces();
            let start = parser.at;
            let condition = parser.binary(0)?;
            if !parser.sign("?") {
                return Ok(condition);
            }
            let yes = parser.expression()?;
            parser.want(":")?;
            let no = parser.expression()?;
            let kind = Kind::Conditional(Box::new(condition), Box::new(yes), Box::new(no));
            Ok(Expr { kind, at: parser.place(start) })
        })
    }

    fn binary(&mut self, level: usize) -> Read<Expr> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        self.spaces();
        let start = self.at;
        let mut left = self.binary(level + 1)?;
        for _ in 0..MAX_CHAIN {
            self.spaces();
            let rest = self.rest();
            let found = operators.iter().find(|(sign, _)| rest.starts_with(sign));
            let Some((sign, operator)) = found else { return Ok(left) };
            // `=>` ends the name in a `for`.
            if *sign == "/" && (rest.starts_with("//") || rest.starts_with("/*")) {
                return Ok(left);
            }
            self.at += sign.len();
            let right = self.binary(level + 1)?;
            let kind = Kind::Binary(*operator, Box::new(left), Box::new(right));
            left = Expr { kind, at: self.place(start) };
        }
        self.wrong("Invalid expression; It is too long.")
    }

    fn unary(&mut self) -> Read<Expr> {
        self.spaces();
        let start = self.at;
        let wrap: Option<fn(Box<Expr>) -> Kind> = match self.peek() {
            Some('!') => Some(Kind::Not),
            Some('-') => Some(Kind::Negate),
            _ => None,
        };
        match wrap {
            Some(wrap) => {
                self.at += 1;
                let inner = self.deeper(Parser::unary)?;
                Ok(Expr { kind: wrap(Box::new(inner)), at: self.place(start) })
            }
            None => self.traversal(),
        }
    }

    /// A term with `.name`, `[index]`, `.*` and `[*]` behind it.
    fn traversal(&mut self) -> Read<Expr> {
        self.spaces();
        let start = self.at;
        let mut value = self.term()?;
        for _ in 0..MAX_CHAIN {
            // A dot of `...` belongs to a call.
            let rest = self.rest();
            if rest.starts_with('.') && !rest.starts_with("..") {
                self.at += 1;
                if self.take("*") {
                    let steps = self.steps(false)?;
                    value =
                        Expr { kind: Kind::Splat(Box::new(value), steps), at: self.place(start) };
                    continue;
                }
                let kind = match self.step_name()? {
                    Step::Attribute(name) => Kind::Attribute(Box::new(value), name),
                    Step::Index(index) => Kind::Index(Box::new(value), Box::new(index)),
                };
                value = Expr { kind, at: self.place(start) };
            } else if rest.starts_with("[*]") {
                self.at += 3;
                let steps = self.steps(true)?;
                value = Expr { kind: Kind::Splat(Box::new(value), steps), at: self.place(start) };
            } else if rest.starts_with('[') {
                self.at += 1;
                let index = self.within(true, Parser::expression)?;
                self.within(true, |parser| parser.want("]"))?;
                let kind = Kind::Index(Box::new(value), Box::new(index));
                value = Expr { kind, at: self.place(start) };
            } else {
                return Ok(value);
            }
        }
        self.wrong("Invalid expression; It is too long.")
    }

    /// A name or a number after a dot.
    fn step_name(&mut self) -> Read<Step> {
        let digits = self.rest().chars().take_while(char::is_ascii_digit).count();
        if digits > 0 {
            let number = self.rest()[..digits].parse().unwrap_or(f64::MAX);
            let at = self.place(self.at);
            self.at += digits;
            return Ok(Step::Index(Expr { kind: Kind::Literal(Value::Number(number)), at }));
        }
        match self.identifier() {
            Some(name) => Ok(Step::Attribute(name)),
            None => {
                self.wrong("Invalid attribute name; An attribute name is required after a dot.")
            }
        }
    }

    fn steps(&mut self, with_indices: bool) -> Read<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            let rest = self.rest();
            if rest.starts_with('.') && !rest.starts_with("..") {
                self.at += 1;
                steps.push(self.step_name()?);
            } else if with_indices && rest.starts_with('[') {
                self.at += 1;
                steps.push(Step::Index(self.within(true, Parser::expression)?));
                self.within(true, |parser| parser.want("]"))?;
            } else {
                return Ok(steps);
            }
        }
    }

    fn term(&mut self) -> Read<Expr> {
        self.spaces();
        let start = self.at;
        let literal = |value| Kind::Literal(value);
        let kind = match self.peek() {
            Some('"') => return self.quoted(),
            Some('<') if self.rest().starts_with("<<") => return self.heredoc(),
            Some('(') => {
                self.at += 1;
                let inner = self.within(true, Parser::expression)?;
                self.within(true, |parser| parser.want(")"))?;
                return Ok(inner);
            }
            Some('[') => {
                self.at += 1;
                self.within(true, |parser| parser.tuple())?
            }
            Some('{') => {
                self.at += 1;
                self.within(false, |parser| parser.object())?
            }
            Some(digit) if digit.is_ascii_digit() => literal(Value::Number(self.number()?)),
            _ => match self.identifier().as_deref() {
                Some("true") => literal(Value::Bool(true)),
                Some("false") => literal(Value::Bool(false)),
                Some("null") => literal(Value::Null),
                Some(name) => {
                    if self.rest().starts_with('(') {
                        self.at += 1;
                        let (list, spread) = self.within(true, Parser::arguments)?;
                        Kind::Call(name.to_owned(), list, spread)
                    } else {
                        Kind::Variable(name.to_owned())
                    }
                }
                None => {
                    return self.wrong(
                        "Invalid expression; Expected the start of an expression, but found an invalid expression token.",
                    );
                }
            },
        };
        Ok(Expr { kind, at: self.place(start) })
    }

    fn number(&mut self) -> Read<f64> {
        let rest = self.rest().as_bytes();
        let mut end = 0;
        while let Some(byte) = rest.get(end) {
            let after = rest.get(end + 1).copied().unwrap_or_default();
            let is_part = byte.is_ascii_digit()
                || (*byte == b'.' && after.is_ascii_digit())
                || (matches!(byte, b'e' | b'E')
                    && (after.is_ascii_digit() || b"+-".contains(&after)))
                || (matches!(byte, b'+' | b'-') && end > 0 && matches!(rest[end - 1], b'e' | b'E'));
            if !is_part {
                break;
            }
            end += 1;
        }
        let number = self.rest()[..end].parse().ok().filter(|number: &f64| number.is_finite());
        match number {
            Some(number) => {
                self.at += end;
                Ok(number)
            }
            None => self.wrong("Invalid number literal."),
        }
    }

    fn arguments(&mut self) -> Read<(Vec<Expr>, bool)> {
        let mut list = Vec::new();
        loop {
            if self.sign(")") {
                return Ok((list, false));
            }
            list.push(self.expression()?);
            if self.sign("...") {
                self.want(")")?;
                return Ok((list, true));
            }
            if !self.sign(",") {
                self.want(")")?;
                return Ok((list, false));
            }
        }
    }

    fn tuple(&mut self) -> Read<Kind> {
        if self.keyword("for") {
            return self.for_expression("]");
        }
        let mut list = Vec::new();
        loop {
            if self.sign("]") {
                return Ok(Kind::Tuple(list));
            }
            list.push(self.expression()?);
            if !self.sign(",") {
                self.want("]")?;
                return Ok(Kind::Tuple(list));
            }
        }
    }

    fn object(&mut self) -> Read<Kind> {
        self.lines();
        let before = self.at;
        // `for` can be a name too.
        if self.keyword("for") && self.identifier().is_some() {
            self.at = before;
            self.keyword("for");
            return self.within(true, |parser| parser.for_expression("}"));
        }
        self.at = before;
        let mut pairs = Vec::new();
        loop {
            self.lines();
            if self.take("}") {
                return Ok(Kind::Object(pairs));
            }
            let name = self.object_name()?;
            self.spaces();
            if !self.take(":") && !self.take("=") {
                return self.wrong("Missing attribute value; Expected an equals sign or a colon.");
            }
            self.lines();
            pairs.push((name, self.expression()?));
            self.spaces();
            if !matches!(self.peek(), Some(',' | '\n' | '}')) {
                return self.wrong("Missing attribute separator; Expected a newline or comma to mark the beginning of the next attribute.");
            }
            self.take(",");
        }
    }

    fn object_name(&mut self) -> Read<Expr> {
        let start = self.at;
        let simple = self.identifier();
        self.spaces();
        let ends = self.rest().starts_with(['=', ':']) && !self.rest().starts_with("==");
        match simple.filter(|_| ends) {
            Some(name) => {
                Ok(Expr { kind: Kind::Literal(Value::Text(name)), at: self.place(start) })
            }
            None => {
                self.at = start;
                self.binary(0)
            }
        }
    }

    fn for_expression(&mut self, end: &str) -> Read<Kind> {
        let Some(first) = self.identifier() else {
            return self.wrong("Invalid 'for' expression; A variable name is required.");
        };
        let second = match self.sign(",") {
            true => self.identifier(),
            false => None,
        };
        if !self.keyword("in") {
            return self.wrong("Invalid 'for' expression; The keyword \"in\" is required.");
        }
        let (key, value) = match second {
            Some(second) => (Some(first), second),
            None => (None, first),
        };
        let list = self.expression()?;
        self.want(":")?;
        let mut item = self.expression()?;
        let mut name = None;
        let mut groups = false;
        if end == "}" {
            self.want("=>")?;
            name = Some(std::mem::replace(&mut item, self.expression()?));
            groups = self.sign("...");
        }
        let condition = match self.keyword("if") {
            true => Some(self.expression()?),
            false => None,
        };
        self.want(end)?;
        Ok(Kind::For(Box::new(For { key, value, list, name, item, condition, groups })))
    }
}

const LEVELS: &[&[(&str, Operator)]] = &[
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Modulo)],
];
