//! PLACEHOLDER
#![forbid(unsafe_code)]
