//! An example: a project that tests its own kernel or firmware with Cutaway, as `#[test]`s.
//!
//! Copy `Cargo.toml` and `tests/guest.rs`, and put your own image in. Nothing in such a test depends on
//! the host: not its speed, not its load, not its operating system.
#![forbid(unsafe_code)]
