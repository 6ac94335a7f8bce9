// swift-tools-version: 6.0
// Unisono for Swift. `cargo xtask test` puts the generated sources into `Sources`, in a copy of this folder, and tests that.

import PackageDescription

let package = Package(
    name: "Unisono",
    products: [.library(name: "Unisono", targets: ["Unisono"])],
    targets: [
        // What the library is to C: one module for each crate that takes part.
        .systemLibrary(name: "unisonoFFI"),
        .systemLibrary(name: "unisono_ffiFFI"),
        .target(
            name: "Unisono",
            dependencies: ["unisonoFFI", "unisono_ffiFFI"],
            linkerSettings: [.linkedLibrary("unisono_ffi")]
        ),
        .testTarget(name: "UnisonoTests", dependencies: ["Unisono"]),
    ]
)
