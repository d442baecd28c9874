//! Images built by the real binary, checked by what is in them.

mod agents;
mod archives;
mod bake;
mod cache;
mod caches;
mod contexts;
mod copy;
mod cost;
mod depots;
mod devices;
mod edits;
mod explain;
mod fails;
mod fresh;
mod git;
mod history;
mod moments;
mod outputs;
mod platforms;
mod programs;
mod provenance;
mod run;
mod squash;
mod surroundings;
mod warnings;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::ops::Deref;

use crate::containers::support::Root;
use crate::support::Run;

/// A root with the base image `bb`, and a context in the folder `ctx`.
struct Builds {
    root: Root,
}

impl Deref for Builds {
    type Target = Root;

    fn deref(&self) -> &Root {
        &self.root
    }
}

impl Builds {
    /// One, or none with the reason counted where containers cannot run.
    fn new() -> Option<Builds> {
        let root = Root::new()?;
        std::fs::create_dir(root.path("ctx")).unwrap();
        Some(Builds { root })
    }

    /// Puts a file into the context.
    fn put(&self, name: &str, content: &str) {
        self.file(&format!("ctx/{name}"), content);
    }

    /// Builds this Dockerfile as the image `t`, with lines of progress.
    fn build(&self, dockerfile: &str, options: &str) -> Run {
        self.put("Dockerfile", dockerfile);
        self.run(&format!("build --progress plain --network none -t t {options} ctx"))
    }

    /// Builds what must work, and gives the progress.
    #[track_caller]
    fn builds(&self, dockerfile: &str, options: &str) -> String {
        let run = self.build(dockerfile, options);
        assert_eq!(run.code, 0, "{run}");
        run.err
    }

    /// What a script prints in the image `t`.
    #[track_caller]
    fn shows(&self, script: &str) -> String {
        let run = self.run(&format!("run --rm --network none --entrypoint sh t -c '{script}'"));
        assert_eq!(run.code, 0, "{run}");
        run.out.trim_end().to_owned()
    }

    /// The id of the image `t`.
    #[track_caller]
    fn id(&self) -> String {
        self.ok("images -q --no-trunc t")
    }
}

/// Gives these bytes to whoever asks for anything, as long as the tests run. Says where.
fn on_the_web(bytes: impl Into<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let bytes = bytes.into();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // All that is asked is read, so that closing resets nothing.
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let length = bytes.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
        }
    });
    host
}

/// The steps that were not cached, by their instructions.
fn done(progress: &str) -> Vec<String> {
    let title = |number: &str| {
        let start = format!("#{number} [");
        let line = progress.lines().find(|line| line.starts_with(&start))?;
        let (_, text) = line.split_once("] ")?;
        (!text.starts_with("FROM") && !text.starts_with("load")).then(|| text.to_owned())
    };
    let ended = progress.lines().filter_map(|line| line.strip_prefix('#'));
    let ended = ended.filter_map(|line| line.split_once(" DONE ").map(|(number, _)| number));
    ended.filter_map(title).collect()
}
