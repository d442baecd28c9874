//! `COPY` and `ADD`: what goes where, whose it is, and what it may do.

use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

use spec::Digest;
use testkit::Layer;

use super::Builds;

/// `stat` of a path in the image, as `mode owner:group`.
const STAT: &str = "stat -c \"%a %u:%g\"";

#[test]
fn folders_give_their_contents_and_files_their_names() {
    let Some(it) = Builds::new() else { return };
    it.put("src/one", "1");
    it.put("src/sub/two", "22");
    it.put("a.txt", "a");
    it.put("b.txt", "b");
    it.builds(
        "FROM bb\nWORKDIR /w\nCOPY src /all\nCOPY src/one to\nCOPY src/one dir/\nCOPY *.txt /texts/\n\
         COPY --from=bb /etc/passwd /p\nCOPY . .\n",
        "",
    );
    assert_eq!(it.shows("cd /all; find . -type f | sort"), "./one\n./sub/two");
    assert_eq!(it.shows("cat /w/to /w/dir/one"), "11");
    assert_eq!(it.shows("ls /texts"), "a.txt\nb.txt");
    assert_eq!(it.shows("head -1 /p"), "root:x:0:0:root:/root:/bin/sh");
    assert_eq!(it.shows("ls /w"), "Dockerfile\na.txt\nb.txt\ndir\nsrc\nto");
}

#[test]
fn owners_and_permissions_are_those_asked_for() {
    let Some(it) = Builds::new() else { return };
    it.put("src/run.sh", "x");
    it.builds(
        "FROM bb\nCOPY src /plain\nCOPY --chown=11:22 src /numbers/\nCOPY --chown=bob:staff src /names\n\
         COPY --chown=bob src /name\nCOPY --chmod=4711 src/run.sh /octal\n\
         COPY --chmod=go-r,u+x src/run.sh /symbols\n",
        "",
    );
    assert_eq!(it.shows(&format!("{STAT} /plain/run.sh")), "644 0:0");
    assert_eq!(it.shows(&format!("{STAT} /numbers /numbers/run.sh")), "755 11:22\n644 11:22");
    assert_eq!(
        it.shows(&format!("{STAT} /names/run.sh /name/run.sh")),
        "644 1000:50\n644 1000:1001"
    );
    assert_eq!(it.shows(&format!("{STAT} /octal /symbols")), "4711 0:0\n700 0:0");
    it.builds(
        "FROM bb AS own\nRUN echo > /f && chown 7:8 /f\nFROM bb\nARG EMPTY=\n\
         COPY --chown=:staff src/run.sh /group\nCOPY --chown=bob: src/run.sh /user\n\
         COPY --chown=$EMPTY src/run.sh /nobody\nCOPY --from=own --chown=$EMPTY /f /kept\n\
         COPY --chown=9: src/run.sh /number\n",
        "",
    );
    assert_eq!(
        it.shows(&format!("{STAT} /group /user /nobody /kept /number")),
        "644 0:50\n644 1000:1001\n644 0:0\n644 7:8\n644 9:9"
    );
    let run = it.build("FROM bb\nCOPY --chown=nobody src /x\n", "");
    run.complains(1, "can't find uid for user nobody: no such user");
}

#[test]
fn what_is_ignored_is_not_there() {
    let Some(it) = Builds::new() else { return };
    for name in ["keep.md", "drop.md", "deep/drop.md", "deep/keep.txt", "other/x"] {
        it.put(name, name);
    }
    it.put(".dockerignore", "**/*.md\n!keep.md\nother\nDockerfile\n.dockerignore\n");
    it.builds("FROM bb\nCOPY . /c\n", "");
    assert_eq!(it.shows("cd /c; find . -type f | sort"), "./deep/keep.txt\n./keep.md");
    let run = it.build("FROM bb\nCOPY other/x /c\n", "");
    run.complains(1, "\"/other/x\": not found");
    it.put("Dockerfile.dockerignore", "deep\n");
    it.builds("FROM bb\nCOPY . /c\n", "");
    assert_eq!(it.shows("test -e /c/other/x; test ! -e /c/deep; echo $?"), "0");
}

#[test]
fn archives_are_unpacked_by_their_content() {
    let Some(it) = Builds::new() else { return };
    let tar = Layer::new().folder("in").file("in/file", "packed").mode(0o640).tar();
    it.file("ctx/s.bin", &tar);
    it.put("e.tar.gz", "no archive");
    it.builds("FROM bb\nADD s.bin /un/\nADD e.tar.gz /un/\nCOPY s.bin /copied\nADD --unpack=false s.bin /kept\n", "");
    assert_eq!(it.shows("cat /un/in/file; stat -c %a /un/in/file"), "packed640");
    assert_eq!(it.shows("cat /un/e.tar.gz"), "no archive");
    let bytes = tar.len().to_string();
    assert_eq!(it.shows("stat -c %s /copied /kept"), format!("{bytes}\n{bytes}"));
    it.builds("FROM bb\nADD --chmod=700 --chown=bob s.bin /un/\nADD --chmod=700 e.tar.gz /\n", "");
    assert_eq!(it.shows(&format!("{STAT} /un/in/file /e.tar.gz")), "640 1000:1001\n700 0:0");
}

#[test]
fn links_in_the_target_are_followed_and_those_in_sources_kept() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "f");
    std::os::unix::fs::symlink("f", it.path("ctx/link")).unwrap();
    std::fs::create_dir(it.path("ctx/d")).unwrap();
    std::os::unix::fs::symlink("../f", it.path("ctx/d/up")).unwrap();
    it.builds(
        "FROM bb\nRUN mkdir -p /usr/lib && ln -s usr/lib /lib\nCOPY f /lib/x/\nCOPY link /l\nCOPY d /d\n",
        "",
    );
    assert_eq!(it.shows("cat /usr/lib/x/f; readlink /lib"), "fusr/lib");
    assert_eq!(it.shows("cat /l; readlink /d/up"), "f../f");
    let run = it.build("FROM bb\nRUN ln -s /etc /lib\nCOPY . /\nCOPY d /etc/passwd\n", "");
    run.complains(1, "cannot copy to non-directory: /etc/passwd");
}

#[test]
fn a_file_is_no_folder_to_copy_into() {
    let Some(it) = Builds::new() else { return };
    it.put("f", "f");
    it.file("ctx/a.tar", Layer::new().file("x", "x").tar());
    for copy in [
        "COPY f /file/",
        "COPY f /link/",
        "COPY f /file/sub",
        "COPY f /link/sub",
        "COPY f /file/deep/sub/",
        "ADD a.tar /file",
        "ADD a.tar /link/",
    ] {
        let run = it.build(&format!("FROM bb\nRUN echo > /file; ln -s file /link\n{copy}\n"), "");
        run.complains(1, "cannot copy into /file: it already exists but is not a directory");
    }
    // What leads nowhere yet is made.
    it.builds("FROM bb\nRUN ln -s /new /link\nCOPY f /link/\n", "");
    assert_eq!(it.shows("cat /new/f"), "f");
}

#[test]
fn documents_parents_and_exclusions() {
    let Some(it) = Builds::new() else { return };
    for name in ["a/b/c.txt", "a/b/d.log", "top"] {
        it.put(name, name);
    }
    it.builds(
        "FROM bb\nCOPY <<one <<two /docs/\nfirst\none\nsecond\ntwo\n\
         COPY --parents a/b/c.txt top /p/\nCOPY --parents a/./b /q/\nCOPY --exclude=*.log a/b /x\n",
        "",
    );
    assert_eq!(it.shows("cat /docs/one /docs/two; stat -c %a /docs/one"), "first\nsecond\n644");
    assert_eq!(it.shows("cd /p; find . -type f | sort"), "./a/b/c.txt\n./top");
    assert_eq!(it.shows("cd /q; find . -type f | sort; ls /x"), "./b/c.txt\n./b/d.log\nc.txt");
}

#[test]
fn variables_in_documents_mean_their_values() {
    let Some(it) = Builds::new() else { return };
    let file = "FROM bb\nARG V=value\nENV E=env\nCOPY <<EOF <<\"RAW\" /docs/\n\
                v=\"${V}\" '$E' ${NO:-none}$NO \\$V\nEOF\n${V} \\$V\nRAW\n\
                ADD --chmod=640 <<-EOF /$E\n\t$V\nEOF\n";
    it.builds(file, "");
    let shown = it.shows("cat /docs/EOF /docs/RAW /env; stat -c %a /env");
    assert_eq!(shown, "v=\"value\" 'env' none $V\n${V} \\$V\nvalue\n640");
    let told = it.builds(file, "--explain --build-arg V=other");
    assert!(told.contains("argument V changed from \"value\" to \"other\""), "{told}");
    assert!(it.shows("cat /docs/EOF").starts_with("v=\"other\""));
}

#[test]
fn patterns_reach_into_folders_where_parents_are_kept() {
    let Some(it) = Builds::new() else { return };
    for name in ["src/a.go", "src/a_test.go", "src/p/b.go", "src/p/q/c.go", "src/p/q/c.md"] {
        it.put(name, name);
    }
    it.builds(
        "FROM bb\nCOPY --parents --exclude=**/*_test.go src/**/*.go /x/\n\
         COPY --parents --exclude=p/q src/./** /y/\nCOPY src/**/*.go /z/\n",
        "",
    );
    let files = |folder| it.shows(&format!("cd {folder}; find . -type f | sort"));
    assert_eq!(files("/x"), "./src/a.go\n./src/p/b.go\n./src/p/q/c.go");
    // What is left out is told from where the kept path begins.
    assert_eq!(files("/y"), "./a.go\n./a_test.go\n./p/b.go");
    // Without it a double star is a star.
    assert_eq!(files("/z"), "./b.go");
}

#[test]
fn contexts_come_from_streams_and_archives_too() {
    let Some(it) = Builds::new() else { return };
    let run = it.run_with("build --network none -t t -", b"FROM bb\nLABEL from=stream\n");
    assert_eq!(run.code, 0, "{run}");
    let label = "inspect -f '{{index .Config.Labels \"from\"}}' t";
    assert_eq!(it.ok(label), "stream");
    let dockerfile = "FROM bb\nCOPY f /f\nLABEL from=tar\n";
    let tar = Layer::new().file("Dockerfile", dockerfile).file("f", "content").tar();
    assert_eq!(it.run_with("build --network none -t t -", &tar).code, 0);
    assert_eq!((it.ok(label), it.shows("cat /f")), ("tar".to_owned(), "content".to_owned()));
    it.file("context.tar", &tar);
    assert_eq!(it.run("build --network none -t u context.tar").code, 0);
    let run = it.run_with("build --network none -", b"PK\x03\x04 a zip archive");
    run.complains(1, "the context is a zip archive");
    it.put("f", "named");
    it.file("other/g", "other");
    it.builds("FROM bb\nCOPY --from=more g /g\n", "--build-context more=other");
    assert_eq!(it.shows("cat /g"), "other");
}

#[test]
fn a_file_is_fetched_with_its_time() {
    let Some(it) = Builds::new() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\
                        Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
            let _ = stream.write_all(format!("{head}body").as_bytes());
        }
    });
    it.builds(&format!("FROM bb\nADD http://{address}/dir/file.txt?x=1 /to/\n"), "");
    assert_eq!(it.shows("cat /to/file.txt; stat -c \" %a %Y\" /to/file.txt"), "body 600 784111777");
    let wrong = format!("sha256:{}", "0".repeat(64));
    let run = it.build(&format!("FROM bb\nADD --checksum={wrong} http://{address}/f /f\n"), "");
    run.complains(1, "digest mismatch");
}

/// A server of one file that says 304 to who knows it, and what it was asked: each request's line,
/// `If-None-Match`, the status of the answer, and who asks.
struct Web {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    content: Arc<Mutex<&'static str>>,
}

impl Web {
    fn new() -> Web {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, content) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new("one")));
        let web = Web { address, asked: asked.clone(), content: content.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let known = head.iter().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("if-none-match").then(|| value.to_owned())
                });
                let content = *content.lock().unwrap();
                let etag = format!("\"{content}\"");
                let is_known = known.as_ref() == Some(&etag);
                let status = if is_known { "304 Not Modified" } else { "200 OK" };
                let who = head.iter().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("authorization").then(|| format!(" {value}"))
                });
                let (known, who) = (known.unwrap_or_default(), who.unwrap_or_default());
                asked.lock().unwrap().push(format!("{known} {status}{who}"));
                let body = if is_known { "" } else { content };
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\nETag: {etag}\r\nConnection: close\r\n");
                let _ = write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}");
            }
        });
        web
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[test]
fn a_url_that_has_not_changed_does_not_come_again() {
    let Some(it) = Builds::new() else { return };
    let web = Web::new();
    let file = format!("FROM bb\nADD http://{}/f /f\n", web.address);
    it.builds(&file, "");
    assert_eq!(web.asked(), [" 200 OK"]);
    assert!(super::done(&it.builds(&file, "")).is_empty());
    assert_eq!(web.asked(), ["\"one\" 304 Not Modified"]);
    // On another base the step is done again, and its file comes after all.
    it.builds(&file.replace("ADD", "RUN echo 1 > /x\nADD"), "");
    assert_eq!(web.asked(), ["\"one\" 304 Not Modified", " 200 OK"]);
    assert_eq!(it.shows("cat /f"), "one");
    *web.content.lock().unwrap() = "two";
    it.builds(&file, "");
    assert_eq!(web.asked(), ["\"one\" 200 OK"]);
    assert_eq!(it.shows("cat /f"), "two");
    it.builds(&file, "--no-cache");
    assert_eq!(web.asked(), [" 200 OK"]);
    // Who says what it must be need not ask whether it is.
    let digest = Digest::of(b"two");
    it.builds(&file.replace("ADD", &format!("ADD --checksum={digest}")), "");
    assert_eq!(web.asked(), [" 200 OK"], "the step is new, so its file comes");
    it.builds(&file.replace("ADD", &format!("ADD --checksum={digest}")), "");
    assert!(web.asked().is_empty());
}

#[test]
fn secrets_open_what_a_host_keeps() {
    let Some(it) = Builds::new() else { return };
    let web = Web::new();
    let file = format!("FROM bb\nADD http://{}/f /f\n", web.address);
    it.file("word", "t0ken\n");
    it.builds(&file, &format!("--secret id=HTTP_AUTH_TOKEN_{},src=word", web.address));
    assert_eq!(web.asked(), [" 200 OK Bearer t0ken"]);
    it.file("word", "Basic abc");
    it.builds(&file, &format!("--no-cache --secret id=HTTP_AUTH_HEADER_{},src=word", web.address));
    assert_eq!(web.asked(), [" 200 OK Basic abc"]);
    it.builds(&file, "--no-cache --secret id=HTTP_AUTH_TOKEN_elsewhere,src=word");
    assert_eq!(web.asked(), [" 200 OK"]);
}

#[test]
fn what_could_be_a_folder_is_one() {
    let Some(it) = Builds::new() else { return };
    it.put("github.com/a/b/f", "of the context");
    it.builds("FROM bb\nADD github.com/a/b /x\n", "");
    assert_eq!(it.shows("cat /x/f"), "of the context");
}

#[test]
fn names_that_are_no_text_are_told_apart() {
    let Some(it) = Builds::new() else { return };
    let file = "FROM bb\nCOPY src /src\n";
    let mut seen = Vec::new();
    for byte in [0xfe, 0xff] {
        let name = [b'n', byte];
        let name = std::ffi::OsStr::from_bytes(&name);
        it.put("src/same", "");
        std::fs::write(it.path("ctx/src").join(name), "").unwrap();
        it.builds(file, "");
        seen.push(it.shows("cd /src; printf %s n* | od -An -tx1"));
        std::fs::remove_file(it.path("ctx/src").join(name)).unwrap();
    }
    assert!(seen[0].contains("fe") && seen[1].contains("ff"), "{seen:?}");
    assert!(!seen[1].contains("fe"), "{seen:?}");
}
