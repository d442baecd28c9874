//! `mica rmi`, `mica image rm`.

use serde_json::json;
use testkit::{Layer, need_root};

use super::layouts::load_platforms;
use crate::support::{Image, Mica, short, small};

fn app() -> Image {
    Image::new(&["app:1.0"])
        .layer(small(), "base")
        .layer(Layer::new().file("app", "app"), "COPY app")
}

/// The chain ids of the layers of `app`, top first.
fn chains() -> [String; 2] {
    let diffs = app().diff_ids();
    let top = spec::Digest::of(format!("{} {}", diffs[0], diffs[1]).as_bytes()).to_string();
    [top, diffs[0].clone()]
}

#[test]
fn the_last_name_takes_the_image_and_its_layers_along() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.ok("tag app:1.0 me/app");
    mica.run("rmi me/app").prints("Untagged: me/app:latest\n");
    let [top, bottom] = chains();
    mica.run("image rm app:1.0")
        .prints(&format!("Untagged: app:1.0\nDeleted: {id}\nDeleted: {top}\nDeleted: {bottom}\n"));
    assert_eq!(mica.ok("images -aq"), "");
    mica.must_be_empty();
}

#[test]
fn layers_that_others_need_stay() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.load(&Image::new(&["base"]).layer(small(), "base"));
    mica.run("image remove app:1.0")
        .prints(&format!("Untagged: app:1.0\nDeleted: {id}\nDeleted: {}\n", chains()[0]));
    mica.must_be_whole();
    assert_eq!(mica.json("info -f json")["Layers"], json!(1));
}

#[test]
fn by_id_and_prefix() {
    let mica = Mica::new();
    for pick in
        [|id: &str| id.to_owned(), |id: &str| id[7..].to_owned(), |id: &str| id[7..19].to_owned()]
    {
        let id = mica.load(&app());
        // The only name goes with the id.
        let run = mica.run(&format!("rmi {}", pick(&id)));
        assert!(
            run.out.starts_with(&format!("Untagged: app:1.0\nDeleted: {id}\n")) && run.code == 0,
            "{run}"
        );
        assert_eq!(mica.ok("images -aq"), "");
    }
}

#[test]
fn several_tags_of_one_repository_are_a_conflict_too() {
    // So says the daemon, whatever its words about repositories.
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.ok("tag app:1.0 app:2.0");
    mica.run(&format!("rmi {id}")).complains(1, "(must be forced) - image is referenced in");
    assert_eq!(mica.ok("images -q").lines().count(), 2, "nothing happened");
    let run = mica.run(&format!("rmi -f {}", short(&id)));
    let expected = format!("Untagged: app:1.0\nUntagged: app:2.0\nDeleted: {id}\n");
    assert!(run.out.starts_with(&expected) && run.code == 0, "{run}");
    mica.must_be_empty();
}

#[test]
fn names_in_several_repositories_are_a_conflict() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.ok("tag app:1.0 me/app");
    mica.run(&format!("rmi {}", short(&id))).fails(
        1,
        &format!(
            "Error response from daemon: conflict: unable to delete {} (must be forced) - image is \
             referenced in multiple repositories\n",
            short(&id)
        ),
    );
    assert_eq!(mica.ok("images -q").lines().count(), 2);
    let run = mica.run(&format!("rmi --force {}", short(&id)));
    let expected = format!("Untagged: app:1.0\nUntagged: me/app:latest\nDeleted: {id}\n");
    assert!(run.out.starts_with(&expected) && run.code == 0, "{run}");
}

/// Several names are one change of the store; what each one took along is told as if it were alone.
#[test]
fn several_names_read_like_one_after_the_other() {
    let two = || Image::new(&["two"]).layer(small(), "base").layer(Layer::new().file("2", ""), "2");
    let tell = |mica: &Mica, lines: &[&str]| {
        let (app, other) = (mica.load(&app()), mica.load(&two()));
        mica.ok("tag app:1.0 app:2.0");
        mica.ok("tag app:1.0 me/app");
        mica.ok("tag two me/two");
        let mut told = (String::new(), String::new());
        for line in lines {
            let line = line.replace("APP", short(&app)).replace("TWO", short(&other));
            let run = mica.run(&line);
            told = (told.0 + &run.out, told.1 + &run.err);
        }
        assert_eq!(mica.ok("images --format '{{.Repository}}'"), "two\nme/two");
        told
    };
    let names = ["app:2.0", "app:2.0", "TWO", "me/app", "nothere", "app:1.0"];
    let single: Vec<String> = names.iter().map(|name| format!("rmi {name}")).collect();
    let single: Vec<&str> = single.iter().map(String::as_str).collect();
    let apart = tell(&Mica::new(), &single);
    let mica = Mica::new();
    let lines = format!("rmi {}", names.join(" "));
    assert_eq!(tell(&mica, &[&lines]), apart);
    assert!(apart.1.contains("(must be forced)") && apart.0.contains("Deleted: "), "{apart:?}");
    mica.must_be_whole();
}

#[test]
fn what_is_there_goes_and_what_is_not_is_told() {
    let mica = Mica::new();
    let id = mica.load(&app());
    let run = mica.run("rmi nothere app:1.0 other:1");
    assert!(run.out.starts_with(&format!("Untagged: app:1.0\nDeleted: {id}\n")), "{run}");
    let words: Vec<&str> = run.err.lines().filter(|line| !line.starts_with("hint")).collect();
    assert_eq!(
        words,
        [
            "Error response from daemon: No such image: nothere:latest",
            "Error response from daemon: No such image: other:1"
        ]
    );
    assert_eq!(run.code, 1);
    // With force, what is not there is no failure.
    let run = mica.run("rmi -f nothere");
    assert!(run.code == 0 && run.err.contains("No such image: nothere:latest"), "{run}");
    mica.run("rmi Upper").fails(
        1,
        "Error response from daemon: invalid reference format: repository name (library/Upper) \
         must be lowercase\n",
    );
    mica.run("rmi").complains(1, "mica: 'mica rmi' requires at least 1 argument");
    mica.run("rmi -x y").complains(125, "unknown shorthand flag: 'x' in -x");
}

#[test]
fn a_mounted_image_is_a_conflict() {
    need_root!();
    let mica = Mica::new();
    let id = mica.load(&app());
    let path = mica.ok("image mount app:1.0");
    let id = short(&id);
    mica.run("rmi app:1.0").fails(
        1,
        &format!(
            "Error response from daemon: conflict: unable to delete {id} (must be forced) - image \
             is mounted at {path}\n"
        ),
    );
    // The advice works, and so does what the error says.
    let advice = format!("hint: `mica image unmount {id}` first, or use --force to do both\n");
    mica.run("rmi app:1.0").complains(1, &advice);
    mica.ok(&format!("image unmount {id}"));
    mica.ok("image mount app:1.0");
    assert_eq!(mica.ok("images -q app:1.0"), id, "nothing happened");
    // Another name may go.
    mica.ok("tag app:1.0 app:2.0");
    mica.run("rmi app:2.0").prints("Untagged: app:2.0\n");
    let run = mica.run("rmi -f app:1.0");
    assert!(run.code == 0 && run.out.starts_with("Untagged: app:1.0\nDeleted: sha256:"), "{run}");
    assert!(!std::path::Path::new(&path).exists());
    mica.must_be_empty();
}

#[test]
fn platforms_are_chosen_and_missed() {
    let mica = Mica::new();
    mica.load(&app());
    mica.run("rmi --platform linux/s390x app:1.0")
        .complains(1, "does not provide the specified platform");
    let host = spec::Platform::host().architecture;
    let run = mica.run(&format!("rmi --no-prune --platform linux/{host} app:1.0"));
    assert!(run.code == 0 && run.out.starts_with("Untagged: app:1.0\nDeleted: "), "{run}");
}

/// The platforms of all images that are here.
fn platforms(mica: &Mica) -> Vec<String> {
    let shown = mica.ok("system df -v --format '{{range .Images}}{{println .Platform}}{{end}}'");
    let mut all: Vec<String> =
        shown.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    all.sort();
    all
}

/// Whoever wants an image takes one that serves; whoever removes one means that one.
#[test]
fn another_platforms_image_is_not_removed_in_its_place() {
    let mica = Mica::new();
    load_platforms(&mica, &["amd64", "arm64", "arm/v7"]);
    let run = mica.run("rmi --platform linux/arm64 mp:1");
    assert!(run.code == 0 && run.out.starts_with("Deleted: sha256:"), "{run}");
    assert_eq!(platforms(&mica), ["linux/amd64", "linux/arm/v7"]);
    mica.run("rmi --platform linux/arm64 mp:1")
        .complains(1, "does not provide the specified platform");
    assert_eq!(platforms(&mica), ["linux/amd64", "linux/arm/v7"], "nothing happened");
    mica.must_be_whole();
}

#[test]
fn a_name_is_untagged_when_it_goes_and_not_before() {
    let mica = Mica::new();
    load_platforms(&mica, &["amd64", "arm64"]);
    let untagged = || mica.events("--filter event=untag --format '{{.Actor.Attributes.name}}'");
    let before = untagged();
    let run = mica.run("rmi --platform linux/arm64 mp:1");
    assert!(run.code == 0 && !run.out.contains("Untagged"), "{run}");
    assert_eq!(untagged(), before, "the name is there");
    // What the journal tells is what a lost table is made of again.
    std::fs::write(mica.root().join("images.json"), "damaged").unwrap();
    mica.run("system check --repair").works();
    assert_eq!(mica.ok("images --format '{{.Repository}}:{{.Tag}}' mp"), "mp:1");
    let run = mica.run("rmi --platform linux/amd64 mp:1");
    assert!(run.code == 0 && run.out.starts_with("Untagged: mp:1\nDeleted: "), "{run}");
    assert_eq!(untagged().lines().count(), before.lines().count() + 1);
    mica.must_be_empty();
}

#[test]
fn a_name_goes_with_all_its_images() {
    let mica = Mica::new();
    load_platforms(&mica, &["amd64", "arm64", "arm/v7"]);
    // Another name keeps all of them.
    mica.ok("tag mp:1 other:1");
    mica.run("rmi mp:1").prints("Untagged: mp:1\n");
    let run = mica.run("rmi other:1");
    let deleted = run.out.lines().filter(|line| line.starts_with("Deleted: ")).count();
    assert!(run.out.starts_with("Untagged: other:1\nDeleted: ") && deleted == 6, "{run}");
    assert_eq!(mica.ok("images -aq"), "");
    mica.must_be_empty();
}
