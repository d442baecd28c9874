//! What a person at a terminal sees: refusals, questions, colours, bars, narrow windows.

use crate::need_programs;
use crate::support::{Image, Mica, small};

#[test]
fn an_archive_is_not_written_to_a_terminal() {
    need_programs!("script", "stty");
    let mica = Mica::new();
    mica.import("base");
    let (text, code) = mica.on_terminal(80, "save base").unwrap();
    assert_eq!(text, "cowardly refusing to save to a terminal. Use the -o flag or redirect\n");
    assert_eq!(code, 1);
    let (_, code) = mica.on_terminal(80, "save -o x.tar base").unwrap();
    assert!(code == 0 && mica.path("x.tar").exists());
}

#[test]
fn a_terminal_is_no_archive() {
    need_programs!("script", "stty");
    let program = env!("CARGO_BIN_EXE_mica");
    let mica = Mica::new();
    // `script` hands a terminal to what it starts when it has one itself or not.
    let shell = format!("exec {program} load </dev/tty");
    let output =
        mica.program("script").args(["-q", "-e", "-c", &shell, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    assert_eq!(text, "requested load from stdin, but stdin is empty\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn colours_only_where_they_are_wanted() {
    need_programs!("script", "stty");
    let mica = Mica::new();
    mica.load(&Image::new(&["app"]).layer(small(), "base"));
    mica.load(&Image::new(&["none"]));
    let (text, _) = mica.on_terminal(80, "image diff none app").unwrap();
    assert!(text.contains("\x1b[32mA\x1b[0m /etc"), "{text:?}");
    assert!(!mica.ok("image diff none app").contains('\x1b'));
    let plain = mica.with("NO_COLOR", "1");
    let (text, _) = plain.on_terminal(80, "image diff none app").unwrap();
    assert!(text.contains("A /etc") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn bars_are_drawn_for_long_work_unless_quiet() {
    need_programs!("script", "stty");
    let mica = Mica::new();
    mica.file("app.tar", Image::new(&["app"]).layer(small(), "base").archive());
    let (text, code) = mica.on_terminal(80, "load -i app.tar").unwrap();
    assert!(
        code == 0
            && text.contains(": Loading layer [=")
            && text.ends_with("Loaded image: app:latest\n"),
        "{text:?}"
    );
    mica.ok("rmi app");
    let (text, _) = mica.on_terminal(80, "load -q -i app.tar").unwrap();
    assert_eq!(text, "Loaded image: app:latest\n");
    mica.ok("rmi app");
    // A bar is never wider than its terminal.
    let (text, _) = mica.on_terminal(40, "load -i app.tar").unwrap();
    for line in text.lines() {
        let shown = line.replace("\r", "").replace("\x1b[2K", "").replace("\x1b[1A", "");
        assert!(shown.chars().count() <= 40, "{shown:?}");
    }
}

#[test]
fn trees_are_cut_to_the_window() {
    need_programs!("script", "stty");
    let mica = Mica::new().with("NO_COLOR", "1");
    mica.import("registry.example.com/a-rather-long-name/that-does-not-fit:nightly");
    for columns in [40, 60, 100] {
        for line in ["images --tree", "image tree"] {
            let (text, code) = mica.on_terminal(columns, line).unwrap();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(code == 0 && widest <= columns as usize, "{columns}: {text}");
        }
    }
    let (text, _) = mica.on_terminal(60, "images --tree").unwrap();
    assert!(text.contains("registry.example…") && !text.contains("EXTRA"), "{text}");
    let (text, _) = mica.on_terminal(40, "image tree").unwrap();
    assert!(text.contains('…'), "{text}");
    // Nobody cuts what goes into a file.
    assert!(mica.ok("image tree").contains("in all)"));
}

#[test]
fn tables_and_help_at_any_width() {
    need_programs!("script", "stty");
    let mica = Mica::new();
    mica.import("registry.example.com/a-rather-long-name/that-does-not-fit:nightly");
    // As docker has it: columns keep their width, the terminal wraps.
    let (text, _) = mica.on_terminal(40, "images").unwrap();
    assert_eq!(text, format!("{}\n", mica.ok("images")));
    let (narrow, _) = mica.on_terminal(60, "images --help").unwrap();
    let options = narrow.split("Options:\n").nth(1).unwrap();
    assert!(options.lines().all(|line| line.chars().count() <= 60), "{narrow}");
}
