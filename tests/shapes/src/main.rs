//! `shapes` lists the shapes; `shapes NAME N FOLDER` writes a schema to a folder.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, n, folder] = &arguments[..] else {
        for shape in shapes::all() {
            println!("{} {} {:?}", shape.name, shape.n, shape.verdict);
        }
        return ExitCode::SUCCESS;
    };
    let Some(shape) = shapes::all().find(|shape| shape.name == name) else {
        eprintln!("unknown shape '{name}'");
        return ExitCode::FAILURE;
    };
    let Ok(n) = n.parse() else {
        eprintln!("'{n}' is not a number");
        return ExitCode::FAILURE;
    };
    for (file, text) in shape.files(n).0 {
        if let Err(error) = std::fs::write(Path::new(folder).join(&file), text) {
            eprintln!("{folder}/{file}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
