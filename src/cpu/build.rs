//! Decides whether the interpreter's handlers chain: only optimized builds for targets with tail
//! jumps may (see `src/fast.rs`).

fn main() {
    println!("cargo::rustc-check-cfg=cfg(chain)");
    println!("cargo::rerun-if-changed=build.rs");
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    let family = std::env::var("CARGO_CFG_TARGET_FAMILY").unwrap_or_default();
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let tail_jumps = matches!(arch.as_str(), "x86_64" | "aarch64");
    if matches!(level.as_str(), "2" | "3") && !family.contains("wasm") && tail_jumps {
        println!("cargo::rustc-cfg=chain");
    }
}
