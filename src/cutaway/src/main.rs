//! The `cutaway` program.
#![forbid(unsafe_code)]
fn main() {}
