//! One subsystem from its beginning to its end.

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::world::World;

/// A subsystem, or one of the ways in which it takes its event loops.
pub(crate) struct Row {
    /// Makes what is needed before.
    pub(crate) prepare: fn(&mut World) -> Result<(), Failed>,
    /// Arguments that are refused, and why.
    pub(crate) refused: Vec<(Value, &'static str)>,
    /// The command that adds it, and its arguments.
    pub(crate) command: &'static str,
    pub(crate) arguments: fn(&World) -> Value,
    /// Whether the command is refused while it is there.
    pub(crate) is_unique: bool,
    /// The threads that it holds then, each once, and by which name.
    pub(crate) threads: &'static [&'static str],
    pub(crate) holder: Value,
    /// Lets it do work, and tells on which threads that was done: all that it holds, if it can be told.
    pub(crate) work: fn(&mut World) -> Result<Option<Vec<i64>>, Failed>,
    pub(crate) remove: fn(&mut World) -> Result<(), Failed>,
    /// Takes back what `prepare` has made.
    pub(crate) clean_up: fn(&mut World) -> Result<(), Failed>,
}

pub(crate) fn walk(row: &Row) -> Result<(), Failed> {
    let world = &mut World::start()?;
    walk_in(row, world)?;
    for thread in ["io0", "io1"] {
        world.run("object-del", json!({"id": thread}))?;
    }
    Ok(())
}

/// The same in a world where others may have been before.
pub(crate) fn walk_in(row: &Row, world: &mut World) -> Result<(), Failed> {
    let empty = world.snapshot()?;
    (row.prepare)(world)?;
    // Somebody is there already, so that the order shows.
    world.add_node("before")?;
    for thread in ["io0", "io1"] {
        world.add_node(&format!("on-{thread}"))?;
        let place = json!({"node-name": format!("on-{thread}"), "iothread": thread});
        world.run("x-blockdev-set-iothread", place)?;
    }
    let prepared = world.snapshot()?;
    for (arguments, text) in &row.refused {
        let mut whole = (row.arguments)(world);
        for (name, value) in arguments.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(whole.as_object_mut().and_then(|it| it.remove(name))),
                value => whole[name] = value.clone(),
            }
        }
        let refusal = world.refusal(row.command, &whole)?;
        assert_eq!(refusal, *text, "{whole}");
        assert_eq!(world.snapshot()?, prepared, "after {whole}");
    }
    // Twice: the second time nothing of the first may be in the way.
    for _ in 0..2 {
        add_and_remove(row, world)?;
        assert_eq!(world.snapshot()?, prepared);
    }
    for node in ["before", "on-io0", "on-io1"] {
        world.delete_node(node)?;
    }
    (row.clean_up)(world)?;
    assert_eq!(world.snapshot()?, empty);
    Ok(())
}

/// Only what succeeds, so often.
pub(crate) fn walk_often(row: &Row, count: usize, world: &mut World) -> Result<(), Failed> {
    (row.prepare)(world)?;
    for _ in 0..count {
        add_and_remove(row, world)?;
    }
    (row.clean_up)(world)
}

fn add_and_remove(row: &Row, world: &mut World) -> Result<(), Failed> {
    let before = world.holders()?;
    let arguments = (row.arguments)(world);
    world.run(row.command, arguments.clone())?;
    // The same once more changes nothing.
    let during = world.holders()?;
    if row.is_unique {
        world.refusal(row.command, &arguments)?;
    } else {
        world.run(row.command, arguments)?;
    }
    assert_eq!(world.holders()?, during);
    for (thread, holders) in &during {
        let mut expected = before.get(thread).cloned().unwrap_or_default();
        if row.threads.contains(&thread.as_str()) {
            // The latest comes first.
            expected.insert(0, row.holder.clone());
        }
        assert_eq!(*holders, expected, "{thread}");
    }
    for thread in row.threads {
        assert!(during.contains_key(*thread), "{thread} is not there");
        let kept = world.refusal("object-del", &json!({"id": thread}))?;
        let in_use = format!("object '{thread}' is in use, can not be deleted");
        let internal = format!("object '{thread}' not found");
        assert!(kept == in_use || kept == internal, "{kept}");
    }
    let mut expected = Vec::new();
    for thread in row.threads {
        expected.push(world.thread_id(thread)?);
    }
    if let Some(mut threads) = (row.work)(world)? {
        expected.sort_unstable();
        threads.sort_unstable();
        threads.dedup();
        assert_eq!(threads, expected, "work was done elsewhere");
    }
    (row.remove)(world)
}
