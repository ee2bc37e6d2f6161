//! What a server answers to `query-qmp-schema`.

use std::path::Path;

use anyhow::{Context as _, Result};
use qapi_gen::backend::introspect::{Options, introspect};
use qapi_gen::compile;
use qapi_gen::diagnostic::LintLevels;
use qapi_gen::ir::Configuration;
use qapi_gen::loader::FileLoader;
use serde_json::Value;

use super::Count;

pub(super) fn run(
    schema: &Path,
    configuration: &Configuration,
    file: &Path,
    count: &mut Count,
) -> Result<()> {
    let expected: Value =
        serde_json::from_str(&super::read(file)?).with_context(|| file.display().to_string())?;
    // A recording may be the whole reply.
    let expected = entries(expected.get("return").unwrap_or(&expected))?;
    let made = entries(&generate(schema, configuration)?)?;
    for index in 0..expected.len().max(made.len()) {
        let show = |entries: &[Value]| match entries.get(index) {
            Some(entry) => entry.to_string(),
            None => "nothing".to_owned(),
        };
        let is_equal = expected.get(index) == made.get(index);
        count.take((!is_equal).then(|| {
            format!(
                "entry {index}:\n  expected {}\n  generated {}",
                show(&expected),
                show(&made)
            )
        }));
    }
    Ok(())
}

fn entries(value: &Value) -> Result<Vec<Value>> {
    value
        .as_array()
        .cloned()
        .context("the schema is not an array of entries")
}

fn generate(path: &Path, configuration: &Configuration) -> Result<Value> {
    let path = path.to_str().context("the path is not UTF-8")?;
    let compiled = compile(path, &FileLoader, LintLevels::allow_all())?;
    let json = introspect(compiled.schema(), configuration, Options::default())?;
    Ok(serde_json::from_str(&json)?)
}
