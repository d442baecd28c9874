//! Zstd frames one after another, as one stream.

use super::{Codec, CodecError, MAX_WINDOW};
use std::io::{self, BufRead, Read};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name, zstd_sys};

/// What zstd answers when a frame asks for a larger window than it was told to accept.
const WINDOW_TOO_LARGE: usize =
    (zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as usize).wrapping_neg();

/// The frames of a zstd stream, those to skip among them.
pub(super) struct Frames<R> {
    reader: R,
    context: Option<DCtx<'static>>,
    /// Whether the last byte consumed was the last of a frame. A stream without any frame has not
    /// ended either.
    is_between: bool,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(reader: R) -> Frames<R> {
        Frames { reader, context: None, is_between: false }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let context = match &mut self.context {
            Some(context) => context,
            None => self.context.insert(context()?),
        };
        loop {
            let available = self.reader.fill_buf()?;
            let is_end = available.is_empty();
            if is_end && self.is_between {
                return Ok(0);
            }
            let mut input = InBuffer::around(available);
            let mut output = OutBuffer::around(&mut *buffer);
            let wanted = context.decompress_stream(&mut output, &mut input).map_err(explain)?;
            let (consumed, count) = (input.pos, output.pos());
            self.reader.consume(consumed);
            self.is_between = wanted == 0;
            if count > 0 {
                return Ok(count);
            }
            if is_end && !self.is_between {
                return Err(CodecError::Truncated { codec: Codec::Zstd }.into());
            }
        }
    }
}

fn context() -> io::Result<DCtx<'static>> {
    let mut context = DCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
    context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW.ilog2())).map_err(explain)?;
    Ok(context)
}

fn explain(code: usize) -> io::Error {
    match code {
        WINDOW_TOO_LARGE => CodecError::Window { codec: Codec::Zstd, limit: MAX_WINDOW }.into(),
        code => io::Error::new(io::ErrorKind::InvalidData, get_error_name(code)),
    }
}
