//! What is refused, at which line, and in which words.

use build::BuildError;
use build::error::Span;
use build::instruction::read;
use build::syntax::parse;

fn refusal(text: &str) -> BuildError {
    let read = parse(text).and_then(|document| read(&document));
    read.expect_err(text)
}

#[test]
fn words() {
    for (text, words) in [
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a AS", "FROM requires either one or three arguments"),
        ("FROM a IS b", "FROM requires either one or three arguments"),
        ("FROM a AS b c", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1",
            "invalid name for build stage: \"1\", name can't start with a number or contain symbols",
        ),
        (
            "FROM a AS b/c",
            "invalid name for build stage: \"b/c\", name can't start with a number or contain symbols",
        ),
        (
            "FROM a AS -b",
            "invalid name for build stage: \"-b\", name can't start with a number or contain symbols",
        ),
        ("FROM --platfrm=x a", "unknown flag: --platfrm (did you mean platform?)"),
        ("FROM --platform=x --platform=y a", "duplicate flag specified: --platform"),
        ("FORM a", "unknown instruction: FORM (did you mean FROM?)"),
        ("FROM a\nRNU x", "unknown instruction: RNU (did you mean RUN?)"),
        ("FROM a\nrunn x", "unknown instruction: runn (did you mean RUN?)"),
        ("FROM a\nCOYP a b", "unknown instruction: COYP (did you mean COPY?)"),
        ("FROM a\nENTRPOINT x", "unknown instruction: ENTRPOINT (did you mean ENTRYPOINT?)"),
        ("FROM a\nhelicopter", "unknown instruction: helicopter"),
        ("FROM a\nRUN apk update &&\napk add x", "unknown instruction: apk"),
        ("FROM a\n//x", "unknown instruction: //x"),
        ("FROM a\nRUN --network=bridge x", "invalid network mode: \"bridge\""),
        ("FROM a\nRUN --security=none x", "security \"none\" is not valid"),
        ("FROM a\nRUN --mount=type=volume x", "unsupported mount type 'volume'"),
        ("FROM a\nRUN --mount=tgt=/x x", "unexpected key 'tgt'"),
        ("FROM a\nRUN --mount=target x", "invalid field 'target' must be a key=value pair"),
        (
            "FROM a\nRUN --mount=type=cache,target=/c,sharing=all x",
            "unsupported sharing value \"all\"",
        ),
        (
            "FROM a\nRUN --mount=target=/c,sharing=locked x",
            "invalid cache sharing set for bind mount",
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/c,size=1 x",
            "unexpected key 'size' for mount type 'cache'",
        ),
        (
            "FROM a\nRUN --mount=type=bind,target=/c,env=X x",
            "unexpected key 'env' for mount type 'bind'",
        ),
        (
            "FROM a\nRUN --mount=type=bind,target=/c,required x",
            "unexpected key 'required' for mount type 'bind'",
        ),
        ("FROM a\nRUN --mount=type=secret,id=x,from=y x", "secret mount should not have a from"),
        ("FROM a\nRUN --mount=type=ssh,from=y x", "ssh mount should not have a from"),
        (
            "FROM a\nRUN --mount=target=/c,from=$x x",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        ("FROM a\nRUN --mount=type=tmpfs,target=/c,size=much x", "invalid value for size: much"),
        ("FROM a\nRUN --mount=type=cache,target=/c,uid=x x", "invalid value x for uid"),
        ("FROM a\nRUN --mount=type=cache,target=/c,mode=9 x", "invalid value 9 for mode"),
        ("FROM a\nRUN --mount=target=/c,ro=maybe x", "invalid value for ro: maybe"),
        ("FROM a\nRUN --mount x", "missing a value on flag: --mount"),
        (
            "FROM a\nCOPY",
            "COPY requires at least two arguments, but no arguments were provided. Source and destination could not be determined",
        ),
        (
            "FROM a\nADD a",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "FROM a\nCOPY --from=$x a b",
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        ),
        ("FROM a\nCOPY --unpack a b", "unknown flag: --unpack"),
        ("FROM a\nADD --from=x a b", "unknown flag: --from"),
        ("FROM a\nADD --parents a b", "unknown flag: --parents"),
        ("FROM a\nCOPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("FROM a\nCOPY a <<E\nE", "COPY cannot accept a heredoc as a destination"),
        ("FROM a\nCOPY [\"a\", 1]", "arrays must be comprised of strings only"),
        ("FROM a\nENV", "ENV requires at least one argument"),
        ("FROM a\nENV a", "ENV must have two arguments"),
        ("FROM a\nENV a=b c", "Must be of the form: name=value"),
        ("FROM a\nLABEL =b", "LABEL names can not be blank"),
        ("FROM a\nARG", "ARG requires at least one argument"),
        ("FROM a\nARG =", "ARG names can not be blank"),
        ("FROM a\nEXPOSE", "EXPOSE requires at least one argument"),
        ("FROM a\nVOLUME", "VOLUME requires at least one argument"),
        ("FROM a\nVOLUME []", "VOLUME requires at least one argument"),
        ("FROM a\nVOLUME [\"\"]", "VOLUME specified can not be an empty string"),
        ("FROM a\nUSER", "USER requires exactly one argument"),
        ("FROM a\nWORKDIR", "WORKDIR requires exactly one argument"),
        ("FROM a\nSTOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("FROM a\nMAINTAINER", "MAINTAINER requires exactly one argument"),
        ("FROM a\nSHELL bash -c", "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nSHELL []", "SHELL requires at least one argument"),
        ("FROM a\nCMD --x y", "unknown flag: --x"),
        ("FROM a\nENV --x y", "unknown flag: --x"),
        ("FROM a\nHEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("FROM a\nHEALTHCHECK curl x", "Unknown type \"CURL\" in HEALTHCHECK (try CMD)"),
        ("FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nHEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        (
            "FROM a\nHEALTHCHECK --interval=1us CMD x",
            "Interval \"interval\" cannot be less than 1ms",
        ),
        ("FROM a\nHEALTHCHECK --retry=1 CMD x", "unknown flag: --retry"),
        ("FROM a\nONBUILD", "ONBUILD requires at least one argument"),
        ("FROM a\nONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD maintainer b", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD NOPE b", "unknown instruction: NOPE"),
        ("FROM a\nRUN <<E\nx", "unterminated heredoc"),
        ("FROM a\nRUN <<A <<B\n1\nA\n2", "unterminated heredoc"),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\"),
        ("# syntax=a\n# syntax=b\nFROM a", "only one syntax parser directive can be used"),
    ] {
        let error = refusal(text).to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    }
}

#[test]
fn places() {
    for (text, first, last) in [
        ("FROM a\nRUNN x", 2, 2),
        ("FROM a\n\n# c\nCOPY \\\n  a", 4, 5),
        ("FROM a\nRUN <<E\nx", 2, 2),
        ("# c\n\nFROM a b", 3, 3),
        ("# escape=`\n# escape=`\nFROM a", 2, 2),
        ("FROM a\r\nRUNN x\r\n", 2, 2),
    ] {
        let span = refusal(text).span().expect("it has a place");
        assert_eq!(span, Span::new(first, last), "{text:?}");
    }
}

#[test]
fn files_without_stages() {
    for text in ["\n\n", "# c\n", "\u{feff}"] {
        assert_eq!(refusal(text).to_string(), "file with no instructions", "{text:?}");
    }
    assert_eq!(refusal("").to_string(), "the Dockerfile cannot be empty");
    assert_eq!(refusal("RUN x").to_string(), "no build stage in current context");
    assert_eq!(refusal("ARG a\nENV b=c\nFROM x").to_string(), "no build stage in current context");
}

#[test]
fn an_error_shows_its_lines() {
    let text = "FROM a\nCOPY \\\n  a\nRUN x\n";
    let shown = refusal(text).excerpt("Dockerfile", text).unwrap();
    let wanted = "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> COPY \\\n   3 | >>>   a\n   4 |     RUN x\n--------------------\n";
    assert_eq!(shown, wanted);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        if let Err(error) = parse(&text).and_then(|document| read(&document)) {
            let _ = error.excerpt("Dockerfile", &text);
        }
    }
}
