//! Calls functions, with the arguments checked first as Go checks them.

use super::builtins;
use super::datum::Datum;
use super::eval::Call;
use super::exec::{Executor, Place, Result};
use super::functions::{Function, Param};
use super::node::{Operand, Term};
use super::number::Number;
use super::quote::quote;
use super::value::Value;

impl<'a> Executor<'a> {
    pub(super) fn function(
        &mut self,
        dot: &Datum<'a>,
        name: &str,
        call: Call<'a>,
    ) -> Result<Datum<'a>> {
        let functions = self.functions;
        if let Some(function) = functions.get(name) {
            return self.added_function(dot, name, function, call);
        }
        let Some(builtin) = builtins::find(name) else {
            return self.fail(format!("{} is not a defined function", quote(name)));
        };
        self.check_count(name, call.count(), builtin.least, builtin.most)?;
        if matches!(name, "and" | "or") {
            return self.logic(dot, name == "or", call);
        }
        let mut arguments = Vec::new();
        for operand in call.arguments {
            let wants_text = name == "printf" && arguments.is_empty();
            let param = if wants_text { Param::Text } else { Param::Any };
            arguments.push(self.argument(dot, param, operand)?);
        }
        if let Some(last) = call.last {
            let wants_text = name == "printf" && arguments.is_empty();
            let param = if wants_text { Param::Text } else { Param::Any };
            arguments.push(self.fit(param, last)?);
        }
        for argument in &arguments {
            self.charge(argument.value().size())?;
        }
        let result = match name {
            "call" => Err(not_callable(call.arguments.first(), &arguments[0])),
            _ => (builtin.body)(&arguments),
        };
        self.called(name, call.place, result)
    }

    fn added_function(
        &mut self,
        dot: &Datum<'a>,
        name: &str,
        function: &Function,
        call: Call<'a>,
    ) -> Result<Datum<'a>> {
        let least = function.params.len();
        let most = if function.rest.is_some() { None } else { Some(least) };
        self.check_count(name, call.count(), least, most)?;
        let params = function.params.iter().copied();
        let mut params = params.chain(std::iter::repeat(function.rest.unwrap_or(Param::Any)));
        let mut arguments = Vec::new();
        for (operand, param) in call.arguments.iter().zip(&mut params) {
            let argument = self.argument(dot, param, operand)?;
            self.charge(argument.value().weight())?;
            arguments.push(argument.passed_for(param));
        }
        if let (Some(last), Some(param)) = (call.last, params.next()) {
            let last = self.fit(param, last)?;
            self.charge(last.value().weight())?;
            arguments.push(last.passed_for(param));
        }
        let result = (function.body)(&arguments).map(|value| Datum::owned(value).in_box(true));
        self.called(name, call.place, result)
    }

    /// Passes on what a function gave back.
    fn called(
        &mut self,
        name: &str,
        place: Place<'a>,
        result: Result<Datum<'a>, String>,
    ) -> Result<Datum<'a>> {
        match result {
            Ok(value) => {
                self.charge(value.made_weight())?;
                Ok(value)
            }
            Err(problem) => {
                self.place = place;
                self.fail(format!("error calling {name}: {problem}"))
            }
        }
    }

    fn check_count(&self, name: &str, got: usize, least: usize, most: Option<usize>) -> Result<()> {
        let problem = match most {
            None if got < least => format!("want at least {least} got {got}"),
            Some(most) if got != most => format!("want {most} got {got}"),
            _ => return Ok(()),
        };
        self.fail(format!("wrong number of args for {name}: {problem}"))
    }

    /// `and` and `or`: the first argument that settles it, or else the last; the rest stays unread.
    fn logic(&mut self, dot: &Datum<'a>, stop_at: bool, call: Call<'a>) -> Result<Datum<'a>> {
        let mut value = Datum::missing();
        for operand in call.arguments {
            value = self.argument(dot, Param::Any, operand)?;
            if value.value().truth() == stop_at {
                return Ok(value);
            }
        }
        Ok(call.last.unwrap_or(value))
    }

    /// The value of an argument, which must be what the parameter takes.
    pub(super) fn argument(
        &mut self,
        dot: &Datum<'a>,
        param: Param,
        operand: &'a Operand,
    ) -> Result<Datum<'a>> {
        self.place = Place::Operand(operand);
        match (&operand.term, param) {
            (Term::Nil, Param::Any | Param::Texts) => self.fit(param, Datum::missing()),
            (Term::Nil, _) => self.fail(format!("cannot assign nil to {}", param.type_name())),
            (Term::Number { number: Number { whole: Some(whole), .. }, .. }, Param::Integer) => {
                Ok(Datum::owned(*whole))
            }
            (Term::Bool(_) | Term::Number { .. }, Param::Text) => {
                self.fail(format!("expected string; found {operand}"))
            }
            (Term::Bool(_) | Term::Number { .. } | Term::Text { .. }, Param::Integer) => {
                self.fail(format!("expected integer; found {operand}"))
            }
            (Term::Bool(_) | Term::Number { .. } | Term::Text { .. }, Param::Texts) => {
                self.fail(format!("can't handle {operand} for arg of type []string"))
            }
            _ => {
                let value = self.deeper(|executor| executor.bare(dot, operand))?;
                self.fit(param, value)
            }
        }
    }

    /// Refuses a value that is not what the parameter takes.
    fn fit(&self, param: Param, value: Datum<'a>) -> Result<Datum<'a>> {
        let fits = match (param, value.get()) {
            (Param::Any, _) => true,
            (Param::Texts, None) => return Ok(Datum::owned(Value::List(Vec::new()))),
            (_, None) => {
                return self.fail(format!("invalid value; expected {}", param.type_name()));
            }
            (Param::Text, Some(value)) => matches!(value, Value::Str(_)),
            (Param::Integer, Some(value)) => matches!(value, Value::Int(_)),
            (Param::Texts, Some(value)) => {
                matches!(value, Value::List(_)) && value.holds_only_text()
            }
        };
        if fits {
            return Ok(value);
        }
        let (wanted, got) = (param.type_name(), value.value().type_name());
        self.fail(format!("wrong type for value; expected {wanted}; got {got}"))
    }
}

/// Why `call` cannot call what it is given: there are no functions among the values.
fn not_callable(operand: Option<&Operand>, value: &Datum<'_>) -> String {
    match value.clone().unboxed().get() {
        None => "call of nil".to_owned(),
        Some(value) => {
            let name = match (operand, value) {
                (Some(operand), _) => operand.to_string(),
                (None, Value::Str(text)) => text.clone(),
                (None, other) => format!("<{} Value>", other.type_name()),
            };
            format!("non-function {name} of type {}", value.type_name())
        }
    }
}
