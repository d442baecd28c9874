//! The check of trees, and that no words at all bring the grammar down.

use proptest::prelude::*;

use super::*;

#[test]
fn finds_nothing_wrong_in_a_sound_tree() {
    assert_eq!(problems(&ROOT), Vec::<String>::new());
}

#[test]
fn finds_every_mistake_in_a_tree() {
    static WRONG: Command<()> = Command {
        sub: &[
            &Command { name: "a", about: "A", ..Command::BLANK },
            &Command { name: "b", aliases: &["a"], action: Some(()), ..Command::BLANK },
            &Command {
                name: "c",
                about: "C",
                action: Some(()),
                sub: &[&Command {
                    name: "d",
                    about: "D",
                    action: Some(()),
                    flags: &[
                        &[
                            Flag::int("n", "").short('n').default_value("x"),
                            Flag::bool("n", "").short('n'),
                        ],
                        &[
                            Flag::string("m", "").same_as("gone"),
                            Flag::bool("help", "").value("x").no_value("maybe"),
                            Flag::bool("a=b", "").short('?'),
                        ],
                    ],
                    ..Command::BLANK
                }],
                flags: &[&[]],
                ..Command::BLANK
            },
        ],
        ..Command::BLANK
    };
    let found = problems(&WRONG).join("\n");
    for mistake in [
        "…: two commands a",
        "… a: neither commands nor an action",
        "… b: no name or about",
        "… c: a group with an action",
        "… c: a group with flags",
        "… c d: --n: strconv.ParseInt: parsing \"x\": invalid syntax",
        "… c d: --n: declared twice",
        "… c d: --n: letter n is taken",
        "… c d: --m: no --gone of its kind",
        "… c d: --help: is there already",
        "… c d: --help: a noun, but no value",
        "… c d: --help: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        "… c d: --a=b: cannot be written",
        "… c d: --a=b: no letter",
    ] {
        assert!(found.lines().any(|line| line == mistake), "{mistake}\n{found}");
    }
    assert_eq!(found.lines().count(), 14, "{found}");
}

/// Words near to the grammar, with noise between.
fn any_word() -> impl Strategy<Value = String> {
    const NEAR: &[&str] = &[
        "run",
        "image",
        "ls",
        "help",
        "exec",
        "cp",
        "rmi",
        "stop",
        "--",
        "-",
        "",
        "--rm",
        "--rm=",
        "-it",
        "-p80:80",
        "-t=x",
        "--name",
        "--cpus",
        "--memory=",
        "--platform",
        "-h",
        "--help",
        "-é",
        "--=",
        "-D",
        "--health-interval",
    ];
    let near = prop::sample::select(NEAR).prop_map(str::to_owned);
    prop_oneof![
        3 => near,
        1 => any::<String>(),
        1 => "-{1,2}\\PC{0,6}",
        1 => "[-+0-9.eExb_/kmgi\" ,é]{0,9}",
    ]
}

fn no_names(_: Complete) -> Vec<String> {
    Vec::new()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_words_panic(words in prop::collection::vec(any_word(), 0..8), width in 0usize..200) {
        match parse(&ROOT, "mica", &words) {
            Ok(Parsed::Help { path, .. }) => {
                prop_assert!(render_help(&path, "mica", width).starts_with("Usage:  mica"));
            }
            Ok(Parsed::Version | Parsed::Run(_)) => {}
            Err(answer) => prop_assert!(matches!(answer.exit_code, 1 | 125)),
        }
        let typed = words.last().cloned().unwrap_or_default();
        for candidate in complete(&ROOT, &words, &no_names).candidates {
            prop_assert!(candidate.text.starts_with(&typed));
        }
    }

    #[test]
    fn no_value_panics(text in any::<String>(), near in "[-+0-9.eExb_/kmgis\" ,é\n]{0,24}") {
        for value in [text, near] {
            for kind in [
                Kind::Bool, Kind::Int, Kind::Uint, Kind::Uint16, Kind::Float, Kind::Duration,
                Kind::Size, Kind::SwapSize, Kind::Decimal, Kind::Strings,
            ] {
                let accepted = super::super::value::accept(&Flag::new(kind, "x", ""), &value);
                prop_assert!(accepted.is_ok() || accepted.is_err_and(|why| !why.is_empty()));
            }
        }
    }
}
