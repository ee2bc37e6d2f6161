//! What a server tells about its IOThreads: in the shape of `iothreadd`, in that which QEMU is about to have, and without holders.

use qapi_runtime::Value;

use super::monitor::{AskError, Monitor, text};
use crate::facts::{Holder, Origin, Standing, Thread};

/// The IOThreads that the server lists; nothing if it has no command for that.
pub(crate) async fn listed(monitor: &Monitor) -> Result<Option<Vec<Thread>>, AskError> {
    let elements = monitor.ask_list("query-iothreads", &[]).await?;
    Ok(elements.map(|elements| threads(&elements, Standing::Listed)))
}

/// The IOThreads that the server keeps for itself; nothing if it does not tell, as QEMU.
pub(crate) async fn internal(monitor: &Monitor) -> Result<Option<Vec<Thread>>, AskError> {
    let elements = monitor.ask_list("x-query-internal-iothreads", &[]).await?;
    Ok(elements.map(|elements| threads(&elements, Standing::Internal)))
}

fn threads(elements: &[Value], standing: Standing) -> Vec<Thread> {
    elements
        .iter()
        .filter(|element| element.as_object().is_some())
        .map(|element| thread(element, standing))
        .collect()
}

/// What an element of the answer says. Servers differ in what they tell, so nothing but the id is relied on.
fn thread(element: &Value, standing: Standing) -> Thread {
    let holders = element.get("holders").and_then(Value::as_array);
    let holders: Option<Vec<_>> =
        holders.map(|holders| holders.iter().filter_map(holder).collect());
    Thread {
        id: text(element, "id").unwrap_or("?").to_owned(),
        thread_id: element.get("thread-id").and_then(Value::as_i64),
        standing,
        from: holders.is_some().then_some(Origin::Told),
        holders,
        poll_max_ns: element.get("poll-max-ns").and_then(Value::as_i64),
        ..Thread::default()
    }
}

/// A holder of any kind: beside its type it has one member, its name.
pub(super) fn holder(value: &Value) -> Option<Holder> {
    let members = value.as_object()?;
    let name = members.iter().find(|(key, _)| *key != "type");
    let name = name.and_then(|(_, name)| name.as_str());
    Some(Holder {
        kind: text(value, "type").unwrap_or("?").to_owned(),
        name: name.unwrap_or("?").to_owned(),
        ..Holder::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Thread {
        let value: Value = serde_json::from_str(text).unwrap();
        thread(&value, Standing::Listed)
    }

    /// Both shapes, kinds that nobody knows yet, and what makes no sense.
    #[test]
    fn servers_that_tell_more_or_less() {
        let full = read(
            r#"{"id": "io0", "thread-id": 7, "poll-max-ns": 32, "holders": [
                {"type": "block-node", "node-name": "n0"},
                {"type": "block-export", "export-id": "e0"},
                {"type": "monitor", "monitor-name": "m0"},
                {"type": "qom-object", "qom-path": "/objects/compat_monitor0"},
                {"type": "vcpu", "index-of-it": "3"},
                {"type": "vcpu", "index-of-it": 3}, {}, 7]}"#,
        );
        let holders: Vec<_> = full
            .holders
            .iter()
            .flatten()
            .map(|holder| (holder.kind.as_str(), holder.name.as_str()))
            .collect();
        assert_eq!(
            holders,
            [
                ("block-node", "n0"),
                ("block-export", "e0"),
                ("monitor", "m0"),
                ("qom-object", "/objects/compat_monitor0"),
                ("vcpu", "3"),
                ("vcpu", "?"),
                ("?", "?"),
            ]
        );
        assert_eq!((full.thread_id, full.poll_max_ns), (Some(7), Some(32)));
        assert_eq!(full.from, Some(Origin::Told));
        let idle = read(r#"{"id": "io1", "thread-id": 8, "holders": []}"#);
        assert_eq!(idle.holders, Some(Vec::new()));
        let bare = read("{}");
        assert_eq!((bare.id.as_str(), bare.holders), ("?", None));
        assert_eq!((bare.thread_id, bare.from), (None, None));
    }
}
