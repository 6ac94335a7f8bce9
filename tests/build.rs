//! Builds the shim of the power-loss tests, where there is a system that can preload it.

use std::env;
use std::path::PathBuf;

const SOURCE: &str = "shim/power.c";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rustc-check-cfg=cfg(power_shim)");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    // The symbols that it stands before are glibc's.
    if target("OS") != "linux" || target("ENV") != "gnu" || target("POINTER_WIDTH") != "64" {
        return;
    }
    let library = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("libpowershim.so");
    let mut compiler = cc::Build::new().opt_level(1).get_compiler().to_command();
    compiler.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-o"]).arg(&library).args([SOURCE, "-ldl", "-pthread"]);
    let status = compiler.status().expect("the C compiler that has built SQLite runs");
    assert!(status.success(), "{SOURCE} does not compile");
    println!("cargo::rustc-env=UNISONO_POWER_SHIM={}", library.display());
    println!("cargo::rustc-cfg=power_shim");
}
