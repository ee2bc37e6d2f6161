//! The reference's schemas of one construct or mistake each, with its diagnostic and dump.

use std::path::Path;

use anyhow::Result;
use tests::reference;

use super::Count;
use crate::process::QAPI_GEN;

pub(super) fn run(folder: &Path, count: &mut Count) -> Result<()> {
    let cases = reference::cases(folder)?;
    let qapi_gen = QAPI_GEN.build()?;
    for case in cases {
        let outcome = reference::check(&qapi_gen, &case);
        count.take(outcome.err().map(|error| format!("{error:#}")));
    }
    Ok(())
}
