//! Makes the module `qapi` of the schema.

fn main() -> Result<(), qapi_gen::BuildError> {
    qapi_gen::Builder::new()
        .schema("schema/thermostat.json")
        .generate()
}
