//! The terminal that a client runs in: raw while it is the container's, and given back as it was.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use sys::event::Signals;
use sys::terminal::{self, Modes, Size};

/// Signals that are never passed on: the kernel's news about children, pipes and windows, those
/// that mean a fault of this program itself, and those that stop a background job.
const KEPT_SIGNALS: [i32; 13] = [4, 5, 7, 8, 9, 11, 13, 17, 19, 21, 22, 23, 28];
/// Signals that end a client, which then gives its terminal back first.
const ENDING_SIGNALS: [i32; 4] = [1, 2, 3, 15];
const SIGWINCH: i32 = 28;

/// What a program that panics gives back before it says so: a release aborts on the spot.
static TO_RESTORE: Mutex<Option<(OwnedFd, Modes)>> = Mutex::new(None);

/// A terminal in raw mode for as long as this lives.
pub struct RawMode {
    _private: (),
}

impl RawMode {
    /// Puts a terminal into raw mode. There is one such terminal in a program.
    pub fn enter(fd: BorrowedFd<'_>) -> io::Result<RawMode> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        let modes = terminal::modes(fd)?;
        let raw = modes.raw();
        let kept = fd.try_clone_to_owned()?;
        *TO_RESTORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((kept, modes));
        let raw_mode = RawMode { _private: () };
        terminal::set_modes(fd, &raw, false)?;
        Ok(raw_mode)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let kept = TO_RESTORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((fd, modes)) = kept {
        // A terminal that has gone needs nothing back.
        let _ = terminal::set_modes(&fd, &modes, true);
    }
}

/// What happened to a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The window has another size.
    Resized(Size),
    /// A signal that belongs to the container.
    Forward(i32),
    /// A signal that ends the client.
    End(i32),
}

/// A client's terminal and signals.
pub struct Console {
    signals: Signals,
    forwards: bool,
    window: Option<OwnedFd>,
    raw: Option<RawMode>,
}

impl Console {
    /// Takes the client's signals; with `window`, tells when that terminal's size changes. What is
    /// not forwarded ends the client as usual, after its terminal was given back.
    pub fn take(forwards: bool, window: Option<BorrowedFd<'_>>) -> io::Result<Console> {
        let mut numbers: Vec<i32> = match forwards {
            true => (1..=31).filter(|number| !KEPT_SIGNALS.contains(number)).collect(),
            false => ENDING_SIGNALS.to_vec(),
        };
        numbers.extend(window.map(|_| SIGWINCH));
        let signals = Signals::take(&numbers)?;
        let window = window.map(|fd| fd.try_clone_to_owned()).transpose()?;
        Ok(Console { signals, forwards, window, raw: None })
    }

    /// Gives the terminal back, and the signals not at all: for a client that ends now, and not by one
    /// that came meanwhile.
    pub fn end(self) {
        drop(self.raw);
        std::mem::forget(self.signals);
    }

    /// Puts a terminal into raw mode until the console is dropped.
    pub fn enter_raw(&mut self, terminal: BorrowedFd<'_>) -> io::Result<()> {
        self.raw = Some(RawMode::enter(terminal)?);
        Ok(())
    }

    /// The window's size, if it has one.
    pub fn size(&self) -> Option<Size> {
        let size = terminal::size(self.window.as_ref()?).ok()?;
        (size.rows > 0 && size.columns > 0).then_some(size)
    }

    /// What has happened by now.
    pub fn news(&self) -> io::Result<Vec<News>> {
        let news = |number| match number {
            SIGWINCH => self.size().map(News::Resized),
            number if self.forwards => Some(News::Forward(number)),
            number => Some(News::End(number)),
        };
        Ok(self.signals.come()?.into_iter().filter_map(news).collect())
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}
