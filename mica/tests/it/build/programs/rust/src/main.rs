fn main() {
    println!("hello from Rust, {}", std::env::args().nth(1).unwrap());
}
