//! Writes the JavaScript that calls a WebAssembly module of ours: `unisono-bindgen-web package|tests MODULE FOLDER`.
//!
//! A program of its own over wasm-bindgen's library: its command-line program comes with a web server and a TLS stack, and
//! takes ten minutes to build from source.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut bindgen = Bindgen::new();
    let (module, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What a browser downloads: nothing but code.
        ["package", module, folder] => {
            // With what TypeScript needs, and with the module's place beside the code for whoever says no other.
            bindgen.out_name("unisono").typescript(true).omit_default_module_path(false);
            bindgen.remove_name_section(true).remove_producers_section(true);
            (module, folder)
        }
        // A test program: its tests are plain exports, called one by one, and panics tell their names.
        ["tests", module, folder] => {
            bindgen.out_name("tests").debug(true).export_wasm(true).emit_start(false);
            (module, folder)
        }
        _ => {
            eprintln!("usage: unisono-bindgen-web package|tests MODULE FOLDER");
            return ExitCode::from(2);
        }
    };
    let done = bindgen.input_path(module).web(true).and_then(|bindgen| bindgen.generate(folder));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
