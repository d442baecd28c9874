//! Several servers with one object store: what one acknowledged the others have, and of two who
//! come together each is told what became of it.

use std::sync::Barrier;

use hub::Bucket;
use serde_json::json;
use spec::Digest;

use crate::client::with_query;
use crate::server::{CONFIG, Registry, digest_of, image};

fn two_servers() -> [Registry; 2] {
    let bucket = Bucket::in_memory().unwrap();
    [Registry::objects_in(&bucket), Registry::objects_in(&bucket)]
}

fn patch(registry: &Registry, location: &str, at: usize, bytes: &[u8]) -> u16 {
    let range = format!("{at}-{}", at + bytes.len() - 1);
    registry.ask("PATCH", location).header("Content-Range", range).body(bytes).send().status
}

#[test]
fn an_upload_goes_on_at_another_server() {
    let [one, two] = two_servers();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|number| (number >> 5) as u8).collect();
    let location = one.begin("app");
    // Long chunks, and short ones that are put together.
    let ends = [0, 100, 250, 9_000_000, 9_000_001, 19_999_990, bytes.len()];
    for (number, ends) in ends.windows(2).enumerate() {
        let server = if number % 2 == 0 { &two } else { &one };
        assert_eq!(patch(server, &location, ends[0], &bytes[ends[0]..ends[1]]), 202, "{ends:?}");
        let other = if number % 2 == 0 { &one } else { &two };
        let range = other.get(&*location).is(204).must("range").to_owned();
        assert_eq!(range, format!("0-{}", ends[1] - 1));
    }
    let digest = Digest::of(&bytes);
    let put = with_query(&location, &format!("digest={digest}"));
    one.ask("PUT", put).body("").send().is(201);
    two.get(&*location).is(404);
    let path = format!("/v2/app/blobs/{digest}");
    assert_eq!(two.get(&*path).is(200).body, bytes);
    assert_eq!(two.head(&*path).is(200).must("content-length"), bytes.len().to_string());
    for (from, to) in [(0, 0), (8_388_600, 8_388_620), (100, 17_000_000), (19_999_999, 19_999_999)]
    {
        let range = format!("bytes={from}-{to}");
        let part = two.ask("GET", &*path).header("Range", range).send().is(206);
        assert!(part.body == bytes[from..=to], "{from}-{to}");
    }
}

#[test]
fn of_two_that_write_to_one_upload_one_is_told() {
    let servers = two_servers();
    for round in 0..20 {
        let location = servers[0].begin("app");
        assert_eq!(patch(&servers[0], &location, 0, b"begin "), 202);
        let begin = Barrier::new(2);
        let words = [format!("one {round}"), format!("two {round}")];
        let statuses = std::thread::scope(|scope| {
            let threads = [0, 1].map(|number| {
                let (server, word, begin, location) =
                    (&servers[number], &words[number], &begin, &location);
                scope.spawn(move || {
                    begin.wait();
                    patch(server, location, 6, word.as_bytes())
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        let winner = statuses.iter().position(|status| *status == 202).unwrap();
        assert!(matches!(statuses[1 - winner], 409 | 416), "{statuses:?}");
        let whole = format!("begin {}", words[winner]);
        let put = with_query(&location, &format!("digest={}", Digest::of(whole.as_bytes())));
        servers[1 - winner].ask("PUT", put).body("").send().is(201);
    }
}

#[test]
fn the_same_blob_and_tag_arrive_at_both() {
    let servers = two_servers();
    for round in 0..10 {
        let layer = vec![round; 3_000_000];
        let images = [b"one", b"two"].map(|text| image(CONFIG, &[&layer, text]));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (server, image, layer) = (&servers[number % 2], &images[number % 2], &layer);
                scope.spawn(move || {
                    for blob in [CONFIG, layer, [b"one", b"two"][number % 2]] {
                        server.push("app", blob);
                    }
                    server.put_manifest("app", "same", image).is(201);
                });
            }
        });
        let stands_for = servers.each_ref().map(|server| {
            let answer = server.get("/v2/app/manifests/same").is(200);
            assert!(images.contains(&answer.json()));
            answer.digest()
        });
        assert_eq!(stands_for[0], stands_for[1]);
        for (server, image) in servers.iter().zip([&images[1], &images[0]]) {
            server.get(format!("/v2/app/manifests/{}", digest_of(image))).is(200);
            let blob = server.get(format!("/v2/app/blobs/{}", Digest::of(&layer)));
            assert!(blob.body == layer);
        }
    }
    assert_eq!(servers[1].get("/v2/app/tags/list").json()["tags"], json!(["same"]));
}

/// A manifest is deleted with its tags while another server gives one of them a new meaning.
#[test]
fn a_tag_that_is_put_beside_a_delete_stays() {
    let servers = two_servers();
    for round in 0..30 {
        let old = servers[0].push_image("app", "tag", &format!("old {round}"));
        let text = format!("new {round}");
        servers[1].push("app", text.as_bytes());
        let new = image(CONFIG, &[text.as_bytes()]);
        let begin = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begin.wait();
                servers[1].put_manifest("app", "tag", &new).is(201);
            });
            begin.wait();
            servers[0].delete(format!("/v2/app/manifests/{}", digest_of(&old))).is(202);
        });
        for server in &servers {
            assert_eq!(server.get("/v2/app/manifests/tag").is(200).digest(), digest_of(&new));
        }
    }
}

#[test]
fn what_is_deleted_is_gone_everywhere_and_comes_again() {
    let [one, two] = two_servers();
    let manifest = one.push_image("app", "1", "layer");
    two.delete(format!("/v2/app/manifests/{}", digest_of(&manifest))).is(202);
    one.get("/v2/app/manifests/1").is(404).says("MANIFEST_UNKNOWN");
    two.delete(format!("/v2/app/blobs/{}", Digest::of(b"layer"))).is(202);
    one.put_manifest("app", "1", &manifest).is(404).says("MANIFEST_BLOB_UNKNOWN");
    two.push_image("app", "1", "layer");
    assert_eq!(one.get("/v2/app/tags/list").json()["tags"], json!(["1"]));
}
