//! The `causeway` binary: arguments, wiring and signals.
fn main() {}
