//! Names of every length: what rustfmt makes of a line turns on a column.

use std::fmt::Write as _;

use libtest_mimic::Failed;

use crate::modes::{self, Mode};

/// A prefix, a word repeated, and no more than so many characters.
fn name(prefix: char, word: &str, length: usize) -> String {
    let rest = word.chars().cycle();
    std::iter::once(prefix).chain(rest).take(length).collect()
}

/// All kinds of definitions with names of `length`.
fn definitions(length: usize) -> String {
    let member = name('t', "abcdefghijk", length);
    let value = name('x', "abcdefghijk", length.div_ceil(2));
    let ty = name('T', "bcdefghij", length.max(2));
    let event = member.to_uppercase();
    let n = length;
    format!(
        "
{{ 'enum': 'Plain{n}', 'data': [ 'v{value}', {{ 'name': 'w{member}', 'if': 'CONFIG_B', 'features': [ 'unstable' ] }} ] }}
{{ 'enum': '{ty}E{n}', 'data': [ 'v{member}' ] }}
{{ 'struct': 'Optional{n}', 'data': {{ '*m{member}': 'int',
  '*b{member}': {{ 'type': [ 'str' ], 'features': [ 'unstable' ] }},
  '*c{member}': {{ 'type': 'Plain{n}', 'features': [ 'deprecated' ], 'if': 'CONFIG_A' }} }} }}
{{ 'struct': 'Mandatory{n}', 'data': {{ 'm{member}': 'int',
  'b{member}': {{ 'type': [ 'str' ], 'features': [ 'unstable' ] }},
  'c{member}': {{ 'type': 'Plain{n}', 'features': [ 'deprecated' ], 'if': 'CONFIG_A' }} }} }}
{{ 'struct': 'Base{n}', 'data': {{ '{member}': 'Plain{n}', '*z': 'int',
  '*q{member}': {{ 'type': '{ty}E{n}', 'features': [ 'unstable' ] }} }} }}
{{ 'union': 'Wide{n}', 'base': 'Base{n}', 'discriminator': '{member}', 'data': {{ 'v{value}': 'Optional{n}' }} }}
{{ 'union': '{ty}U{n}', 'base': {{ '{member}': 'Plain{n}' }}, 'discriminator': '{member}',
  'data': {{ 'v{value}': 'Mandatory{n}', 'w{member}': {{ 'type': 'Optional{n}', 'if': 'CONFIG_B' }} }} }}
{{ 'union': '{ty}V{n}', 'base': 'Base{n}', 'discriminator': '{member}', 'data': {{ 'v{value}': 'Mandatory{n}' }} }}
{{ 'alternate': '{ty}A{n}', 'data': {{ '{member}': 'str', 'b{member}': 'Mandatory{n}',
  'c{member}': [ '{ty}U{n}' ], 'd{member}': {{ 'type': 'null', 'if': 'CONFIG_A' }} }} }}
{{ 'command': 'c{n}{member}', 'data': {{ '{member}': 'Plain{n}', '*a{member}': '{ty}A{n}' }}, 'returns': 'Wide{n}' }}
{{ 'command': 'd{n}{member}', 'coroutine': true, 'returns': [ '{ty}U{n}' ] }}
{{ 'command': 'e{n}{member}', 'boxed': true, 'data': '{ty}U{n}', 'returns': '{ty}V{n}',
  'features': [ 'deprecated', 'unstable' ], 'allow-oob': true }}
{{ 'command': 'f{n}{member}', 'coroutine': true, 'data': {{ '{member}': 'int' }} }}
{{ 'command': 'g{n}{member}', 'data': {{ '{member}': 'int' }}, 'gen': false, 'success-response': false }}
{{ 'command': 'h{n}{member}', 'returns': [ 'Base{n}' ], 'if': 'CONFIG_A' }}
{{ 'command': 'i{n}', 'returns': '{ty}U{n}' }}
{{ 'event': 'E{n}{event}', 'data': {{ '{member}': '{ty}A{n}', '*q{member}': 'Plain{n}' }} }}
{{ 'event': 'F{n}{event}', 'boxed': true, 'data': 'Wide{n}', 'if': {{ 'not': 'CONFIG_A' }} }}
{{ 'event': 'G{n}{event}' }}
"
    )
}

/// The longest names in QEMU's schema are shorter.
const MAX_LENGTH: usize = 42;

/// Nothing is compiled: the names say nothing about that.
pub(crate) fn layout() -> Result<(), Failed> {
    let mut schema = "{ 'pragma': { 'doc-required': false } }\n".to_owned();
    for length in 1..=MAX_LENGTH {
        schema.write_str(&definitions(length))?;
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lengths.json");
    std::fs::write(&path, schema)?;
    for mode in [Mode::Set, Mode::Mapped] {
        let module = mode.generate("lengths", &path)?;
        modes::check_layout(&modes::write("lengths", vec![module])?)?;
    }
    Ok(())
}
