use super::*;
use crate::syntax::parse;

fn last(text: &str) -> Result<Kind, String> {
    let document = parse(&format!("FROM a\n{text}")).map_err(|error| error.to_string())?;
    let mut all = read(&document).map_err(|error| error.to_string())?;
    Ok(all.pop().expect("there is an instruction").kind)
}

#[track_caller]
fn refused(text: &str, words: &str) {
    let error = last(text).expect_err(text);
    assert!(error.ends_with(words), "{text:?}: {error}");
}

#[test]
fn refuses_in_dockers_words() {
    for (text, words) in [
        ("RUNN x", "line 2: unknown instruction: RUNN (did you mean RUN?)"),
        ("apk add x", "unknown instruction: apk"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS 1a", "name can't start with a number or contain symbols"),
        ("FROM --platform a", "missing a value on flag: --platform"),
        ("RUN --foo=1 x", "unknown flag: --foo"),
        ("RUN --mont=x x", "unknown flag: --mont (did you mean mount?)"),
        ("RUN --security=x x", "security \"x\" is not valid"),
        ("RUN --network=x x", "invalid network mode: \"x\""),
        ("RUN --mount=type=cache,target=/c,sharing=foo x", "unsupported sharing value \"foo\""),
        ("RUN --mount=type=bnd x", "unsupported mount type 'bnd' (did you mean bind?)"),
        ("RUN --mount=type=bind,size=1 x", "unexpected key 'size' for mount type 'bind'"),
        ("RUN --mount=type=secret x", "one of source, target required"),
        ("COPY a", "but only one was provided. Destination could not be determined"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("COPY --from=x --from=y a b", "duplicate flag specified: --from"),
        ("COPY --checksum=x a b", "unknown flag: --checksum"),
        ("ENV a", "ENV must have two arguments"),
        ("ENV =a", "ENV names can not be blank"),
        ("ENV a=b c", "Must be of the form: name=value"),
        ("LABEL", "LABEL requires at least one argument"),
        ("ARG =b", "ARG names can not be blank"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
        ("SHELL a b", "SHELL requires the arguments to be in JSON form"),
        ("CMD [\"a\", 1]", "arrays must be comprised of strings only"),
        ("USER --x a", "unknown flag: --x"),
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=-1s CMD a", "Interval \"interval\" cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
    ] {
        refused(text, words);
    }
}

#[test]
fn reads_mounts() {
    let mount = |text: &str| Mount::parse(text).unwrap();
    assert!(mount("type=bind").read_only && !mount("type=bind,rw").read_only);
    assert!(!mount("target=/t,readonly=false").read_only);
    assert_eq!(mount("type=tmpfs,size=100m").size_bytes, Some(104_857_600));
    assert_eq!(mount("type=cache,sharing=locked,mode=0755").mode, Some(0o755));
    assert_eq!(mount("type=secret,id=s,env=FOO").env.as_deref(), Some("FOO"));
    assert_eq!(mount("type=bind,\"source=a,b\"").source.as_deref(), Some("a,b"));
    assert!(mount("type=ssh,required").required);
}

#[test]
fn copies_files_of_the_dockerfile() {
    let Kind::Copy { sources, target, .. } = last("COPY <<a b <<c /d/\n1\na\n2\nc").unwrap() else {
        panic!("no COPY")
    };
    let inline = |source: &Source| matches!(source, Source::Inline(_));
    assert_eq!(sources.iter().map(inline).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(target, "/d/");
}

/// Every row that says `err` is refused, and every other is read.
#[test]
fn agrees_with_the_tables() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder = std::env::var_os("MICA_VECTORS").unwrap_or_else(|| beside.into());
    for (table, column) in [("instr.tsv", 1), ("ast.tsv", 1)] {
        let Ok(rows) = std::fs::read_to_string(std::path::Path::new(&folder).join(table)) else {
            println!("skipped: no vectors here");
            return;
        };
        for row in rows.lines().skip(1) {
            let cells: Vec<&str> = row.split('\t').collect();
            let text: String = serde_json::from_str(cells[0]).unwrap();
            let read = parse(&text).and_then(|document| match table {
                "instr.tsv" => read(&document).map(drop),
                // A tree may hold what no instruction allows; only lists and pairs are its concern.
                _ => match read(&document) {
                    Err(error) if cells[column] == "err" => Err(error),
                    _ => Ok(()),
                },
            });
            assert_eq!(read.is_err(), cells[column] == "err", "{table}: {text:?}: {read:?}");
        }
    }
}
