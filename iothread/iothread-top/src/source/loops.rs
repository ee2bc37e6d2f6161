//! What a server tells of its event loops, as `iothreadd` does.

use std::collections::HashMap;
use std::time::Duration;

use qapi_runtime::Value;

use super::monitor::{AskError, Monitor};
use crate::facts::{EventLoop, Thread};

/// The loops of all IOThreads, by the numbers of the threads.
pub(crate) type Loops = HashMap<i64, EventLoop>;

/// Asks for the loops; nothing if the server does not tell them, as QEMU.
pub(crate) async fn ask(monitor: &Monitor) -> Result<Option<Loops>, AskError> {
    let elements = monitor.ask_list("x-query-iothread-stats", &[]).await?;
    Ok(elements.map(|elements| elements.iter().filter_map(event_loop).collect()))
}

/// Gives each thread its loop.
pub(crate) fn attach(threads: &mut [Thread], mut loops: Loops) {
    for thread in threads {
        thread.event_loop = thread.thread_id.and_then(|id| loops.remove(&id));
    }
}

fn event_loop(element: &Value) -> Option<(i64, EventLoop)> {
    let count = |name: &str| {
        let number = element.get(name).and_then(Value::as_u64);
        number.unwrap_or_default()
    };
    let time = |name: &str| Duration::from_nanos(count(name));
    let id = element.get("thread-id").and_then(Value::as_i64)?;
    let event_loop = EventLoop {
        dispatching: time("dispatching-ns"),
        polling: time("polling-ns"),
        blocked: time("blocked-ns"),
        fd_events: count("fd-events"),
        bottom_halves: count("bottom-halves"),
        posted: count("posted"),
        timers: count("timers"),
        poll_hits: count("poll-hits"),
        poll_misses: count("poll-misses"),
    };
    Some((id, event_loop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_told_by_threads() {
        let read = |text: &str| event_loop(&serde_json::from_str(text).unwrap());
        let told = r#"{"id": "io0", "thread-id": 7, "dispatching-ns": 2000000000, "polling-ns": 5,
            "fd-events": 18446744073709551615, "timers": 1, "poll-hits": 3, "new": []}"#;
        let (id, told) = read(told).unwrap();
        assert_eq!(id, 7);
        assert_eq!(told.dispatching, Duration::from_secs(2));
        assert_eq!(told.polling, Duration::from_nanos(5));
        assert_eq!((told.fd_events, told.poll_hits), (u64::MAX, 3));
        for nonsense in ["{}", "7", r#"{"thread-id": "7"}"#] {
            assert!(read(nonsense).is_none(), "{nonsense}");
        }
        let mut threads = vec![Thread {
            thread_id: Some(7),
            ..Thread::default()
        }];
        threads.push(Thread::default());
        attach(&mut threads, HashMap::from([(7, told.clone())]));
        assert_eq!(threads[0].event_loop, Some(told));
        assert_eq!(threads[1].event_loop, None);
    }
}
