//! Writes the JavaScript that calls a WebAssembly module of ours: `unisono-bindgen-web package NAME MODULE FOLDER`, or
//! `tests MODULE FOLDER`.
//!
//! A program of its own over wasm-bindgen's library: its command-line program comes with a web server and a TLS stack, and
//! takes ten minutes to build from source.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::{Bindgen, Output};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut bindgen = Bindgen::new();
    let (module, folder, package) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What a browser downloads: nothing but code.
        ["package", name, module, folder] => {
            // With what TypeScript needs, and with the module's place beside the code for whoever says no other.
            bindgen.out_name(name).typescript(true).omit_default_module_path(false);
            bindgen.remove_name_section(true).remove_producers_section(true);
            (module, folder, Some(name))
        }
        // A test program: its tests are plain exports, called one by one, and panics tell their names.
        ["tests", module, folder] => {
            bindgen.out_name("tests").debug(true).export_wasm(true).emit_start(false);
            (module, folder, None)
        }
        _ => {
            eprintln!("usage: unisono-bindgen-web package NAME MODULE FOLDER | tests MODULE FOLDER");
            return ExitCode::from(2);
        }
    };
    match generate(bindgen.input_path(module), Path::new(folder), package) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn generate(bindgen: &mut Bindgen, folder: &Path, package: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut output = bindgen.web(true)?.generate_output()?;
    let renamed = package.map(|_| shorten_imports(&mut output)).unwrap_or_default();
    output.emit(folder)?;
    if let Some(name) = package {
        let file = folder.join(format!("{name}.js"));
        let mut code = std::fs::read_to_string(&file)?;
        for (long, short) in renamed {
            code = code.replace(&long, &short);
        }
        std::fs::write(file, code)?;
    }
    Ok(())
}

/// Gives what the module imports short names: the generator's end in hashes, which no compression takes away. Returns the
/// names that are to be replaced in the code that calls it, none before one of which it is the beginning.
fn shorten_imports(output: &mut Output) -> Vec<(String, String)> {
    let imports = output.wasm_mut().imports.iter_mut().filter(|import| import.name.starts_with("__wb"));
    let renamed = imports.enumerate().map(|(number, import)| {
        let short = format!("i{number}");
        (std::mem::replace(&mut import.name, short.clone()), short)
    });
    let mut renamed: Vec<_> = renamed.collect();
    renamed.sort_by_key(|(long, _)| std::cmp::Reverse(long.len()));
    renamed
}
