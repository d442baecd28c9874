//! Archives that `ADD` unpacks: what is in them twice, and what no layer can keep.

use testkit::Layer;

use super::Builds;

#[test]
fn what_comes_later_in_archives_counts() {
    let Some(it) = Builds::new() else { return };
    let one =
        Layer::new().folder("d").mode(0o700).file("d/a", "one").file("d/b", "one").file("n", "");
    it.file("ctx/one.tar", one.tar());
    let two = Layer::new().folder("d").mode(0o750).file("d/a", "two").folder("n").file("n/x", "x");
    it.file("ctx/two.tar", two.tar());
    it.put("d-file", "of the context");
    it.builds("FROM bb\nADD one.tar two.tar /x/\nADD two.tar one.tar /y/\n", "");
    assert_eq!(it.shows("cd /x; cat d/a d/b n/x; stat -c %a d"), "twoonex750");
    assert_eq!(
        it.shows("cd /y; cat d/a d/b; stat -c \"%a %F\" d n"),
        "oneone700 directory\n644 regular empty file"
    );
    // One archive that was appended to; a file that stands under another name stays what it was.
    let twice = Layer::new().file("f", "old").hard_link("g", "f").file("f", "new");
    it.file("ctx/twice.tar", twice.tar());
    it.builds("FROM bb\nADD twice.tar /\n", "");
    assert_eq!(it.shows("cat /f /g"), "newold");
    // Files of the context and archives.
    let named = Layer::new().file("d-file", "of the archive").tar();
    it.file("ctx/named.tar", named);
    it.builds("FROM bb\nADD d-file named.tar /z/\n", "");
    assert_eq!(it.shows("cat /z/d-file"), "of the archive");
    it.builds("FROM bb\nADD named.tar d-file /z/\nADD d-file named.tar d-file /y/\n", "");
    assert_eq!(it.shows("cat /z/d-file /y/d-file"), "of the contextof the context");
}

#[test]
fn names_that_hide_files_are_refused() {
    let Some(it) = Builds::new() else { return };
    it.put("src/.wh.keep", "");
    it.file("ctx/a.tar", Layer::new().file("in/.wh.keep", "").tar());
    let check = |line: &str, path: &str| {
        let run = it.build(&format!("FROM bb\nRUN mkdir /x; echo > /x/keep\n{line}\n"), "");
        run.complains(1, &format!("cannot keep /{path}: in a layer, a name that begins with .wh."));
    };
    check("COPY src /x", "x/.wh.keep");
    check("ADD a.tar /x", "x/in/.wh.keep");
    it.put(".dockerignore", "**/.wh.*\n");
    it.builds("FROM bb\nRUN mkdir /x; echo > /x/keep\nCOPY src /x\n", "");
    assert_eq!(it.shows("ls /x"), "keep");
}

#[test]
fn an_archives_own_folder_says_nothing_of_the_one_it_goes_into() {
    let Some(it) = Builds::new() else { return };
    let tar = Layer::new().folder("./").mode(0o700).file("./f", "f").tar();
    it.file("ctx/a.tar", tar);
    // As BuildKit does it: that folder is there before anything is unpacked.
    it.builds("FROM bb\nADD a.tar /new/\n", "");
    assert_eq!(it.shows("stat -c %a /new /new/f"), "755\n644");
}

#[test]
fn hard_links_of_an_archive_go_where_links_of_the_base_lead() {
    let Some(it) = Builds::new() else { return };
    let tar = Layer::new().file("link/a", "a").hard_link("link/b", "link/a").tar();
    it.file("ctx/a.tar", tar);
    it.builds("FROM bb\nRUN mkdir -p /x/real && ln -s real /x/link\nADD a.tar /x/\n", "");
    assert_eq!(it.shows("cd /x; readlink link; cat real/b; stat -c %h real/a"), "real\na2");
}
