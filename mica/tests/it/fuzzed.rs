//! The promises of the fuzz targets, held against damaged inputs on any toolchain.

use testkit::{Layer, Random};

use crate::support::{Image, archive, small};

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub)]
mod targets;

/// Gives a target its seeds, each whole and then damaged in many ways.
fn damage(seeds: &[Vec<u8>], rounds: usize, target: fn(&[u8])) {
    let mut random = Random::new(7);
    for seed in seeds {
        target(seed);
        for _ in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(3) {
                change(&mut random, &mut bytes, seeds);
            }
            target(&bytes);
        }
    }
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    const ODD: &[u8] = b"\0\x7f\x80\xff0/:@.-_ {}[]\",\\9";
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, *random.pick(ODD)),
        2 if at < bytes.len() => bytes[at] = *random.pick(ODD),
        3 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        4 => {
            let other = random.pick(seeds);
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        _ => {
            let end = (at + random.below(64)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn digests() {
    let (short, long) = ("0123456789abcdef".repeat(4), "0123456789abcdef".repeat(8));
    let seeds = [format!("sha256:{short}"), format!("sha512:{long}"), short.clone()];
    damage(&seeds.map(String::into_bytes), 3000, targets::digest);
}

#[test]
fn references() {
    let digest = format!("a@sha256:{}", "0123456789abcdef".repeat(4));
    let seeds = [
        "alpine",
        "me/app:1.0",
        "localhost:5000/x/y:z",
        "docker.io/library/busybox",
        "[::1]:80/a/b",
        "index.docker.io/a__b.c-d/e:V_1.2-3",
        "linux/arm64/v8",
        "linux",
        &digest,
    ];
    damage(&texts(&seeds), 3000, targets::reference);
}

#[test]
fn documents() {
    let image = Image::new(&["a:1"]).layer(small(), "base").step("ENV A=1");
    let config = spec::Descriptor::of(spec::MediaType::OciConfig, &image.document());
    let manifest = spec::Manifest::new(config.clone(), vec![config.clone()]).to_bytes();
    let index = spec::Index::new(vec![config]).to_bytes();
    let list = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#.to_vec();
    damage(&[image.document(), manifest, index, list], 2000, targets::manifest);
}

#[test]
fn tars() {
    let rich = Layer::new()
        .folder("a")
        .file(format!("a/{}", "n".repeat(300)), "long")
        .xattr("user.x", "y")
        .mtime(-5, 7)
        .hard_link("b", "a")
        .link("c", "d".repeat(200))
        .char_device("e", 1, 2)
        .owner(1 << 40, 3)
        .whiteout("f");
    let mut seeds = vec![rich.tar(), small().tar()];
    seeds.extend(
        ["gzip", "zstd", "xz", "bzip2"].iter().filter_map(|program| small().compressed(program)),
    );
    damage(&seeds, 700, targets::tar);
}

#[test]
fn archives() {
    let one = Image::new(&["a:1", "b"]).layer(small(), "base");
    let two = Image::new(&[]).layer(small(), "base").layer(Layer::new().file("x", ""), "x");
    damage(&[archive(&[&one, &two]), two.archive()], 1500, targets::archive);
}

#[test]
fn dockerfiles() {
    let seeds: [&[u8]; 4] = [
        b"from a as B\nMAINTAINER x\nENV a b\nEXPOSE 1:2/TCP\nRUN apk add x && \\\n\n y\nADD . /x\nCMD a b\nRUN cd /x\n",
        b"# escape=`\nARG v=1\nFROM --platform=$BUILDPLATFORM a:${v:-2} AS b\nRUN x `\n # c\n\n y\n",
        b"FROM a\nRUN --mount=type=cache,target=/c <<-'E' 3<<F x\n\ta\n\tE\nb\nF\nONBUILD COPY <<G /\nG\n",
        b"FROM a\nENV a=\"b c\" d='e'\nHEALTHCHECK --interval=1s CMD [\"a\"]\nEXPOSE 1-3/udp\n!**/[a-c]?\n",
    ];
    damage(&seeds.map(<[u8]>::to_vec), 1000, targets::dockerfile);
}

#[test]
fn bakes() {
    let hcl = "variable \"A\" {\n type = list(string)\n default = [for v in [1, 2] : \"x${v}\"]\n}\n\
               function \"f\" {\n params = [n]\n result = <<-E\n  %{ if n > 1 }a%{ else }b%{ endif }\n E\n}\n\
               target \"a\" {\n name = \"a-${i.k}\"\n matrix = { i = [{ k = 1 }, { k = 2 }] }\n args = { x = f(i.k) }\n}\n\
               target \"default\" {\n inherits = [\"a-1\"]\n contexts = { b = \"target:a-2\" }\n tags = A\n}\n";
    let json = r#"{"target": {"default": {"args": {"a": "${upper("x")}", "b": null}}}, "x": 1}"#;
    let yaml = "x: &x {args: [A=1]}\nservices:\n  a.b:\n    image: i:${T:-1}\n    build:\n      <<: *x\n      context: .\n";
    damage(&texts(&[hcl, json, yaml]), 1500, targets::bake);
}
