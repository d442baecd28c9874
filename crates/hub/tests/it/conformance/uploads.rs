//! Uploads: end-4a, end-4b, end-5, end-6, end-11, end-13, end-14.

use spec::{Algorithm, Digest, Hasher};

use super::need;
use crate::client::with_query;
use crate::server::Registry;

super::conform!(
    takes_a_blob_in_one_put,
    takes_a_blob_in_one_post,
    takes_a_stream,
    takes_chunks_in_order,
    refuses_chunks_out_of_order,
    tells_how_far_it_got,
    refuses_the_wrong_digest,
    needs_a_digest,
    forgets_what_is_given_up,
    takes_over_from_another_repository,
    takes_sha512,
    keeps_uploads_of_repositories_apart,
);

fn takes_a_blob_in_one_put(registry: &Registry) {
    let digest = Digest::of(b"hello");
    let location = with_query(&registry.begin("put"), &format!("digest={digest}"));
    let created = registry.ask("PUT", location).body("hello").send().is(201);
    assert_eq!(created.digest(), digest);
    let got = registry.get(created.location()).is(200);
    assert_eq!(got.body, b"hello");
}

fn takes_a_blob_in_one_post(registry: &Registry) {
    need!(registry, SinglePost);
    let digest = Digest::of(b"hello");
    let path = format!("/v2/post/blobs/uploads/?digest={digest}");
    let created = registry.ask("POST", path).body("hello").send().is(201);
    assert_eq!(registry.get(created.location()).is(200).body, b"hello");
    let wrong = format!("/v2/post/blobs/uploads/?digest={digest}");
    registry.ask("POST", wrong).body("other").send().is(400).says("DIGEST_INVALID");
}

/// As docker sends layers: one `PATCH` in pieces without a length, then a `PUT` without a body.
fn takes_a_stream(registry: &Registry) {
    let location = registry.begin("stream");
    let mut body = Vec::new();
    for piece in ["hello", " ", "world"] {
        body.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let mut ask = registry.ask("PATCH", location).header("Transfer-Encoding", "chunked").bytes();
    ask.extend_from_slice(&body);
    let mut stream = crate::client::connect(&registry.host);
    std::io::Write::write_all(&mut stream, &ask).unwrap();
    let mut stream = std::io::BufReader::new(stream);
    let answer = crate::client::Answer::read(&mut stream, false).unwrap().is(202);
    assert_eq!(answer.must("range"), "0-10");
    let query = format!("digest={}", Digest::of(b"hello world"));
    let location = with_query(&answer.location(), &query);
    registry.ask("PUT", location).body("").send().is(201);
}

fn takes_chunks_in_order(registry: &Registry) {
    let mut location = registry.begin("chunks");
    for (range, bytes, so_far) in [("0-4", "hello", "0-4"), ("5-9", "world", "0-9")] {
        let patch = registry.ask("PATCH", location).header("Content-Range", range).body(bytes);
        let answer = patch.send().is(202);
        assert_eq!(answer.must("range"), so_far);
        location = answer.location();
    }
    // The last chunk may come with the end.
    let digest = Digest::of(b"helloworld!");
    let put = registry.ask("PUT", with_query(&location, &format!("digest={digest}")));
    put.header("Content-Range", "10-10").body("!").send().is(201);
    assert_eq!(registry.get(format!("/v2/chunks/blobs/{digest}")).body, b"helloworld!");
}

fn refuses_chunks_out_of_order(registry: &Registry) {
    need!(registry, StrictChunks);
    let location = registry.begin("order");
    let patch = |location: &str, range: &str, bytes: &str| {
        registry.ask("PATCH", location).header("Content-Range", range).body(bytes).send()
    };
    let location = patch(&location, "0-4", "hello").is(202).location();
    for range in ["0-4", "6-10", "nonsense", "4-3"] {
        let answer = patch(&location, range, "world").is(416);
        assert_eq!((answer.must("range"), answer.location()), ("0-4", location.clone()));
    }
    patch(&location, "5-20", "world").is(400).says("SIZE_INVALID");
    // It goes on from where it was.
    let location = patch(&location, "5-9", "world").is(202).location();
    let query = format!("digest={}", Digest::of(b"helloworld"));
    registry.ask("PUT", with_query(&location, &query)).body("").send().is(201);
}

fn tells_how_far_it_got(registry: &Registry) {
    let location = registry.begin("status");
    let answer = registry.get(&*location).is(204);
    assert_eq!(answer.must("range"), "0-0");
    let location = registry.ask("PATCH", answer.location()).body("hello").send().is(202).location();
    let answer = registry.get(location).is(204);
    assert_eq!(answer.must("range"), "0-4");
}

fn refuses_the_wrong_digest(registry: &Registry) {
    let wrong = format!("digest={}", Digest::of(b"other"));
    let location = registry.begin("wrong");
    let put = registry.ask("PUT", with_query(&location, &wrong)).body("hello").send();
    put.is(400).says("DIGEST_INVALID");
    registry.get(format!("/v2/wrong/blobs/{}", Digest::of(b"other"))).is(404);
    registry.get(format!("/v2/wrong/blobs/{}", Digest::of(b"hello"))).is(404);
}

fn needs_a_digest(registry: &Registry) {
    let location = registry.begin("none");
    registry.ask("PUT", &*location).body("hello").send().is(400).says("DIGEST_INVALID");
    let location = with_query(&location, "digest=sha256:xyz");
    registry.ask("PUT", location).body("hello").send().is(400).says("DIGEST_INVALID");
}

fn forgets_what_is_given_up(registry: &Registry) {
    let location = registry.begin("cancel");
    registry.delete(&*location).is(204);
    registry.get(&*location).is(404).says("BLOB_UPLOAD_UNKNOWN");
    let digest = Digest::of(b"hello");
    let put = registry.ask("PUT", with_query(&location, &format!("digest={digest}")));
    put.body("hello").send().is(404).says("BLOB_UPLOAD_UNKNOWN");
}

fn takes_over_from_another_repository(registry: &Registry) {
    let digest = registry.push("from/here", b"hello");
    let mount = |digest: &Digest, from: &str| {
        let path = format!("/v2/to/there/blobs/uploads/?mount={digest}&from={from}");
        registry.ask("POST", path).body("").send()
    };
    let created = mount(&digest, "from/here").is(201);
    assert_eq!(created.digest(), digest);
    assert_eq!(registry.get(created.location()).is(200).body, b"hello");
    // What is not there is uploaded.
    let location = mount(&Digest::of(b"other"), "from/here").is(202).location();
    let query = format!("digest={}", Digest::of(b"other"));
    registry.ask("PUT", with_query(&location, &query)).body("other").send().is(201);
    mount(&digest, "from/nowhere").is(202);
}

fn takes_sha512(registry: &Registry) {
    need!(registry, Sha512);
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(b"hello");
    let digest = hasher.finish();
    let post = format!("/v2/long/blobs/uploads/?digest={digest}");
    registry.ask("POST", post).body("hello").send().is(201);
    assert_eq!(registry.get(format!("/v2/long/blobs/{digest}")).is(200).body, b"hello");
    // Which hash it is to be is known only at the end.
    let location = registry.begin("later");
    let location = registry.ask("PATCH", location).body("hello").send().is(202).location();
    let location = with_query(&location, &format!("digest={digest}"));
    registry.ask("PUT", location).body("").send().is(201);
    assert_eq!(registry.get(format!("/v2/later/blobs/{digest}")).is(200).digest(), digest);
}

fn keeps_uploads_of_repositories_apart(registry: &Registry) {
    let location = registry.begin("one");
    let elsewhere = location.replace("/v2/one/", "/v2/two/");
    registry.get(elsewhere).either(&[400, 404]);
    registry.get("/v2/one/blobs/uploads/nonsense").either(&[400, 404]);
}
