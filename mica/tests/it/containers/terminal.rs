//! `-it` on a terminal of the test's own: what a person at a keyboard sees.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use sys::terminal::{Size, modes, set_size};

use super::support::{Root, eventually, kill};

/// A keyboard and a screen.
pub(crate) struct Terminal {
    keyboard: File,
    /// The end that programs get.
    line: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub(crate) fn new(size: Size) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let line = File::options().read(true).write(true).open(name).unwrap();
        set_size(&line, size).unwrap();
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut shown, kept) = (keyboard.try_clone().unwrap(), screen.clone());
        // Ends with the test's process: the line is held open for as long as the terminal.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = shown.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { keyboard, line, screen }
    }

    fn run(&self, root: &Root, line: &str) -> Child {
        self.start(root.command(line))
    }

    /// Starts a command on it.
    pub(crate) fn start(&self, mut command: Command) -> Child {
        let end = || Stdio::from(self.line.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    pub(crate) fn types(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).unwrap();
    }

    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        eventually(&format!("{text:?} is shown"), || {
            String::from_utf8_lossy(&self.screen.lock().unwrap()).contains(text)
        });
    }
}

#[test]
fn a_shell_on_a_terminal() {
    let Some(root) = Root::new() else { return };
    let terminal = Terminal::new(Size { rows: 33, columns: 101 });
    let mut child = terminal.run(&root, "run --rm -it --network none bb sh");
    terminal.shows("# ");
    assert!(!modes(&terminal.line).unwrap().echoes(), "the container's terminal does the echo");
    terminal.types("stty size\n");
    terminal.shows("33 101\r\n");
    set_size(&terminal.line, Size { rows: 20, columns: 60 }).unwrap();
    kill(child.id(), "WINCH");
    terminal.types("while test \"$(stty size)\" != '20 60'; do sleep 0.02; done; echo re''sized\n");
    terminal.shows("resized");
    terminal.types("echo ab''out; sleep 60\n");
    terminal.shows("about");
    terminal.types("\x03");
    terminal.types("tty; exit 4\n");
    terminal.shows("/dev/pts/0");
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(modes(&terminal.line).unwrap().echoes(), "the terminal is as it was");
}

#[test]
fn detached_by_keys_and_attached_again() {
    let Some(root) = Root::new() else { return };
    let terminal = Terminal::new(Size { rows: 24, columns: 80 });
    let mut child = terminal.run(&root, "run --name shell -it --network none bb sh");
    terminal.shows("# ");
    terminal.types("\x10\x11");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(modes(&terminal.line).unwrap().echoes(), "the terminal is as it was");
    root.run("exec shell echo lives").prints("lives\n");
    for line in ["attach shell", "exec -it shell cat"] {
        let mut child = terminal.run(&root, line);
        eventually("it is attached", || !modes(&terminal.line).unwrap().echoes());
        terminal.types("\x10\x11");
        terminal.shows("read escape sequence\r\n");
        assert_eq!(child.wait().unwrap().code(), Some(1), "{line}");
    }
    let mut child = terminal.run(&root, "attach shell");
    eventually("it is attached", || !modes(&terminal.line).unwrap().echoes());
    terminal.types("echo ba''ck; exit 6\n");
    terminal.shows("back");
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn a_terminal_needs_one() {
    let Some(root) = Root::new() else { return };
    root.run("run --rm -it --network none bb true").complains(1, "not a TTY");
}
