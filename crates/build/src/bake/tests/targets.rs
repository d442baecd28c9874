//! Targets, groups and variables, and how they come together.

use super::*;

#[test]
fn the_smallest_target() {
    let document = hcl("target \"default\" {}", &given(&[], &[], &[])).unwrap();
    let wanted = json!({ "target": { "default": { "context": ".", "dockerfile": "Dockerfile" } } });
    assert_eq!(document, wanted);
}

#[test]
fn inheritance_joins_and_the_last_wins() {
    let text = r#"
        target "app-dev" {
          args = { GO_VERSION = "1.20", BUILDX_EXPERIMENTAL = 1 }
          tags = ["docker.io/username/myapp"]
          dockerfile = "app.Dockerfile"
          labels = { "org.opencontainers.image.source" = "https://h.example/myapp" }
        }
        target "_release" {
          args = { BUILDKIT_CONTEXT_KEEP_GIT_DIR = 1, BUILDX_EXPERIMENTAL = 0 }
        }
        target "app-release" {
          inherits = ["app-dev", "_release"]
          platforms = ["linux/amd64", "linux/arm64"]
        }"#;
    let document = hcl(text, &given(&["app-release"], &[], &[])).unwrap();
    let wanted = r#"{
  "group": {
    "default": {
      "targets": [
        "app-release"
      ]
    }
  },
  "target": {
    "app-release": {
      "context": ".",
      "dockerfile": "app.Dockerfile",
      "args": {
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1",
        "BUILDX_EXPERIMENTAL": "0",
        "GO_VERSION": "1.20"
      },
      "labels": {
        "org.opencontainers.image.source": "https://h.example/myapp"
      },
      "tags": [
        "docker.io/username/myapp"
      ],
      "platforms": [
        "linux/amd64",
        "linux/arm64"
      ]
    }
  }
}"#;
    assert_eq!(format!("{document:#}"), wanted);
    let circle = "target \"a\" { inherits = [\"b\"] }\ntarget \"b\" { inherits = [\"a\"] }";
    assert!(hcl(circle, &given(&["a"], &[], &[])).unwrap_err().contains("infinite loop"));
}

#[test]
fn matrices_make_targets() {
    let names = |document: &Json| -> Vec<String> {
        document["target"].as_object().unwrap().keys().cloned().collect()
    };
    let text = "target \"app\" {\n name = \"app-${tgt}\"\n matrix = { tgt = [\"foo\", \"bar\"] }\n target = tgt\n}";
    let document = hcl(text, &given(&["app"], &[], &[])).unwrap();
    assert_eq!(
        document["group"],
        json!({ "app": { "targets": ["app-foo", "app-bar"] }, "default": { "targets": ["app"] } })
    );
    assert_eq!(document["target"]["app-bar"]["target"], "bar");
    let axes = "target \"app\" {\n name = \"app-${tgt}-${replace(version, \".\", \"-\")}\"\n matrix = {\n \
                tgt = [\"foo\", \"bar\"]\n version = [\"1.0\", \"2.0\"]\n }\n args = { VERSION = version }\n}";
    let document = hcl(axes, &given(&["app"], &[], &[])).unwrap();
    assert_eq!(
        document["group"]["app"]["targets"],
        json!(["app-foo-1-0", "app-foo-2-0", "app-bar-1-0", "app-bar-2-0"])
    );
    assert_eq!(document["target"]["app-foo-2-0"]["args"]["VERSION"], "2.0");
    let maps = "target \"app\" {\n name = \"app-${item.tgt}\"\n matrix = { item = [{ tgt = \"foo\" }, { tgt = \"bar\" }] }\n}";
    assert_eq!(names(&hcl(maps, &given(&["app"], &[], &[])).unwrap()), ["app-bar", "app-foo"]);
    for (text, words) in [
        ("target \"a\" { matrix = { x = [1] } }", "needs a name"),
        ("target \"a\" { name = \"b\" }", "Only a target with a matrix"),
        ("target \"a\" {\n matrix = { x = [1, 2] }\n name = \"same\"\n}", "twice"),
        ("target \"a\" {\n matrix = { x = range(60000) }\n name = \"a${x}\"\n}", "too many"),
        ("target \"a.b\" {}", "Invalid name"),
    ] {
        assert!(hcl(text, &given(&["a"], &[], &[])).unwrap_err().contains(words), "{text}");
    }
}

#[test]
fn variables() {
    let text = "variable \"TAG\" { default = \"latest\" }\nvariable \"N\" { default = 1 }\n\
                variable \"B\" { default = false }\nvariable \"NONE\" {}\n\
                target \"default\" {\n tags = [\"app:${TAG}\"]\n args = { n = N + 1, b = B, none = NONE }\n}";
    let args = |variables: &[(&str, &str)]| {
        let document = hcl(text, &given(&[], &[], variables))?;
        Ok::<_, String>((
            document["target"]["default"]["tags"][0].clone(),
            document["target"]["default"]["args"].clone(),
        ))
    };
    assert_eq!(args(&[]), Ok((json!("app:latest"), json!({ "n": "2", "b": "false" }))));
    assert_eq!(
        args(&[("TAG", "dev"), ("N", "41"), ("B", "true"), ("NONE", "x")]),
        Ok((json!("app:dev"), json!({ "n": "42", "b": "true", "none": "x" })))
    );
    assert!(args(&[("N", "many")]).unwrap_err().contains("Invalid value for variable N"));
    let built_in = "target \"default\" { args = { p = BAKE_LOCAL_PLATFORM } }";
    assert_eq!(
        hcl(built_in, &given(&[], &[], &[])).unwrap()["target"]["default"]["args"]["p"],
        "linux/amd64"
    );
}

#[test]
fn variables_of_a_type() {
    let show = |declared: &str, variables: &[(&str, &str)]| {
        let text = format!(
            "variable \"X\" {{\n{declared}\n}}\ntarget \"default\" {{ args = {{ v = jsonencode(X) }} }}"
        );
        let document = hcl(&text, &given(&[], &[], variables))?;
        Ok::<_, String>(document["target"]["default"]["args"]["v"].as_str().unwrap().to_owned())
    };
    for (declared, variables, wanted) in [
        ("type = number\ndefault = \"5\"", vec![], "5"),
        ("type = string\ndefault = 5", vec![], "\"5\""),
        ("type = list(string)", vec![("X", "a,b")], "[\"a\",\"b\"]"),
        ("type = list(number)\ndefault = [1]", vec![("X_JSON", "[2,3]")], "[2,3]"),
        ("type = set(string)\ndefault = [\"b\", \"a\", \"b\"]", vec![], "[\"a\",\"b\"]"),
        ("type = map(string)", vec![("X", "{\"a\":\"b\"}")], "{\"a\":\"b\"}"),
        ("type = object({ a = number })\ndefault = { a = 1, b = 2 }", vec![], "{\"a\":1}"),
        ("type = tuple([string, number])\ndefault = [1, \"2\"]", vec![], "[\"1\",2]"),
        ("type = bool", vec![("X", "1")], "true"),
    ] {
        assert_eq!(show(declared, &variables), Ok(wanted.to_owned()), "{declared}");
    }
    assert!(show("type = number\ndefault = \"x\"", &[]).unwrap_err().contains("Invalid default"));
    assert!(show("type = nothing", &[]).unwrap_err().contains("Invalid type specification"));
}

#[test]
fn validations() {
    let text = "variable \"X\" {\n default = \"a\"\n validation {\n  condition = X != \"\"\n  error_message = \"X must not be empty.\"\n }\n\
                validation {\n  condition = strlen(X) < 3\n }\n}\ntarget \"default\" {}";
    assert!(hcl(text, &given(&[], &[], &[])).is_ok());
    let error = hcl(text, &given(&[], &[], &[("X", "")])).unwrap_err();
    assert!(error.contains("X must not be empty."), "{error}");
    assert!(hcl(text, &given(&[], &[], &[("X", "long")])).is_err());
}

#[test]
fn references_and_circles() {
    let text = "a = b + 1\nb = 2\nfunction \"inc\" {\n params = [n]\n result = n + a\n}\n\
                function \"all\" {\n params = []\n variadic_params = rest\n result = join(\"-\", rest)\n}\n\
                target \"base\" { tags = [\"x:${inc(1)}\"] }\n\
                target \"default\" {\n tags = target.base.tags\n args = { all = all(\"p\", \"q\") }\n}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    assert_eq!(document["target"]["default"]["tags"], json!(["x:4"]));
    assert_eq!(document["target"]["default"]["args"]["all"], "p-q");
    for (text, words) in [
        ("a = b\nb = a\ntarget \"default\" { args = { a = a } }", "variable cycle not allowed"),
        (
            "function \"f\" {\n params = [x]\n result = f(x)\n}\ntarget \"default\" { args = { a = f(1) } }",
            "too deeply",
        ),
        ("target \"default\" { tags = target.default.tags }", "reference cycle"),
        (
            "function \"f\" {\n params = [x]\n result = x\n}\ntarget \"default\" { args = { a = f() } }",
            "expects 1 argument(s), not 0",
        ),
    ] {
        let error = hcl(text, &given(&[], &[], &[])).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn groups_and_links() {
    let text = "group \"default\" { targets = [\"alpine\", \"more\"] }\ngroup \"more\" { targets = [\"debian\"] }\n\
                target \"default\" { dockerfile-inline = \"FROM ubuntu\" }\ntarget \"alpine\" {}\ntarget \"debian\" {\n contexts = { b = \"target:base\" }\n}\ntarget \"base\" {}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    let names: Vec<&String> = document["target"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["alpine", "base", "debian"]);
    assert_eq!(
        document["group"],
        json!({ "default": { "targets": ["alpine", "more"] }, "more": { "targets": ["debian"] } })
    );
    let planned = plan(&[file("x.hcl", text)], &given(&["d*", "base"], &[], &[])).unwrap();
    assert_eq!(planned.in_order(), ["alpine", "base", "debian"]);
    let error = hcl(text, &given(&["alpin"], &[], &[])).unwrap_err();
    assert_eq!(error, "failed to find target alpin (did you mean alpine?)");
    let circle = "target \"a\" { contexts = { b = \"target:b\" } }\ntarget \"b\" { contexts = { a = \"target:a\" } }";
    assert!(hcl(circle, &given(&["a"], &[], &[])).unwrap_err().contains("infinite loop"));
}

#[test]
fn rows_are_objects() {
    let text = "target \"default\" {\n output = [\"type=image,name=foo\", \"out\", { type = \"tar\", dest = \"-\" }]\n cache-from = [\"user/app:cache\"]\n \
                secret = [\"type=env,id=KUBECONFIG\"]\n ssh = [\"default\", \"key=/a,/b\"]\n attest = [\"type=sbom\"]\n no-cache = 1\n pull = \"always\"\n}";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    let target = &document["target"]["default"];
    assert_eq!(
        target["output"],
        json!([{ "name": "foo", "type": "image" }, { "dest": "out", "type": "local" }, { "dest": "-", "type": "tar" }])
    );
    assert_eq!(target["cache-from"], json!([{ "ref": "user/app:cache", "type": "registry" }]));
    assert_eq!(target["ssh"], json!([{ "id": "default" }, { "id": "key", "paths": ["/a", "/b"] }]));
    assert_eq!((&target["no-cache"], &target["pull"]), (&json!(true), &json!(true)));
    let planned = plan(&[file("x.hcl", text)], &given(&[], &[], &[])).unwrap();
    assert_eq!(planned.targets["default"].rows("output")[0], "name=foo,type=image");
}

#[test]
fn overrides() {
    let text = "group \"default\" { targets = [\"app\", \"db\"] }\ntarget \"app\" {\n tags = [\"a\"]\n args = { x = 1 }\n}\ntarget \"db\" {}";
    let show = |sets: &[&str]| hcl(text, &given(&[], sets, &[("FROM_ENV", "e")]));
    let app = |sets: &[&str]| show(sets).unwrap()["target"]["app"].clone();
    assert_eq!(app(&["app.args.x=2", "app.args.y=3"])["args"], json!({ "x": "2", "y": "3" }));
    assert_eq!(app(&["app.args.FROM_ENV"])["args"]["FROM_ENV"], "e");
    assert_eq!(
        app(&["*.platform=linux/arm64,linux/amd64"])["platforms"],
        json!(["linux/arm64", "linux/amd64"])
    );
    assert_eq!(app(&["app.tags=b", "app.tags=c"])["tags"], json!(["b", "c"]));
    assert_eq!(app(&["app.tags+=b"])["tags"], json!(["a", "b"]));
    assert_eq!(app(&["a*.output=type=registry"])["output"], json!([{ "type": "registry" }]));
    assert_eq!(app(&["*.no-cache", "*.load"])["no-cache"], json!(true));
    assert_eq!(app(&["app.secrets=id=k,src=f"])["secret"], json!([{ "id": "k", "src": "f" }]));
    assert_eq!(show(&["app.target=t"]).unwrap()["target"]["db"].get("target"), None);
    for (set, words) in [
        ("app", "expected target.name=value"),
        ("app.nothing=1", "unknown key: nothing"),
        ("app.tag=1", "did you mean tags?"),
        ("no*.target=x", "could not find any target matching 'no*'"),
        ("app.args=x", "expected target.name=value"),
        ("app.pull=perhaps", "invalid value for pull"),
    ] {
        assert!(show(&[set]).unwrap_err().contains(words), "{set}");
    }
}

#[test]
fn json_files_say_the_same() {
    let text = r#"{
        "variable": { "TAG": { "default": "latest" } },
        "function": { "inc": { "params": ["n"], "result": "n + 1" } },
        "group": { "default": { "targets": ["webapp"] } },
        "target": { "webapp": {
            "dockerfile": "Dockerfile",
            "tags": ["docker.io/username/webapp:${TAG}"],
            "args": { "n": "${inc(1)}", "none": null }
        } } }"#;
    let planned = plan(&[file("docker-bake.json", text)], &given(&[], &[], &[("TAG", "x")]));
    let document = planned.unwrap().document();
    assert_eq!(document["target"]["webapp"]["tags"], json!(["docker.io/username/webapp:x"]));
    assert_eq!(document["target"]["webapp"]["args"], json!({ "n": "2" }));
    let error = plan(&[file("x.json", "{\n \"a\"")], &given(&[], &[], &[])).unwrap_err();
    assert!(error.to_string().starts_with("x.json:2,"), "{error}");
}

#[test]
fn several_files_are_one() {
    let files = [
        file("compose.yaml", "services:\n  webapp:\n    build: .\n    image: from-compose\n"),
        file(
            "docker-bake.hcl",
            "variable \"V\" { default = 1 }\ntarget \"webapp\" {\n tags = [\"a\"]\n args = { a = V, c = 1 }\n}",
        ),
        file(
            "docker-bake.override.hcl",
            "variable \"V\" { default = 2 }\ntarget \"webapp\" {\n tags = [\"b\"]\n args = { b = V }\n}",
        ),
    ];
    let document = plan(&files, &given(&["webapp"], &[], &[])).unwrap().document();
    assert_eq!(document["target"]["webapp"]["tags"], json!(["b"]));
    assert_eq!(document["target"]["webapp"]["args"], json!({ "a": "2", "b": "2", "c": "1" }));
}

#[test]
fn compose_files() {
    let text = "
x-common: &common
  args: { COMMON: \"${C:-dflt}\" }
services:
  web.app:
    image: me/web:${TAG}
    build:
      <<: *common
      context: ./web
      dockerfile: web.Dockerfile
      cache_from: [me/cache]
      platforms: [linux/amd64]
      additional_contexts: [a=./a]
      extra_hosts: [\"h:1.2.3.4\"]
      x-bake:
        tags: [x]
        output: type=docker
  db:
    build: ./db
  none:
    image: postgres
";
    let document =
        plan(&[file("compose.yml", text)], &given(&[], &[], &[("TAG", "1")])).unwrap().document();
    assert_eq!(document["group"], json!({ "default": { "targets": ["db", "web_app"] } }));
    let wanted = json!({
        "context": "./web",
        "contexts": { "a": "./a" },
        "dockerfile": "web.Dockerfile",
        "args": { "COMMON": "dflt" },
        "tags": ["x"],
        "cache-from": [{ "ref": "me/cache", "type": "registry" }],
        "platforms": ["linux/amd64"],
        "output": [{ "type": "docker" }],
        "extra-hosts": { "h": "1.2.3.4" },
    });
    assert_eq!(document["target"]["web_app"], wanted);
    assert_eq!(document["target"]["db"]["context"], "./db");
    let list = "services:\n  a:\n    image: me/a\n    build:\n      context: .\n      args: [X=1, \"Y=$$2 'q'\"]\n";
    let document = plan(&[file("x.yaml", list)], &given(&["a"], &[], &[])).unwrap().document();
    assert_eq!(document["target"]["a"]["args"], json!({ "X": "1", "Y": "$2 'q'" }));
    assert_eq!(document["target"]["a"]["tags"], json!(["me/a"]));
    let bomb = format!(
        "a: &a [x, x]\n{}",
        (1..40)
            .map(|n| format!(
                "b{n}: &b{n} [*{0}, *{0}]\n",
                if n == 1 { "a".to_owned() } else { format!("b{}", n - 1) }
            ))
            .collect::<String>()
    );
    assert!(
        plan(&[file("x.yml", &bomb)], &given(&[], &[], &[]))
            .unwrap_err()
            .to_string()
            .contains("too large")
    );
}

#[test]
fn folders_of_files_that_are_kept_elsewhere() {
    let text = "
target \"default\" {
  context = \"sub\"
  contexts = { a = \"../a\", b = \"cwd://\", c = \"target:x\", d = \"/\", e = \"cwd://e\", f = \"https://h/f.git\",
    g = \"/sys/a:b/../home\", h = \"cwd:///abs\", i = \"cwd://target:x\" }
}
target \"x\" {}
";
    let mut plan = plan(&[file("docker-bake.hcl", text)], &given(&[], &[], &[])).unwrap();
    let is_address = |text: &str| text.starts_with("https://");
    let mut here = plan.clone();
    here.locate(None, &is_address);
    let here = &here.document()["target"]["default"];
    assert_eq!((&here["context"], &here["contexts"]["a"]), (&json!("sub"), &json!("../a")));
    assert_eq!((&here["contexts"]["b"], &here["contexts"]["e"]), (&json!("."), &json!("./e")));
    plan.locate(Some("https://h/r.git#v1:in"), &is_address);
    let target = &plan.document()["target"]["default"];
    assert_eq!(target["context"], "https://h/r.git#v1:in/sub");
    let wanted = json!({
        "a": "https://h/r.git#v1:a",
        "b": ".",
        "c": "target:x",
        "d": "https://h/r.git#v1:in",
        "e": "./e",
        "f": "https://h/f.git",
        "g": "https://h/r.git#v1:in/sys/home",
        "h": "/abs",
        "i": "./target:x",
    });
    assert_eq!(target["contexts"], wanted);
    assert_eq!(inside("git://h/r", "."), "git://h/r");
    assert_eq!(inside("git://h/r", "sub"), "git://h/r#:sub");
}

#[test]
fn objects_need_not_have_what_is_optional() {
    let text = "
variable \"o\" {
  type = object({ n = optional(number), m = optional(string, \"x\"), k = string })
  default = { k = 1 }
}
target \"default\" { args = { k = o.k, m = o.m, n = o.n == null ? \"none\" : o.n } }
";
    let document = hcl(text, &given(&[], &[], &[])).unwrap();
    assert_eq!(document["target"]["default"]["args"], json!({ "k": "1", "m": "x", "n": "none" }));
    let error = hcl(&text.replace("{ k = 1 }", "{ n = 1 }"), &given(&[], &[], &[])).unwrap_err();
    assert!(error.contains("attribute \"k\" is required"), "{error}");
}

#[test]
fn compose_files_say_more() {
    let text = "
services:
  app:
    extends: { service: base, file: }
    build:
      additional_contexts: { db: \"service:my.db\", src: ./src }
      args: { GIVEN: , ABSENT: , SAID: x }
      secrets: [token, { source: of_env, target: /t }]
      ulimits: { nproc: 65535, nofile: { soft: 1, hard: 2 } }
  my.db:
    build: ./db
  base:
    build: { context: ./base, args: [BASE=1] }
secrets:
  token: { file: ./token.txt }
  of_env: { environment: TOKEN }
";
    let given = given(&["app"], &[], &[("GIVEN", "g")]);
    let document = plan(&[file("compose.yml", text)], &given).unwrap().document();
    let wanted = json!({
        "context": "./base",
        "contexts": { "db": "target:my_db", "src": "./src" },
        "dockerfile": "Dockerfile",
        "args": { "BASE": "1", "GIVEN": "g", "SAID": "x" },
        "secret": [{ "id": "token", "src": "./token.txt" }, { "id": "of_env", "env": "TOKEN" }],
        "ulimits": ["nofile=1:2", "nproc=65535:65535"],
    });
    assert_eq!(document["target"]["app"], wanted);
    assert_eq!(document["target"]["my_db"]["context"], "./db");
    let wrong = |text: &str| {
        let error = plan(&[file("compose.yml", text)], &given).unwrap_err();
        error.to_string()
    };
    let service = |build: &str| format!("services:\n  app:\n    build: {build}\n");
    assert!(
        wrong(&service("{ context: ., secrets: [x] }")).contains("secret \"x\" is not defined")
    );
    let ring = "services:\n  app: { extends: app }\n";
    assert!(wrong(ring).contains("it extends \"app\", which extends it"));
}

#[test]
fn errors_show_their_line() {
    let text = "target \"default\" {\n  dockerfile-inline = \"FROM ${BASE_IMAGE}\"\n}\n";
    let error = plan(&[file("docker-bake.hcl", text)], &given(&[], &[], &[])).unwrap_err();
    let wanted =
        "docker-bake.hcl:2,31-41: Unknown variable; There is no variable named \"BASE_IMAGE\".";
    assert_eq!(error.to_string(), wanted);
    let BuildError::BakeFile { lines, .. } = error else { panic!("no place") };
    assert!(lines.contains("   2 | >>>   dockerfile-inline"), "{lines}");
    for (text, words) in [
        (
            "target \"default\" { tag = [\"x\"] }",
            "An argument named \"tag\" is not expected here. Did you mean \"tags\"?",
        ),
        ("targett \"default\" {}", "Did you mean \"target\"?"),
        ("target {}", "One label is required"),
        ("target \"a\" {", "no closing brace"),
        ("a = 1\na = 2", "Attribute redefined"),
        ("target \"default\" { tags = \"x\" }", "Incorrect value for tags; a list is required"),
        ("a = 1 2", "must end with a newline"),
    ] {
        let error = hcl(text, &given(&[], &[], &[])).expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn lists_variables() {
    let text = "variable \"TAG\" {\n type = string\n default = \"x\"\n description = \"the tag\"\n}\nvariable \"L\" {\n type = list(string)\n default = [\"a\"]\n}\nvariable \"N\" {}";
    let (_, variables) = list(&[file("x.hcl", text)], &given(&[], &[], &[])).unwrap();
    let rows: Vec<_> = variables
        .iter()
        .map(|one| (one.name.as_str(), one.kind.as_deref(), one.value.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("L", Some("list(string)"), Some("[\"a\"]")),
            ("N", None, None),
            ("TAG", Some("string"), Some("x"))
        ]
    );
    assert_eq!(variables[2].description.as_deref(), Some("the tag"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(target|variable|\"a\"|=|for|in|if|<<E\n|\\$\\{|%\\{|format|[ \n\\[\\]{}().,:?!*\"\\\\a-c0-2~é-]){0,50}") {
        for text in [text.clone(), format!("target \"default\" {{ args = {{ a = {text} }} }}"), format!("a = \"{text}\"")] {
            let _ = hcl(&text, &given(&[], &[], &[]));
            let _ = plan(&[file("x.yaml", &text)], &given(&[], &[], &[]));
        }
    }
}

#[test]
fn compose_files_include_others() {
    let list = |folder: &str, text: &str| {
        let file = File { folder: folder.to_owned(), ..file("compose.yml", text) };
        let shown = |one: Included| format!("{} in {:?}", one.name, one.folder);
        includes(&file).map(|list| list.into_iter().map(shown).collect::<Vec<_>>())
    };
    let text = "include:\n- a.yml\n- ./b/c.yml\n- path: [d/e.yml, d/f.yml]\n\
                - { path: g/h.yml, project_directory: . }\n";
    let wanted = [
        "a.yml in \"\"",
        "./b/c.yml in \"./b\"",
        "d/e.yml in \"d\"",
        "d/f.yml in \"d\"",
        "g/h.yml in \".\"",
    ];
    assert_eq!(list("", text).unwrap(), wanted);
    assert_eq!(list("x/y", "include: [b/c.yml]\n").unwrap(), ["x/y/b/c.yml in \"x/y/b\""]);
    assert_eq!(list("", "services: {}\n").unwrap(), [""; 0]);
    for wrong in ["[oci://x]", "[{ path: a, env_file: b }]", "[$a]", "a", "[{}]"] {
        assert!(list("", &format!("include: {wrong}\n")).is_err(), "{wrong}");
    }
    let text = "services:\n  a: { build: ./app }\n  b: { build: { dockerfile_inline: FROM x } }\n\
                \x20 c: { build: { context: https://x/y.git, additional_contexts: [n=../n, o=service:a] } }\n";
    let included = File { folder: "sub".to_owned(), ..file("sub/compose.yml", text) };
    let plan = plan(&[included], &Given::default()).unwrap();
    let context = |name: &str| plan.targets[name].text("context").unwrap_or_default();
    assert_eq!([context("a"), context("b"), context("c")], ["sub/app", "sub", "https://x/y.git"]);
    let named: Vec<(&str, &str)> = plan.targets["c"].map("contexts").collect();
    assert_eq!(named, [("n", "sub/../n"), ("o", "target:a")]);
}
