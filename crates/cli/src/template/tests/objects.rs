//! Structs, computed objects, added functions, and what a template says it will read.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::{Functions, MissingKey, Object, Param, Template, Value};
use super::outcome;

/// A row that remembers which of its fields were computed.
struct Row {
    computed: RefCell<Vec<String>>,
}

impl Object for Row {
    fn field(&self, name: &str) -> Option<Value> {
        let value = match name {
            "ID" => Value::from("4f0a"),
            "Size" => Value::Int(1536),
            "Unset" => Value::Nil,
            _ => return None,
        };
        self.computed.borrow_mut().push(name.to_owned());
        Some(value)
    }

    fn names(&self) -> Vec<String> {
        vec!["Size".into(), "ID".into()]
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        match (name, arguments) {
            ("Label", [Value::Str(key)]) => Some(Ok(Value::Str(format!("label {key}")))),
            ("Label", _) => Some(Err("wants a key".into())),
            _ => None,
        }
    }

    fn type_name(&self) -> &str {
        "*formatter.ContainerContext"
    }
}

fn row() -> (Rc<Row>, Value) {
    let row = Rc::new(Row { computed: RefCell::default() });
    (Rc::clone(&row), Value::Object(row))
}

#[track_caller]
fn check(template: &str, wanted: Result<&str, &str>) {
    let got = outcome(template, &row().1, MissingKey::NoValue);
    assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{template}");
}

#[test]
fn reads_objects() {
    check("{{.ID}} {{.Size}}", Ok("4f0a 1536"));
    check("{{json .}}", Ok(r#"{"ID":"4f0a","Size":1536}"#));
    check("{{.}}", Ok("{1536 4f0a}"));
    check(r#"{{.Label "x"}} {{"y" | .Label}} {{$.Label "z"}}"#, Ok("label x label y label z"));
    check("{{.Unset}}", Ok("<nil>"));
    check("{{with .Label \"x\"}}{{.}}{{end}}", Ok("label x"));
    check("{{if .}}1{{end}}{{eq . .}}", Ok("1true"));
}

#[test]
fn refuses_what_objects_lack() {
    let lacks = "template: :1:2: executing \"\" at <.No>: \
                 can't evaluate field No in type *formatter.ContainerContext";
    check("{{.No}}", Err(lacks));
    let no_method = "template: :1:2: executing \"\" at <.ID>: ID is not a method but has arguments";
    check("{{.ID 1}}", Err(no_method));
    let failed = "template: :1:2: executing \"\" at <.Label>: error calling Label: wants a key";
    check("{{.Label 1}}", Err(failed));
}

#[test]
fn computes_only_what_is_read() {
    let (row, value) = row();
    outcome("{{.ID}}", &value, MissingKey::NoValue).unwrap();
    assert!(row.computed.borrow().iter().all(|name| name == "ID"));
    assert!(!row.computed.borrow().is_empty());
}

#[test]
fn reads_structs() {
    let inner = Value::Struct(vec![("A".into(), Value::Int(1)), ("B".into(), Value::Nil)]);
    let data = Value::Struct(vec![("In".into(), inner), ("S".into(), Value::from("x"))]);
    let check = |template: &str, wanted: Result<&str, &str>| {
        let got = outcome(template, &data, MissingKey::NoValue);
        assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{template}");
    };
    check("{{.}}", Ok("{{1 <nil>} x}"));
    check("{{.In.A}} {{.In.B}}", Ok("1 <nil>"));
    check("{{json .}}", Ok(r#"{"In":{"A":1,"B":null},"S":"x"}"#));
    check(r#"{{printf "%+v" .}}"#, Ok("{In:{A:1 B:<nil>} S:x}"));
    check("{{if .In.B}}1{{else}}2{{end}}", Ok("2"));
    check(
        "{{.In.C}}",
        Err("template: :1:5: executing \"\" at <.In.C>: can't evaluate field C in type struct"),
    );
    check(
        "{{.S 1}}",
        Err("template: :1:2: executing \"\" at <.S>: \
             S has arguments but cannot be invoked as function"),
    );
}

#[test]
fn tells_missing_keys() {
    let data = super::document();
    let check = |template: &str, wanted: Result<&str, &str>| {
        let got = outcome(template, &data, MissingKey::Error);
        assert_eq!(got.as_deref().map_err(String::as_str), wanted, "{template}");
    };
    check("{{.Name}}{{index .Labels \"zzz\"}}", Ok("web"));
    check(
        "{{.State.Foo}}",
        Err("template: :1:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\""),
    );
    check(
        "{{(.Nothing).Foo}}",
        Err("template: :1:3: executing \"\" at <.Nothing>: nil data; no entry for key \"Foo\""),
    );
}

#[test]
fn calls_added_functions() {
    let mut functions = Functions::new();
    functions.insert("sum", |args| {
        let numbers = args.iter().map(|arg| match arg {
            Value::Int(number) => Ok(*number),
            other => Err(format!("no number: {}", other.type_name())),
        });
        numbers.sum::<Result<i64, String>>().map(Value::Int)
    });
    functions.insert_typed("twice", &[Param::Text], |args| {
        Ok(Value::List(vec![args[0].clone(), args[0].clone()]))
    });
    functions.insert_typed("nothing", &[], |_| Ok(Value::Nil));
    functions.insert_typed("len", &[Param::Any], |_| Ok(Value::Int(42)));
    let outcome = |template: &str| {
        Template::parse(template, &functions)
            .and_then(|template| template.render(&Value::Nil, MissingKey::NoValue))
            .map_err(|error| error.to_string())
    };
    assert_eq!(outcome("{{sum 1 2 3}} {{sum}} {{1 | sum 2}}").unwrap(), "6 0 3");
    assert_eq!(outcome("{{twice `x`}} {{nothing}} {{len `x`}}").unwrap(), "[x x] <no value> 42");
    assert_eq!(outcome("{{.}} {{.X.Y}}").unwrap(), "<no value> <no value>");
    assert_eq!(
        outcome("{{sum `x`}}").unwrap_err(),
        "template: :1:2: executing \"\" at <sum `x`>: error calling sum: no number: string"
    );
    assert_eq!(
        outcome("{{twice}}").unwrap_err(),
        "template: :1:2: executing \"\" at <twice>: wrong number of args for twice: want 1 got 0"
    );
    assert!(functions.knows("sum") && functions.knows("printf") && !functions.knows("json"));
}
