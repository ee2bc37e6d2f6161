//! The text of `info iothreads`.

use crate::holders::identity;
use crate::qapi::{IoThreadHolder, IoThreadInfo};

/// Prints the threads as the human monitor does; lines end in CR LF, as on a terminal.
pub(crate) fn render(threads: &[IoThreadInfo]) -> String {
    let mut text = String::new();
    for thread in threads {
        let lines = [
            format!("{}:", thread.id),
            format!("  thread_id={}", thread.thread_id),
            format!("  holders={}", render_holders(&thread.holders)),
            format!("  poll-max-ns={}", thread.poll_max_ns),
            format!("  poll-grow={}", thread.poll_grow),
            format!("  poll-shrink={}", thread.poll_shrink),
            format!("  poll-weight={}", thread.poll_weight),
            format!("  aio-max-batch={}", thread.aio_max_batch),
        ];
        for line in lines {
            text.push_str(&line);
            text.push_str("\r\n");
        }
    }
    text
}

fn render_holders(holders: &[IoThreadHolder]) -> String {
    if holders.is_empty() {
        return "none".to_owned();
    }
    let holders: Vec<_> = holders.iter().map(render_holder).collect();
    holders.join(" ")
}

fn render_holder(holder: &IoThreadHolder) -> String {
    match (holder, identity(holder)) {
        (IoThreadHolder::QomObject(_), Ok((_, name))) => format!("[qom-path: {name}]"),
        (_, Ok((kind, name))) => format!("[{}: {name}]", kind.as_str()),
        (_, Err(kind)) => format!("[{kind}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holder;

    #[test]
    fn every_kind_and_an_idle_thread() {
        let busy = IoThreadInfo {
            id: "io0".to_owned(),
            thread_id: 7,
            holders: vec![
                holder::qom_object("/machine/peripheral/d0"),
                holder::block_node("n0"),
                holder::block_export("e0"),
                holder::monitor("m0"),
            ],
            poll_max_ns: 32_768,
            poll_grow: 2,
            poll_shrink: 2,
            poll_weight: 3,
            aio_max_batch: 0,
        };
        let idle = IoThreadInfo {
            id: "io1".to_owned(),
            holders: Vec::new(),
            ..busy.clone()
        };
        let expected = "io0:\r\n  thread_id=7\r\n  \
            holders=[qom-path: /machine/peripheral/d0] [block-node: n0] [block-export: e0] [monitor: m0]\r\n  \
            poll-max-ns=32768\r\n  poll-grow=2\r\n  poll-shrink=2\r\n  poll-weight=3\r\n  aio-max-batch=0\r\n\
            io1:\r\n  thread_id=7\r\n  holders=none\r\n  \
            poll-max-ns=32768\r\n  poll-grow=2\r\n  poll-shrink=2\r\n  poll-weight=3\r\n  aio-max-batch=0\r\n";
        assert_eq!(render(&[busy, idle]), expected);
    }
}
