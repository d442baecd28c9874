//! Global flags, the settings file, the environment, and what completes a command line.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::json;

use crate::need_programs;
use crate::support::{Mica, Run};

#[test]
fn flags_come_before_the_environment_before_the_file() {
    let mica = Mica::new();
    let (home, place) = (mica.path(""), |name: &str| mica.path(name).display().to_string());
    mica.file(
        "settings.toml",
        format!("data-root = '{}'\nstorage-driver = 'overlay'\n", place("file-root")),
    );
    let root =
        |line: &str| mica.ok(&format!("{line} info -f '{{{{.DockerRootDir}}}} {{{{.Driver}}}}'"));
    // The environment names a root already; the file's driver is the only one.
    assert_eq!(root("--config settings.toml"), format!("{} overlay2", mica.root().display()));
    assert_eq!(
        root(&format!("--config {} --data-root flag-root", home.join("settings.toml").display())),
        format!("{} overlay2", place("flag-root"))
    );
    let output = mica
        .command("--config settings.toml info -f '{{.DockerRootDir}}'")
        .env_remove("MICA_ROOT")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", place("file-root")));
    assert_eq!(
        root("--data-root other --storage-driver overlay"),
        format!("{} overlay2", place("other"))
    );
    assert_eq!(
        mica.ok("--run-root here info -f '{{.RunRoot}}'")
            .split("/work/")
            .nth(1)
            .unwrap()
            .split('/')
            .next(),
        Some("here")
    );
    // A folder stands for the file in it.
    mica.file("folder/config.toml", format!("data-root = '{}'\n", place("folder-root")));
    let output = mica
        .command("--config folder info -f '{{.DockerRootDir}}'")
        .env_remove("MICA_ROOT")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", place("folder-root")));
    fs::create_dir(mica.path("empty")).unwrap();
    mica.ok("--config empty images");
}

#[test]
fn a_settings_file_with_mistakes_names_them() {
    let mica = Mica::new();
    let check = |text: &str, part: &str| {
        mica.file("settings.toml", text);
        let run = mica.run("--config settings.toml images");
        run.complains(125, part);
        assert!(run.out.is_empty() && run.err.starts_with("error: "), "{run}");
    };
    check("data_root = '/x'", "did you mean `data-root`?");
    check("data-root = 7", "is not a settings file: invalid type");
    check("data-root = ", "is not a settings file: ");
    check("storage-driver = 'zfs'", "unknown storage driver");
    check("log-level = 'loud'", "invalid logging level: loud");
    check("[limits]\nlayer-size = 'much'", "limits.layer-size: \"much\" is not a size");
    check("[limits]\nlayers = 3", "unknown field `layers`");
    let run = mica.run("--config nothere.toml images");
    run.complains(125, "error: cannot read the settings in nothere.toml\n  because: ");
}

#[test]
fn what_is_no_text_is_refused() {
    let mica = Mica::new();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.tar");
    let said = |command: &mut std::process::Command| {
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, words) = said(mica.command("load -i").arg(odd));
    assert_eq!(code, Some(1));
    let wanted = "error: an argument is not UTF-8: \"odd\\xFF.tar\"\nhint: ";
    assert!(words.starts_with(wanted), "{words}");
    let (code, words) = said(mica.command("images").env("MICA_ROOT", odd));
    assert!(code == Some(125) && words.contains("is not UTF-8"), "{code:?} {words}");
    // Nobody's but a container's.
    assert_eq!(said(mica.command("images").env("OTHER", odd)).0, Some(0));
}

#[test]
fn limits_of_the_settings_hold() {
    let mica = Mica::new();
    mica.file("settings.toml", "[limits]\nlayer-entries = 3\n");
    mica.file("small.tar", crate::support::small().tar());
    let run = mica.run("--config settings.toml import small.tar base");
    assert!(run.code == 1 && run.err.starts_with("error: "), "{run}");
    mica.file("settings.toml", "[limits]\nlayer-entries = 300\nlayer-size = '1k'\n");
    assert_eq!(mica.run("--config settings.toml import small.tar base").code, 1);
    mica.file("settings.toml", "[limits]\nlayer-size = '1m'\npath-depth = 10\n");
    mica.ok("--config settings.toml import small.tar base");
}

#[test]
fn logging() {
    let mica = Mica::new();
    mica.run("-l nope images").fails(1, "Unable to parse logging level: nope\n");
    mica.run("--log-level=loud images").fails(1, "Unable to parse logging level: loud\n");
    let run = mica.run("--debug images");
    assert!(run.code == 0 && run.err.contains("debug: storage driver "), "{run}");
    let run = mica.run("-D --log-level error images -q");
    assert!(run.err.contains(&format!("debug: data root {}\n", mica.root().display())), "{run}");
    mica.file("settings.toml", "log-level = 'debug'\n");
    let run = mica.run("--config settings.toml images -q");
    assert!(run.err.contains("debug: run root "), "{run}");
    mica.run("-l warn images -q").prints("");
    // Docker's words for levels, however they are written.
    for level in ["trace", "panic", "DEBUG", "Warn"] {
        assert_eq!(mica.run(&format!("-l {level} images -q")).code, 0, "{level}");
    }
    // The environment comes before the file, and flags before both.
    let mica = mica.with("MICA_LOG_LEVEL", "warn");
    mica.run("--config settings.toml images -q").prints("");
    assert!(mica.run("-l debug images -q").err.contains("debug: run root "));
    let mica = mica.with("MICA_LOG_LEVEL", "debug");
    assert!(mica.run("images -q").err.contains("debug: run root "));
    mica.run("-l info images -q").prints("");
    let mica = mica.with("MICA_LOG_LEVEL", "loud");
    mica.run("images -q").complains(125, "invalid logging level: loud");
}

#[test]
fn a_driver_that_does_not_fit_says_why() {
    let mica = Mica::new();
    mica.run("--storage-driver nope images").complains(125, "unknown storage driver");
    // Files in memory are nothing that EROFS can be mounted from.
    if !mica.root().starts_with("/dev/shm") {
        return testkit::skip("needs a file system in memory at /dev/shm");
    }
    let run = mica.run("--storage-driver erofs images");
    assert!(run.code == 1 && run.err.contains("erofs"), "{run}");
    // A store keeps the driver that it was made with.
    mica.ok("--storage-driver overlay images");
    let run = mica.run("--storage-driver erofs images");
    assert!(run.code == 1 && run.err.contains("overlay"), "{run}");
    assert_eq!(mica.ok("info -f '{{.Driver}}'"), "overlay2");
}

#[test]
fn unknown_words() {
    let mica = Mica::new();
    mica.run("nope")
        .fails(1, "mica: unknown command: mica nope\n\nRun 'mica --help' for more information\n");
    let run = mica.run("imags");
    assert!(run.code == 1 && run.err.contains("Did you mean 'mica images'?"), "{run}");
    mica.run("image nope").complains(1, "mica: unknown command: mica image nope\n");
    mica.run("--nope").complains(125, "unknown flag: --nope\n");
    mica.run("images --filter").complains(125, "flag needs an argument: --filter\n");
    mica.run("help nope").complains(1, "unknown help topic: nope");
    let run = mica.run("");
    assert!(run.code == 0 && run.out.is_empty() && run.err.contains("Usage:  mica"), "{run}");
}

#[test]
fn looking_makes_no_store() {
    let mica = Mica::new();
    for line in [
        "--help",
        "images --help",
        "--version",
        "version",
        "version --format json",
        "completion bash",
        "__complete ''",
        "__complete image inspect ''",
        "__completeNoDesc rmi b",
    ] {
        mica.ok(line);
    }
    mica.run("images --nope");
    mica.run("images --tree -q");
    assert!(!mica.root().exists(), "{:?}", mica.root());
    mica.ok("images");
    assert!(mica.root().exists());
}

#[test]
fn completion_without_descriptions() {
    let mica = Mica::new();
    assert!(mica.ok("__complete image insp").starts_with("inspect\tDisplay"));
    assert!(mica.ok("__completeNoDesc image insp").starts_with("inspect\t\n"));
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = mica.ok(&format!("completion {shell} --no-descriptions"));
        assert!(script.contains(" __completeNoDesc ") && !script.contains(" __complete "));
    }
}

#[test]
fn completion() {
    let mica = Mica::new();
    mica.import("base");
    mica.ok("tag base other:1");
    let answers = |line: &str| {
        let out = mica.ok(&format!("__complete {line}"));
        let words = out.lines().filter(|line| !line.starts_with(':'));
        words.map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(answers("image insp"), ["inspect"]);
    assert_eq!(answers("image inspect ''"), ["base:latest", "other:1"]);
    mica.ok("volume create data");
    mica.ok("create --name box base sh");
    assert_eq!(answers("volume rm ''"), ["data"]);
    assert_eq!(answers("rm b"), ["box"]);
    assert_eq!(answers("stop ''"), [""; 0]);
    assert!(answers("network inspect b").contains(&"bridge".to_owned()));
    assert!(answers("images --f").contains(&"--format".to_owned()));
    assert!(answers("''").contains(&"images".to_owned()));
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let script = mica.ok(&format!("completion {shell}"));
        assert!(script.contains("__complete"), "{script}");
        if crate::support::has(shell) {
            let file = mica.file("script", script);
            let status = mica.program(shell).arg(check).arg(file).status().unwrap();
            assert!(status.success(), "{shell}");
        }
    }
    mica.run("completion nope").complains(1, "unknown command: mica completion nope");
}

#[test]
fn completion_in_a_real_shell() {
    need_programs!("bash");
    let mica = Mica::new();
    mica.import("base");
    let program = env!("CARGO_BIN_EXE_mica");
    let folder = std::path::Path::new(program).parent().unwrap().display();
    let script = format!(
        "PATH={folder}:$PATH; source <(mica completion bash); COMP_WORDS=(mica image inspect ba); \
         COMP_CWORD=3; COMP_LINE='mica image inspect ba'; COMP_POINT=${{#COMP_LINE}}; \
         f=$(complete -p mica | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f mica ba inspect; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = mica.program("bash").args(["-c", &script]).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("base"), "{out}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mica = Mica::new();
    mica.import("base");
    let script = format!(
        "{} history --no-trunc base | true; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_mica")
    );
    let output = mica.program("bash").args(["-c", &script]).output().unwrap();
    let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(code == "0" || code == "141", "{code}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What nobody can ever read was not printed, also if Rust has opened something in its place.
#[test]
fn a_closed_output_is_an_error() {
    let mica = Mica::new();
    mica.import("base");
    let program = env!("CARGO_BIN_EXE_mica");
    for line in ["images", "inspect base", "save base", "--help"] {
        let output = mica.program("sh").args(["-c", &format!("{program} {line} >&-")]).output();
        let run = Run::of(line, output.unwrap());
        let words = format!("{}{}", run.out, run.err);
        assert!(run.code == 1 && words.contains("Bad file descriptor"), "{run}");
    }
    for line in [format!("{program} tag base again >&-"), format!("{program} images >/dev/null")] {
        let output = mica.program("sh").args(["-c", &line]).output().unwrap();
        Run::of(&line, output).prints("");
    }
}

#[test]
fn what_json_the_settings_show() {
    let mica = Mica::new();
    let info = mica.json("info --format json");
    assert_eq!(info["ServerVersion"], json!(env!("CARGO_PKG_VERSION")));
    assert!(
        info["DriverStatus"].as_array().unwrap().iter().any(|pair| pair[0] == "Chosen because")
    );
}
