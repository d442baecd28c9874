//! What an answer carries: so many bytes, pieces that say how long they are, or all until the end.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// The body of an answer.
pub struct Body {
    from: BufReader<File>,
    form: Form,
}

enum Form {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes are left of a piece; the first has not begun.
    Pieces { left: u64, first: bool },
    /// The last piece was read.
    Over,
    /// The connection's end is its own.
    Open,
}

/// No line between two pieces is longer.
const MAX_LINE_BYTES: u64 = 4096;

impl Body {
    pub(crate) fn new(from: BufReader<File>, length: Option<u64>, pieces: bool) -> Body {
        let form = match (pieces, length) {
            (true, _) => Form::Pieces { left: 0, first: true },
            (false, Some(length)) => Form::Length(length),
            (false, None) => Form::Open,
        };
        Body { from, form }
    }

    /// The connection, if all was read and it can be asked again.
    pub(crate) fn into_connection(self) -> Option<File> {
        let over = matches!(self.form, Form::Over | Form::Length(0));
        (over && self.from.buffer().is_empty()).then(|| self.from.into_inner())
    }

    /// The connection and what was read of it too early, for whoever takes it over.
    pub(crate) fn into_parts(self) -> (File, Vec<u8>) {
        let early = self.from.buffer().to_vec();
        (self.from.into_inner(), early)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.from).take(MAX_LINE_BYTES).read_line(&mut line)?;
        match line.ends_with('\n') {
            true => Ok(line.trim_end().to_owned()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The length of the next piece; none after the last.
    fn next_piece(&mut self, first: bool) -> io::Result<Option<u64>> {
        if !first {
            // The line that ends the one before.
            self.line()?;
        }
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if length == 0 {
            while !self.line()?.is_empty() {}
            return Ok(None);
        }
        Ok(Some(length))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (left, pieces) = match self.form {
            Form::Over | Form::Length(0) => return Ok(0),
            Form::Open => return self.from.read(buffer),
            Form::Length(left) => (left, false),
            Form::Pieces { left: 0, first } => match self.next_piece(first)? {
                Some(length) => (length, true),
                None => {
                    self.form = Form::Over;
                    return Ok(0);
                }
            },
            Form::Pieces { left, .. } => (left, true),
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.from.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - count as u64;
        self.form = match pieces {
            true => Form::Pieces { left, first: false },
            false => Form::Length(left),
        };
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn body(bytes: &[u8], length: Option<u64>, pieces: bool) -> Body {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Body::new(BufReader::new(file), length, pieces)
    }

    #[track_caller]
    fn check(mut body: Body, expected: Result<&str, io::ErrorKind>, whole: bool) {
        let mut read = String::new();
        let result = body.read_to_string(&mut read).map_err(|error| error.kind());
        assert_eq!(result.map(|_| read.as_str()), expected);
        assert_eq!(body.into_connection().is_some(), whole);
    }

    #[test]
    fn each_form_ends_where_it_ends() {
        let cut = Err(io::ErrorKind::UnexpectedEof);
        check(body(b"abc", Some(3), false), Ok("abc"), true);
        check(body(b"", Some(0), false), Ok(""), true);
        check(body(b"ab", Some(3), false), cut, false);
        check(body(b"abc", None, false), Ok("abc"), false);
        check(body(b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", None, true), Ok("abc"), true);
        check(body(b"2\r\nab\r\n", None, true), cut, false);
        check(body(b"zz\r\n", None, true), Err(io::ErrorKind::InvalidData), false);
    }
}
