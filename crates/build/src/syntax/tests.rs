use super::*;

/// Keywords, flags, rests and names of heredocs, one line a node.
fn shown(text: &str) -> String {
    match parse(text) {
        Err(error) => format!("error: {error}"),
        Ok(document) => {
            let line = |node: &Node| {
                let names: Vec<&str> =
                    node.heredocs.iter().map(|here| here.name.as_str()).collect();
                format!(
                    "{}|{}|{}|{}",
                    node.name(),
                    node.flags.join(","),
                    node.rest,
                    names.join(",")
                )
            };
            document.nodes.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

#[track_caller]
fn check(text: &str, wanted: &str) {
    assert_eq!(shown(text), wanted, "{text:?}");
}

#[test]
fn joins_lines() {
    check("FROM a", "FROM||a|");
    check("  from a  ", "FROM||a|");
    check("RUN x \\\n  y", "RUN||x   y|");
    check("RUN a\\\nb\\\nc", "RUN||abc|");
    check("RUN a \\\n# c\n  # d\n b", "RUN||a  b|");
    check("RUN a \\\n\n\n b", "RUN||a  b|");
    check("RUN a \\", "RUN||a|");
    check("RUN a \\\n", "RUN||a|");
    check("RUN a \\  \t\n b", "RUN||a  b|");
    check("RUN a \\\\\nUSER b", "RUN||a \\\\|\nUSER||b|");
    check("FROM a\r\nRUN b \\\r\n  c\r\n", "FROM||a|\nRUN||b   c|");
    check("# escape=`\nRUN a `\n b\\", "RUN||a  b\\|");
    check("\u{feff}FROM a", "FROM||a|");
    check("\\\nFROM a", "FROM||a|");
    check("", "error: the Dockerfile cannot be empty");
    check("# x\n", "error: file with no instructions");
}

#[test]
fn takes_flags_apart() {
    check(
        "RUN --mount=type=bind,target=/x --network=none a",
        "RUN|--mount=type=bind,target=/x,--network=none|a|",
    );
    check("COPY --chown=a\\ b c d", "COPY|--chown=a b|c d|");
    check("COPY --chown='a b' c d", "COPY|--chown=a b|c d|");
    check("COPY -- --a b", "COPY||--a b|");
    check("COPY a --link b", "COPY||a --link b|");
}

#[test]
fn reads_heredocs() {
    check("RUN <<EOF\nx\ny\nEOF", "RUN||<<EOF|EOF");
    check("RUN <<-EOF\n\tx\n\tEOF\nUSER a", "RUN||<<-EOF|EOF\nUSER||a|");
    check("COPY <<a <<b /d/\n1\na\n2\nb", "COPY||<<a <<b /d/|a,b");
    check("RUN 3<<EOF x\nEOF", "RUN||3<<EOF x|EOF");
    check("RUN x <<<EOF", "RUN||x <<<EOF|");
    check("RUN [\"<<EOF\"]", "RUN||[\"<<EOF\"]|");
    check("ONBUILD RUN <<EOF\na\nEOF", "ONBUILD||RUN <<EOF|EOF");
    check("ENV a <<EOF", "ENV||a <<EOF|");
    check("RUN <<EOF\nx", "error: dockerfile parse error on line 1: unterminated heredoc");
    let node = parse("RUN <<-'E'\n\ta\\\n\t# b\n\n\tE\n").unwrap().nodes.remove(0);
    assert_eq!(node.heredocs[0].content, "a\\\n# b\n\n");
    assert!(!node.heredocs[0].expand);
    assert_eq!((node.span, node.heredocs[0].span), (Span::new(1, 5), Span::new(2, 5)));
}

#[test]
fn reads_directives() {
    let read = |text: &str| parse(&format!("{text}\nFROM a")).map(|document| document.directives);
    let all = read("# syntax=docker/dockerfile:1\n#Escape = `\n# check=skip=all").unwrap();
    assert_eq!(all.syntax.as_deref(), Some("docker/dockerfile:1"));
    assert_eq!((all.escape, all.check.as_deref()), ('`', Some("skip=all")));
    assert_eq!(read("# about\n# escape=`").unwrap().escape, '\\');
    assert_eq!(read("# Version: 0.0.1\n# escape=`").unwrap().escape, '\\');
    assert!(read("# escape=x").is_err());
    assert!(read("# escape=`\n# escape=\\").is_err());
}

#[test]
fn keeps_comments_and_empty_lines() {
    let nodes = parse("# a\n\n# b\n# c\nFROM x\n\nRUN a \\\n\n b").unwrap().nodes;
    assert_eq!(nodes[0].comments, ["b", "c"]);
    assert_eq!((nodes[1].span, nodes[1].empty_lines.as_slice()), (Span::new(7, 9), &[8][..]));
}

#[test]
fn a_trigger_is_one_instruction() {
    let read = |text: &str| read_trigger(text, '\\', Span::new(3, 3));
    let one = |text: &str| read(text).unwrap().rest;
    assert_eq!(one("RUN a\\\n b\n"), "a b");
    assert_eq!(one("\n# about\nRUN a\n\n# more\n"), "a");
    assert_eq!(read("RUN <<E\nb\nE\n").unwrap().heredocs[0].content, "b\n");
    for text in ["RUN a\nRUN b", "RUN <<E\nb\nE\nRUN c", "RUN a\n\nUSER b\n"] {
        let error = read(text).unwrap_err().to_string();
        let words =
            "dockerfile parse error on line 3: onbuild trigger should be a single expression";
        assert_eq!(error, words, "{text:?}");
    }
}

/// What a document says, places left out.
fn meaning(document: &Document) -> Vec<String> {
    let Directives { syntax, escape, check, .. } = &document.directives;
    let head = format!("{syntax:?} {escape} {check:?}");
    let node = |node: &Node| {
        let Node { keyword, flags, rest, heredocs, comments, .. } = node;
        let here = |one: &Heredoc| {
            format!("{} {} {} {} {:?}", one.name, one.expand, one.strip_tabs, one.fd, one.content)
        };
        let heredocs: Vec<String> = heredocs.iter().map(here).collect();
        format!("{keyword} {flags:?} {rest:?} {heredocs:?} {comments:?}")
    };
    std::iter::once(head).chain(document.nodes.iter().map(node)).collect()
}

#[track_caller]
fn prints_the_same(text: &str) {
    let Ok(document) = parse(text) else { return };
    let printed = document.to_string();
    let again = parse(&printed).unwrap_or_else(|error| panic!("{text:?} as {printed:?}: {error}"));
    assert_eq!(meaning(&again), meaning(&document), "{text:?} as {printed:?}");
    assert_eq!(again.to_string(), printed, "{text:?}");
}

#[test]
fn what_is_printed_reads_the_same() {
    for text in [
        "FROM a",
        "# syntax=x\n# escape=`\n# check=skip=all\n\n# about a\nFROM a AS b\nRUN x `\n y",
        "\n# escape=`\nFROM a\nRUN b\\\n",
        "FROM a\nCOPY --chown='a b' --chmod=\"7\\\"\" -- --x /y",
        "FROM a\nRUN --mount=type=bind,target=/x <<-E cat\n\tx\n\t#y\n\n\tE",
        "FROM a\nCOPY <<a <<\"b\" /d/\n1\\\na\n$2\nb\nCMD [\"x\"]",
        "FROM a\r\nRUN b \\\r\n\r\n  # c\r\n  c\r\n",
        "FROM a\nRUN b \\\\\nUSER c",
        "# a\n\n# b\nfrom x\n# c\n# d\nrun y",
        "FROM a\nRUN b \\\u{b}\nUSER c",
    ] {
        prints_the_same(text);
        assert!(parse(text).is_ok(), "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_printed_reads_the_same_always(
        text in "(FROM|RUN|COPY|--|<<|<<-|EOF|# |escape=|check=|[ \\t\\r\\n\u{b}\\\\`$\\{\\}=\"'#a-c\\[\\]é\u{a0}-]){0,40}",
    ) {
        prints_the_same(&text);
        prints_the_same(&format!("FROM a\n{text}"));
    }
}
