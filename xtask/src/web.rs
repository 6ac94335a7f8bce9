//! The npm package: the core as a WebAssembly module, what JavaScript calls it by, and its declarations; and its tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Result, cargo, fail, or_fail, output, program, root, run, target_dir};
use crate::wasm::{TARGET, Toolchain};
use crate::{host, npm, programs};

/// Most bytes of the package's code as a browser downloads it: with the module, without that for recovery. It is to become
/// `WANTED_BYTES`, and grows only by a part of the SDK that was not there: docs/adr/0015-the-javascript-seam.md.
const MOST_BYTES: u64 = 344 << 10;
/// What it shall be.
const WANTED_BYTES: u64 = 150 << 10;
/// The package's modules, and the binding crate's features in each: what every page loads, and what one loads whose replica is
/// damaged.
const MODULES: [(&str, &str); 2] = [("unisono", "client"), ("recovery", "recovery")];
/// Options of the modules' optimisation: what compresses best, what the compiler's target may use anyway, and nothing but
/// code in the result.
const OPTIMISE: [&str; 13] = [
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    "--one-caller-inline-max-function-size=0",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--strip-producers",
    "--strip-target-features",
];

/// Builds the package, prints its size, and fails if that is too much.
pub fn build() -> Result {
    let toolchain = Toolchain::find()?;
    let npm = npm::Tools::installed(&package())?;

    // What the compiler's declarations and the package share; never checked in.
    let generated = package().join("src").join("wasm");
    let dist = package().join("dist");
    for folder in [&generated, &dist] {
        if folder.exists() {
            or_fail(std::fs::remove_dir_all(folder), format!("removing {}", folder.display()))?;
        }
    }
    for (name, features) in MODULES {
        let mut build = cargo(["build", "--locked", "--profile", "web", "-p", "unisono-wasm", "--no-default-features"]);
        run(toolchain.apply(build.args(["--features", features])))?;
        let module = target_dir().join(TARGET).join("web").join("unisono_wasm.wasm");
        generate(&["package", name], &module, &generated)?;
        let module = generated.join(format!("{name}_bg.wasm"));
        run(npm.run("wasm-opt")?.args(OPTIMISE).arg(&module).arg("-o").arg(&module))?;
    }
    run(npm.run("tsc")?.arg("-p").arg(package()))?;
    let beside = dist.join("wasm");
    or_fail(std::fs::create_dir_all(&beside), "making the package's folder")?;
    for (name, _) in MODULES {
        for file in [format!("{name}.d.ts"), format!("{name}_bg.wasm")] {
            or_fail(std::fs::copy(generated.join(&file), beside.join(&file)), format!("copying {file}"))?;
        }
    }
    // Comments are for the declarations: a browser would download them with the code. Names stay, for whoever debugs an app.
    run(npm.run("tsc")?.arg("-p").arg(package()).args(["--removeComments", "--declaration", "false"]))?;
    let as_it_is = ["--format=esm", "--target=es2022", "--log-level=warning"];
    let code = or_fail(scripts(&dist), "reading the package's folder")?;
    let mut squeeze = npm.run("esbuild")?;
    squeeze.args(code).args(as_it_is).args(["--minify-whitespace", "--minify-syntax", "--allow-overwrite"]);
    run(squeeze.arg(format!("--outdir={}", dist.display())))?;
    // Nobody reads the generated code, and half of it is names.
    let code = MODULES.map(|(name, _)| generated.join(format!("{name}.js")));
    run(npm.run("esbuild")?.args(code).args(as_it_is).arg("--minify").arg(format!("--outdir={}", beside.display())))?;
    run(program("node", [package().join("scripts").join("inline.js")]).arg(&dist))?;
    // What an app may write compiles against the declarations, and what it must not does not.
    run(npm.run("tsc")?.arg("-p").arg(package().join("test").join("types")))?;
    weigh()
}

/// The JavaScript in `folder`.
fn scripts(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "js"));
    files.sort();
    Ok(files)
}

/// Prints the package's size, and fails if that is too much.
fn weigh() -> Result {
    let said = output(program("node", [package().join("scripts").join("size.js")]).arg(package().join("dist")))?;
    println!("\n{said}");
    let total = said.lines().last().and_then(|line| line.split_whitespace().find_map(|word| word.parse::<u64>().ok()));
    match total {
        Some(bytes) if bytes <= MOST_BYTES => {
            if bytes > WANTED_BYTES {
                println!("It shall be {WANTED_BYTES} at most; until it is, it must not grow beyond {MOST_BYTES}.");
            }
            Ok(())
        }
        Some(bytes) => fail(format!("the npm package has {bytes} bytes, more than {MOST_BYTES}")),
        None => fail("the npm package could not be weighed"),
    }
}

/// The storage suite, in a headless Chromium.
pub fn storage_suite() -> Result<Command> {
    host::chromium()?;
    host::node()?;
    let toolchain = Toolchain::find()?;
    let mut build = cargo(["test", "--no-run", "--locked", "-p", "unisono-browser-tests", "--test", "storage"]);
    let messages = output(toolchain.apply(build.args(["--message-format", "json-render-diagnostics"])))?;
    // The last file that the compiler names is the test program.
    let executable = messages.lines().rev().find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next());
    let Some(module) = executable else { return fail("cargo has built no storage suite") };
    let folder = target_dir().join("browser-tests");
    generate(&["tests"], Path::new(module), &folder)?;
    Ok(program("node", [root().join("tests").join("browser").join("run.mjs"), folder]))
}

/// The package's suites in Node.
pub fn node_suite() -> Result<Command> {
    build()?;
    script("node.js")
}

/// The package's suites in a headless Chromium; after those in Node, which have built it.
pub fn browser_suite() -> Result<Command> {
    host::chromium()?;
    let mut command = script("browser.js")?;
    command.env("CHROMEDRIVER", host::chromedriver());
    Ok(command)
}

/// A script of the package's tests, with the programs that it starts.
fn script(name: &str) -> Result<Command> {
    host::node()?;
    run(&mut programs::as_tested(["--bin", "unisono-server", "--bin", "native-device"]))?;
    let mut command = program("node", [package().join("test").join(name)]);
    command.env("UNISONO_PROGRAMS", target_dir().join("debug"));
    command.env("UNISONO_NPM", npm::Tools::installed(&package())?.modules());
    Ok(command)
}

fn package() -> PathBuf {
    root().join("bindings").join("js")
}

/// Writes into `folder` what calls the module, and the module as it is called.
fn generate(kind: &[&str], module: &Path, folder: &Path) -> Result {
    let mut generator = cargo(["run", "--quiet", "--locked", "-p", "unisono-bindgen-web", "--"]);
    run(generator.args(kind).arg(module).arg(folder))
}
