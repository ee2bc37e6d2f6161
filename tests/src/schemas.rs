//! Schemas that tests read.

use std::path::{Path, PathBuf};

use crate::{Tool, workspace};

/// QEMU's schemas in the reference material, oldest last: folders below `qemu/`.
pub const QEMU_SCHEMAS: [&str; 6] = [
    "11.1.3/qapi",
    "11.1.3/storage-daemon/qapi",
    "10.2.2/qapi",
    "10.2.2/storage-daemon/qapi",
    "10.2.2/qga",
    "10.0.13/qapi",
];

/// The file of one of [`QEMU_SCHEMAS`] in the reference material, which is the folder `shared`.
#[must_use]
pub fn qemu_schema(shared: &Path, schema: &str) -> PathBuf {
    shared.join("qemu").join(schema).join("qapi-schema.json")
}

/// The schema of `iothreadd`, and QEMU's where they are here. If they are not, says so for `test`.
#[must_use]
pub fn schemas(test: &str) -> Vec<PathBuf> {
    let mut schemas = vec![workspace().join("schema/qapi-schema.json")];
    if let Some(shared) = Tool::Shared.for_test(test) {
        schemas.extend(QEMU_SCHEMAS.map(|schema| qemu_schema(&shared, schema)));
    }
    schemas
}
