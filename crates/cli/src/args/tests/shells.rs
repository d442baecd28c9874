//! The completion scripts, in the shells themselves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as Process, Output};
use std::{env, fs};

use super::*;

/// A folder with a program `mica` that notes its words and answers with `answer`.
fn stand_in(answer: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("mica");
    let here = folder.path().display();
    fs::write(folder.path().join("answer"), answer).expect("an answer");
    fs::write(folder.path().join("file=1"), "").expect("a file");
    fs::create_dir(folder.path().join("folder 2")).expect("a folder");
    let script = format!("#!/bin/sh\nprintf '<%s>' \"$@\" >'{here}/asked'\ncat '{here}/answer'\n");
    fs::write(&program, script).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    folder
}

/// Runs `script` in a shell, or not at all where the shell is not installed.
fn in_shell(shell: &str, folder: &Path, script: &str) -> Option<String> {
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default());
    let process =
        Process::new(shell).arg("-c").arg(script).env("PATH", path).current_dir(folder).output();
    let Ok(Output { stdout, stderr, status }) = process else {
        println!("skipped: no {shell} here");
        return None;
    };
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    Some(String::from_utf8(stdout).expect("text"))
}

/// What bash replaces the word at the cursor by, and which words the program was asked about.
///
/// `cut` are the words as bash cuts them.
#[track_caller]
fn check_bash(line: &str, cut: &[&str], answer: &str, asked: &str, expected: &str) {
    let folder = stand_in(answer);
    let words: Vec<_> = cut.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "{}\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_LINE='{line}'\nCOMP_POINT={}\n_mica\n\
         printf '[%s]\\n' \"${{COMPREPLY[@]}}\" | sort -r | tr -d '\\n'",
        completion_script(Shell::Bash, "mica"),
        words.join(" "),
        cut.len() - 1,
        line.len(),
    );
    let Some(reply) = in_shell("bash", folder.path(), &script) else {
        return;
    };
    let was_asked = fs::read_to_string(folder.path().join("asked")).expect("a question");
    assert_eq!((was_asked.as_str(), reply.as_str()), (asked, expected), "{line}");
}

#[test]
fn bash_offers_words() {
    let images = answer_to(&["im"]);
    check_bash("mica im", &["mica", "im"], &images, "<__complete><--><im>", "[images][image]");
    check_bash(
        "mica  image\tls  ",
        &["mica", "image", "ls", ""],
        ":\n",
        "<__complete><--><image><ls><>",
        "[]",
    );
}

#[test]
fn bash_joins_what_it_cut() {
    check_bash(
        "mica rmi alpine:",
        &["mica", "rmi", "alpine", ":"],
        "alpine:3\t\nalpine:edge\t\n:\n",
        "<__complete><--><rmi><alpine:>",
        "[edge][3]",
    );
    check_bash(
        "mica rmi a:1 alpine:e",
        &["mica", "rmi", "a", ":", "1", "alpine", ":", "e"],
        "alpine:edge\t\n:\n",
        "<__complete><--><rmi><a:1><alpine:e>",
        "[edge]",
    );
    check_bash(
        "mica run --pull=n",
        &["mica", "run", "--pull", "=", "n"],
        &answer_to(&["run", "--pull=n"]),
        "<__complete><--><run><--pull=n>",
        "[never]",
    );
}

#[test]
fn bash_looks_into_quotes() {
    check_bash(
        "mica rmi a\\:1 \"alpine:e",
        &["mica", "rmi", "a\\:1", "\"alpine:e"],
        "alpine:edge\t\n:\n",
        "<__complete><--><rmi><a:1><alpine:e>",
        "[alpine:edge]",
    );
}

#[test]
fn bash_adds_file_names() {
    check_bash(
        "mica run --cidfile f",
        &["mica", "run", "--cidfile", "f"],
        ":files\n",
        "<__complete><--><run><--cidfile><f>",
        "[folder 2][file=1]",
    );
    check_bash(
        "mica --config=f",
        &["mica", "--config", "=", "f"],
        ":folders\n",
        "<__complete><--><--config=f>",
        "[folder 2]",
    );
}

#[test]
fn bash_looks_no_further_than_the_cursor() {
    let folder = stand_in(":\n");
    let script = format!(
        "{}\nCOMP_WORDS=(mica images)\nCOMP_CWORD=1\nCOMP_LINE='mica images'\nCOMP_POINT=7\n_mica",
        completion_script(Shell::Bash, "mica")
    );
    if in_shell("bash", folder.path(), &script).is_some() {
        let asked = fs::read_to_string(folder.path().join("asked")).expect("a question");
        assert_eq!(asked, "<__complete><--><im>");
    }
}

/// What the program answers to these words.
fn answer_to(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    complete(&ROOT, &words, &|_| Vec::new()).to_string()
}

#[test]
fn fish_offers_words_and_files() {
    for (line, answer, asked, expected) in [
        ("mica im", answer_to(&["im"]), "<im>", "image\tManage images\nimages\tList images\n"),
        ("mica rmi alpine:", "alpine:3\t\n:\n".to_owned(), "<rmi><alpine:>", "alpine:3\n"),
        ("mica run ", ":\n".to_owned(), "<run><>", ""),
        ("mica run --cidfile fi", ":files\n".to_owned(), "<run><--cidfile><fi>", "file=1\n"),
        ("mica --config=fo", ":folders\n".to_owned(), "<--config=fo>", "--config=folder 2/\n"),
    ] {
        let folder = stand_in(&answer);
        let script = completion_script(Shell::Fish, "mica");
        let script = format!("{script}\ncomplete -C '{line}'");
        let Some(reply) = in_shell("fish", folder.path(), &script) else {
            return;
        };
        assert_eq!(reply, expected, "{line}");
        let was_asked = fs::read_to_string(folder.path().join("asked")).expect("a question");
        assert_eq!(was_asked, format!("<__complete><-->{asked}"));
    }
}

#[test]
fn zsh_reads_its_script() {
    let folder = stand_in(":\n");
    let script = completion_script(Shell::Zsh, "mica");
    in_shell("zsh", folder.path(), &format!("compdef() {{ print $* }}\n{script}"));
}

#[test]
fn scripts_take_the_name_of_the_program() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = completion_script(shell, "my-mica");
        assert!(script.contains("my-mica __complete -- "));
        assert!(script.contains("_my_mica"));
        assert!(!script.contains("PROGRAM") && !script.contains("FUNCTION"));
    }
}
