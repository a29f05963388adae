//! The page is built by npm, apart from this crate: cargo has to look again when it was.
fn main() {
    println!("cargo::rerun-if-changed=../web-demo/dist");
}
