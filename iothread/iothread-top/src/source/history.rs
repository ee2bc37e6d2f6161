//! What a server tells of changes among the holders of its IOThreads, as `iothreadd` does.

use std::time::{Duration, SystemTime};

use qapi_runtime::Value;

use super::monitor::{AskError, Monitor, text};
use super::peer::holder;
use crate::facts::Holder;

/// The event that says that there is something new.
pub(crate) const EVENT: &str = "IOTHREAD_HOLDERS_CHANGED";

/// The changes since some moment.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What to ask from the next time.
    pub(crate) sequence: u64,
    /// Whether there were more than the server remembers.
    pub(crate) has_gap: bool,
    /// Who ceased to hold a thread, the first one first.
    pub(crate) left: Vec<Left>,
}

/// Somebody who ceased to hold a thread.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) iothread: String,
    pub(crate) holder: Holder,
    pub(crate) time: SystemTime,
    /// The command that did it, and where it took the holder.
    pub(crate) by: Option<String>,
    pub(crate) to: Option<String>,
}

/// Asks for what came since a change; nothing if the server does not tell, as QEMU.
pub(crate) async fn ask(
    monitor: &Monitor,
    since: Option<u64>,
) -> Result<Option<History>, AskError> {
    let arguments: Vec<_> = since
        .map(|it| ("since", Value::from(it)))
        .into_iter()
        .collect();
    let answer = monitor.ask("x-query-iothread-history", &arguments).await?;
    Ok(answer.as_ref().and_then(history))
}

fn history(answer: &Value) -> Option<History> {
    let changes = answer.get("changes").and_then(Value::as_array);
    Some(History {
        sequence: answer.get("sequence").and_then(Value::as_u64)?,
        has_gap: answer.get("gap").and_then(Value::as_bool) == Some(true),
        left: changes.into_iter().flatten().filter_map(left).collect(),
    })
}

fn left(change: &Value) -> Option<Left> {
    if !matches!(text(change, "change"), Some("detached" | "moved-away")) {
        return None;
    }
    let micros = change.get("time-us").and_then(Value::as_u64)?;
    let word = |name: &str| text(change, name).map(str::to_owned);
    Some(Left {
        iothread: word("iothread")?,
        holder: holder(change.get("holder")?)?,
        time: SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))?,
        by: word("by"),
        to: word("other-iothread"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_left_are_told() {
        let read = |text: &str| history(&serde_json::from_str(text).unwrap());
        let told = read(
            r#"{"sequence": 9, "gap": true, "changes": [
                {"sequence": 7, "time-us": 2000000, "iothread": "io0", "change": "attached",
                 "holder": {"type": "block-node", "node-name": "n0"}, "by": "blockdev-add"},
                {"sequence": 8, "time-us": 3000000, "iothread": "io0", "change": "moved-away",
                 "other-iothread": "io1", "holder": {"type": "block-node", "node-name": "n0"},
                 "by": "x-blockdev-set-iothread"},
                {"sequence": 9, "time-us": 18446744073709551615, "iothread": "io1", "change": "detached",
                 "holder": {"type": "monitor", "monitor-name": "m0"}},
                {"change": "detached"}, 7]}"#,
        )
        .unwrap();
        assert_eq!((told.sequence, told.has_gap), (9, true));
        let left: Vec<_> = told
            .left
            .iter()
            .map(|it| (it.holder.name.as_str(), it.by.as_deref(), it.to.as_deref()))
            .collect();
        let mut expected = vec![("n0", Some("x-blockdev-set-iothread"), Some("io1"))];
        // Times of Windows end before that.
        if !cfg!(windows) {
            expected.push(("m0", None, None));
        }
        assert_eq!(left, expected);
        assert_eq!(
            told.left[0].time,
            SystemTime::UNIX_EPOCH + Duration::from_secs(3)
        );
        assert!(read("{}").is_none() && read("[]").is_none());
    }
}
