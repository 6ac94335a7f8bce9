//! Swift: the generated sources as a SwiftPM package, compiled and tested.
//!
//! Where there is no Swift, a Debian of its own in the cache folder has one: it is built there once, and the tests run in it,
//! in a mount namespace that ends with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{build, built, generate, library, package, workshop};
use crate::process::{Result, cache, fail, or_fail, output, program, root, run, succeeds, target_dir};

/// The Debian that has a Swift, and what of it is needed.
const RELEASE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: [&str; 5] = ["swiftlang", "libc6-dev", "libstdc++-14-dev", "gcc", "git"];

/// Puts the package together; its smoke tests, which start the server.
pub fn suite() -> Result<Command> {
    build()?;
    let folder = workshop("swift")?;
    let sources = folder.join("package");
    super::cleared(&sources)?;
    run(program("cp", ["-R"]).arg(package("swift")).arg(&sources))?;
    put_generated(&folder, &sources)?;
    let library = library();
    let lies_in = library.parent().unwrap_or(&folder).display();
    let options = [
        format!("--package-path={}", sources.display()),
        format!("--scratch-path={}", folder.join("build").display()),
        "-Xlinker".into(),
        format!("-L{lies_in}"),
        "-Xlinker".into(),
        "-rpath".into(),
        "-Xlinker".into(),
        lies_in.to_string(),
    ];
    let mut tests = swift()?;
    tests.arg("test").args(options).env("UNISONO_SERVER", built("unisono-server"));
    tests.env("UNISONO_SCENARIOS", root().join("tests").join("scenarios"));
    Ok(tests)
}

/// Generates the sources, and lays them out as SwiftPM wants them: a folder for each C module, one for the Swift module.
fn put_generated(folder: &Path, sources: &Path) -> Result {
    let generated = folder.join("generated");
    super::cleared(&generated)?;
    generate("swift", &generated)?;
    let put = |from: &str, to: PathBuf| {
        or_fail(std::fs::create_dir_all(to.parent().unwrap_or(sources)), "making the package's folders")?;
        or_fail(std::fs::copy(generated.join(from), &to), format!("copying {from}")).map(drop)
    };
    for module in ["unisonoFFI", "unisono_ffiFFI"] {
        let to = sources.join("Sources").join(module);
        put(&format!("{module}.h"), to.join(format!("{module}.h")))?;
        put(&format!("{module}.modulemap"), to.join("module.modulemap"))?;
    }
    for source in ["unisono.swift", "unisono_ffi.swift"] {
        put(source, sources.join("Sources").join("Unisono").join(source))?;
    }
    Ok(())
}

/// The `swift` command.
fn swift() -> Result<Command> {
    if succeeds(&mut program("swift", ["--version"])) {
        return Ok(program("swift", [""; 0]));
    }
    let debian = debian()?;
    // Bind mounts, so that every path is the same inside; they are gone when the command ends.
    let mut script = String::from("set -e; d=$1; shift; mount -t proc proc \"$d/proc\"; ");
    for folder in [root(), target_dir()] {
        let folder = folder.display();
        script.push_str(&format!("mkdir -p \"$d{folder}\"; mount --bind \"{folder}\" \"$d{folder}\"; "));
    }
    script.push_str("exec chroot \"$d\" /usr/bin/env HOME=/tmp timeout --kill-after=10 600 swift \"$@\"");
    let mut command = program("unshare", ["--mount", "sh", "-c", &script, "swift"]);
    command.arg(debian);
    Ok(command)
}

/// The folder of the Debian, built if it is not there.
fn debian() -> Result<PathBuf> {
    let folder = cache()?.join(format!("debian-{RELEASE}-swift"));
    // A link, which leads to its target inside only.
    if folder.join("usr/bin/swift").is_symlink() {
        return Ok(folder);
    }
    if !cfg!(target_os = "linux") || output(&mut program("id", ["-u"]))? != "0" {
        return fail("there is no `swift`, and only root of a Linux can build a Debian that has one");
    }
    eprintln!(
        "\nBuilding a Debian {RELEASE} with Swift in the cache folder: some 3.5 GB and three minutes, once. Nothing is installed \
         outside of it."
    );
    let tools = workshop("swift")?.join("debootstrap");
    super::cleared(&tools)?;
    or_fail(std::fs::create_dir_all(&tools), "making a folder for debootstrap")?;
    let building = folder.with_extension("building");
    super::cleared(&building)?;
    let script = format!(
        "set -e; cd \"$1\"; apt-get download debootstrap; dpkg-deb -x debootstrap_*.deb .; \
         export DEBOOTSTRAP_DIR=\"$1/usr/share/debootstrap\"; \
         mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
           | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' '); \
         sh usr/sbin/debootstrap --variant=minbase --include=ca-certificates {RELEASE} \"$2\" \"${{mirror:-{MIRROR}}}\"; \
         mount -t proc proc \"$2/proc\"; \
         chroot \"$2\" sh -c 'export DEBIAN_FRONTEND=noninteractive; apt-get update -q; \
           apt-get install -y -q --no-install-recommends {packages}'",
        packages = PACKAGES.join(" "),
    );
    run(program("unshare", ["--mount", "sh", "-c", &script, "debian"]).arg(&tools).arg(&building))?;
    or_fail(std::fs::rename(&building, &folder), "putting the Debian in its place")?;
    Ok(folder)
}
