//! A registry on this host: login, push, remove, pull, run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::{Demo, expect, shown};
use crate::Result;

/// Who may, with the password `open sesame`, as `htpasswd -nbB` writes it.
const HTPASSWD: &str = "me:$2y$05$jN8IKsO34TrwhpOW6NSE9ebynU6XvwIzqqQrdnQD69/mJ4GCLpPiG\n";

/// A server that ends with the demo, however that ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    pub(super) fn show_shipping(&self) -> Result {
        let (_served, host) = self.serve()?;
        let name = format!("{host}/demo/app:1");
        let login = ["login", "--username", "me", "--password-stdin", &host];
        self.mica_with("open sesame\n", &login)?;
        self.mica(&["tag", "app:1", &name])?;
        self.mica(&["push", "--quiet", &name])?;
        self.mica(&["rmi", &name, "app:1"])?;
        self.mica(&["pull", "--quiet", &name])?;
        let said = self.mica(&["run", "--network", "none", "--rm", &name])?;
        expect("what came back is what was sent", said == "Hello, reader.\n")?;
        self.mica(&["logout", &host]).map(drop)
    }

    /// Serves an empty registry, and says where.
    fn serve(&self) -> Result<(Served, String)> {
        let (passwords, root) = (self.path("htpasswd"), self.path("registry"));
        fs::write(&passwords, HTPASSWD)?;
        let words = ["registry", "serve", "--listen", "127.0.0.1:0", "--log", "none"];
        let words = [&words[..], &["--root", &root, "--htpasswd", &passwords]].concat();
        println!("\n$ {} &", shown(&words));
        let mut command = self.command(&words);
        let mut child = Served(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(child.0.stderr.take().expect("it is piped")).read_line(&mut line)?;
        print!("{line}");
        let host = line.trim().rsplit("//").next().unwrap_or_default().to_string();
        expect("the registry says where it is", line.starts_with("serving "))?;
        Ok((child, host))
    }
}
