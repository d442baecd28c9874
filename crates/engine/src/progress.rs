//! Long work tells how far it is; who shows it is the door's business.

use std::io::{self, Read};

/// Somebody who wants to know how far the work is.
pub trait Progress: Sync {
    /// Work on one thing begins: its name, what is done to it, and its size where known.
    fn begin(&self, name: &str, doing: &str, bytes: Option<u64>) -> Box<dyn Item + '_>;

    /// Something happened that is worth a line.
    fn note(&self, text: &str);
}

/// One thing that is being worked on.
pub trait Item: Send {
    /// So many bytes more are done.
    fn advance(&mut self, bytes: u64);

    /// It is finished.
    fn done(&mut self);

    /// Whether anybody still waits for it. What nobody waits for is given up.
    fn is_wanted(&self) -> bool {
        true
    }
}

/// Nobody wants to know.
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) -> Box<dyn Item + '_> {
        Box::new(Quiet)
    }

    fn note(&self, _: &str) {}
}

impl Item for Quiet {
    fn advance(&mut self, _: u64) {}

    fn done(&mut self) {}
}

/// A reader that reports what it reads.
pub(crate) struct Reported<'a, R> {
    pub(crate) inner: R,
    pub(crate) item: Box<dyn Item + 'a>,
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.item.advance(bytes as u64);
        match self.item.is_wanted() {
            true => Ok(bytes),
            false => Err(io::Error::other("nobody waits for it any more")),
        }
    }
}
