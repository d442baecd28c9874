//! Every codec against real programs, and against streams cut, damaged and oversized.

use super::*;
use std::io::Write;
use std::process::{Command, Stdio};

/// Content with structure and without, longer than any decoder's buffer.
fn content() -> Vec<u8> {
    let mut state = 1u32;
    (0..300_000u32)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 3 == 0 { (state >> 24) as u8 } else { (at / 700) as u8 }
        })
        .collect()
}

/// What a program makes of `input`; nothing if the machine lacks it.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .inspect_err(|error| eprintln!("skipped: {program}: {error}"))
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    Some(output.stdout)
}

fn decode(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decoder(codec, bytes).read_to_end(&mut plain)?;
    Ok(plain)
}

fn encode(codec: Codec, level: Option<i32>, parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = encoder(codec, level, Vec::new()).unwrap();
    for part in parts {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

#[track_caller]
fn failure(codec: Codec, bytes: &[u8]) -> CodecError {
    let error = decode(codec, bytes).expect_err("must not be a whole stream");
    CodecError::try_from(error).expect("must say what is wrong with the stream")
}

/// A compressed sample of each format, small enough to cut at every byte.
fn samples() -> Vec<(Codec, Vec<u8>)> {
    let plain = &content()[..3000];
    let programs = [(Codec::Bzip2, "bzip2"), (Codec::Xz, "xz")];
    let mut samples = vec![
        (Codec::Gzip, encode(Codec::Gzip, None, &[plain])),
        (Codec::Zstd, encode(Codec::Zstd, None, &[plain])),
    ];
    for (codec, program) in programs {
        samples.extend(run(program, &["-c"], plain).map(|bytes| (codec, bytes)));
    }
    samples
}

#[test]
fn tells_each_format_by_its_first_bytes() {
    for (codec, bytes) in samples() {
        assert_eq!(Codec::detect(&bytes), codec);
        assert_eq!(Codec::detect(&bytes[..TELLING]), codec);
    }
    assert_eq!(Codec::detect(b"\x5a\x2a\x4d\x18\x04\0\0\0"), Codec::Zstd);
    assert_eq!(Codec::detect(b"BZh9\x17\x72\x45\x38\x50\x90"), Codec::Bzip2);
    for plain in [&b""[..], b"\x1f", b"\x1f\x8b\0", b"BZh9.txt\0\0", b"BZh0", b"\x5a\x2a\x4d\x18"] {
        assert_eq!(Codec::detect(plain), Codec::None);
    }
}

#[test]
fn names_are_those_users_know() {
    let all = [Codec::None, Codec::Gzip, Codec::Zstd, Codec::Bzip2, Codec::Xz];
    assert_eq!(all.map(|codec| codec.to_string()).join(" "), "uncompressed gzip zstd bzip2 xz");
}

#[test]
fn reads_what_the_real_programs_write() {
    let plain = content();
    let cases = [
        (Codec::Gzip, "gzip", &["-9c"][..]),
        (Codec::Gzip, "gzip", &["-1c"]),
        (Codec::Zstd, "zstd", &["-19", "-c"]),
        (Codec::Zstd, "zstd", &["--long=27", "--no-check", "-c"]),
        (Codec::Bzip2, "bzip2", &["-1c"]),
        (Codec::Xz, "xz", &["-9ec"]),
        (Codec::Xz, "xz", &["-0c", "--check=sha256"]),
    ];
    for (codec, program, arguments) in cases {
        let Some(bytes) = run(program, arguments, &plain) else {
            continue;
        };
        assert_eq!(Codec::detect(&bytes), codec);
        assert!(decode(codec, &bytes).unwrap() == plain, "{program} {arguments:?}");
        let twice = [&bytes[..], &bytes].concat();
        let expected = [&plain[..], &plain].concat();
        assert!(decode(codec, &twice).unwrap() == expected, "{program}, two streams in one");
    }
}

#[test]
fn real_programs_read_what_is_written() {
    let plain = content();
    for (codec, program) in [(Codec::Gzip, "gzip"), (Codec::Zstd, "zstd")] {
        let bytes = encode(codec, None, &[&plain]);
        let Some(back) = run(program, &["-dc"], &bytes) else {
            continue;
        };
        assert!(back == plain, "{program}");
    }
}

#[test]
fn a_stream_cut_anywhere_is_an_error() {
    for (codec, bytes) in samples() {
        for length in 0..bytes.len() {
            let error = failure(codec, &bytes[..length]);
            assert!(
                matches!(error, CodecError::Truncated { .. }),
                "{codec} at {length}: {error:?}"
            );
        }
        let second = [&bytes[..], &bytes[..bytes.len() - 1]].concat();
        assert!(matches!(failure(codec, &second), CodecError::Truncated { .. }), "{codec}");
    }
}

#[test]
fn a_damaged_stream_is_an_error() {
    for (codec, bytes) in samples() {
        let mut unnoticed = 0;
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            if let Ok(plain) = decode(codec, &damaged) {
                // A bit may be one that no decoder looks at; the content is always checked.
                assert!(plain == content()[..3000], "{codec} damaged at {at}");
                unnoticed += 1;
            }
        }
        assert!(unnoticed < 5, "{codec}: {unnoticed} bits do not matter");
        let error = failure(codec, b"this is no compressed data at all");
        assert!(matches!(error, CodecError::Damaged { .. }), "{codec}: {error:?}");
    }
}

#[test]
fn nothing_comes_after_an_error() {
    for (codec, bytes) in samples() {
        let mut reader = decoder(codec, &bytes[..bytes.len() - 1]);
        reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(reader.read(&mut [0; 10]).is_err(), "{codec}");
        assert_eq!(reader.read(&mut []).unwrap(), 0);
    }
}

#[test]
fn zeros_may_follow_gzip_and_nothing_else_may() {
    let gzip = encode(Codec::Gzip, None, &[b"hello"]);
    assert_eq!(decode(Codec::Gzip, &[&gzip[..], &[0; 5000]].concat()).unwrap(), b"hello");
    for tail in [&b"x"[..], b"\0\0\0x", b"\0\0\x1f\x8b"] {
        let error = failure(Codec::Gzip, &[&gzip[..], tail].concat());
        assert!(matches!(error, CodecError::Trailing { .. }), "{error:?}");
    }
    for (codec, bytes) in samples() {
        assert!(decode(codec, &[&bytes[..], b"garbage"].concat()).is_err(), "{codec}");
    }
}

#[test]
fn frames_to_skip_are_skipped() {
    let frame = encode(Codec::Zstd, None, &[b"hello "]);
    let skipped = [b"\x50\x2a\x4d\x18\x03\0\0\0", &b"abc"[..]].concat();
    let bytes = [&skipped[..], &frame, &skipped, &frame, &skipped].concat();
    assert_eq!(Codec::detect(&bytes), Codec::Zstd);
    assert_eq!(decode(Codec::Zstd, &bytes).unwrap(), b"hello hello ");
    assert_eq!(decode(Codec::Zstd, &skipped).unwrap(), b"");
    let cut = failure(Codec::Zstd, &bytes[..bytes.len() - 1]);
    assert!(matches!(cut, CodecError::Truncated { .. }), "{cut:?}");
}

#[test]
fn refuses_windows_beyond_the_limit() {
    // A zstd frame header that asks for a window of 256 MiB.
    let zstd = b"\x28\xb5\x2f\xfd\x00\x90\x01\0\0";
    // The magic, a block header naming LZMA2 with a 4 GiB dictionary, from the xz format's table.
    let xz = run("xz", &["-c", "--lzma2=dict=512MiB"], b"hello").unwrap_or_default();
    for (codec, bytes) in [(Codec::Zstd, &zstd[..]), (Codec::Xz, &xz)] {
        if !bytes.is_empty() {
            let error = failure(codec, bytes);
            assert!(matches!(error, CodecError::Window { limit: MAX_WINDOW, .. }), "{error:?}");
        }
    }
}

#[test]
fn a_window_of_the_limit_is_accepted() {
    assert!(
        zstandard::Frames::new(&b"\x28\xb5\x2f\xfd\x00\x88\x01\0\0"[..]).read(&mut [0]).is_ok()
    );
    if let Some(xz) = run("xz", &["-c", "--lzma2=dict=128MiB"], b"hello") {
        assert_eq!(decode(Codec::Xz, &xz).unwrap(), b"hello");
    }
}

#[test]
fn encoding_depends_on_content_and_level_alone() {
    let plain = content();
    let halves = plain.split_at(70_001);
    let small: Vec<&[u8]> = plain.chunks(999).collect();
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        for level in [None, Some(0), Some(1), Some(3), Some(9)] {
            let whole = encode(codec, level, &[&plain]);
            assert!(whole == encode(codec, level, &[halves.0, halves.1]), "{codec} {level:?}");
            assert!(whole == encode(codec, level, &small), "{codec} {level:?}");
            assert!(decode(codec, &whole).unwrap() == plain, "{codec} {level:?}");
        }
    }
}

#[test]
fn a_gzip_header_says_nothing_of_time_and_place() {
    let bytes = encode(Codec::Gzip, None, &[b"hello"]);
    assert_eq!(bytes[..4], [0x1f, 0x8b, 8, 0]);
    assert_eq!(bytes[4..8], [0; 4], "time");
    assert_eq!(bytes[9], 255, "system");
}

#[test]
fn refuses_to_write_what_is_only_read() {
    let cases = [
        (Codec::Bzip2, None),
        (Codec::Xz, Some(6)),
        (Codec::Gzip, Some(10)),
        (Codec::Gzip, Some(-1)),
        (Codec::Zstd, Some(23)),
    ];
    for (codec, level) in cases {
        let error = encoder(codec, level, Vec::new()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(matches!(CodecError::inside(&error), Some(CodecError::NoEncoder { .. })));
    }
}

#[test]
fn a_limit_is_reached_but_not_passed() {
    let read = |limit| {
        let mut bytes = Vec::new();
        Limited::new(&b"hello"[..], limit).read_to_end(&mut bytes).map(|_| bytes)
    };
    assert_eq!(read(5).unwrap(), b"hello");
    assert_eq!(read(u64::MAX).unwrap(), b"hello");
    let error = read(4).unwrap_err();
    assert!(error.to_string().contains("expands beyond 4 bytes"), "{error}");
    assert!(matches!(CodecError::try_from(error), Ok(CodecError::TooLarge { limit: 4 })));
    assert!(read(0).is_err());
    let mut limited = Limited::new(&b"hello"[..], 9);
    limited.read_exact(&mut [0; 2]).unwrap();
    assert_eq!((limited.passed(), limited.into_inner()), (2, &b"llo"[..]));
}

#[test]
fn a_bomb_is_stopped() {
    let bomb = encode(Codec::Zstd, None, &[&vec![0; 50_000_000]]);
    assert!(bomb.len() < 10_000);
    let mut reader = Limited::new(decoder(Codec::Zstd, &bomb[..]), 1_000_000);
    assert!(io::copy(&mut reader, &mut io::sink()).is_err());
    assert_eq!(reader.passed(), 1_000_000);
}

/// Gives its bytes one at a time, is interrupted between them, and fails at the end.
struct Trickle<'a>(&'a [u8], bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Some((&byte, rest)) = self.0.split_first() else {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        };
        self.0 = rest;
        buffer[0] = byte;
        Ok(1)
    }
}

#[test]
fn expands_a_trickle_and_passes_its_error_on() {
    let plain = (Codec::None, content()[..3000].to_vec());
    for (codec, bytes) in samples().into_iter().chain([plain]) {
        let (found, mut reader) = expand(Trickle(&bytes, false)).unwrap();
        assert_eq!(found, codec);
        let mut plain = Vec::new();
        let error = reader.read_to_end(&mut plain).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.to_string(), "gone");
        assert!(CodecError::inside(&error).is_none());
        assert_eq!(plain, content()[..3000]);
    }
    let (codec, mut reader) = expand(&b"tiny"[..]).unwrap();
    assert_eq!((codec, io::read_to_string(&mut reader).unwrap().as_str()), (Codec::None, "tiny"));
}

#[test]
fn a_decoder_that_cannot_be_made_says_so() {
    let mut refused = Checked::new(Codec::Xz, Refused(Some(liblzma::stream::Error::Mem.into())));
    assert!(refused.read(&mut [0]).is_err());
    let mut refused = Checked::new(Codec::Xz, Refused(None));
    assert_eq!(refused.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
}
