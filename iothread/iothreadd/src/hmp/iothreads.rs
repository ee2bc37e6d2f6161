//! The text of `info iothreads`.

use iothread::{Holder, HolderKind, IoThreadInfo, Parameter};

/// Prints the threads as the human monitor does; lines end in CR LF, as on a terminal.
pub(super) fn render(threads: &[IoThreadInfo]) -> String {
    const SHOWN: [Parameter; 5] = [
        Parameter::PollMaxNs,
        Parameter::PollGrow,
        Parameter::PollShrink,
        Parameter::PollWeight,
        Parameter::AioMaxBatch,
    ];
    let mut text = String::new();
    for thread in threads {
        let mut lines = vec![
            format!("{}:", thread.id),
            format!("  thread_id={}", thread.thread_id),
            format!("  holders={}", render_holders(&thread.holders)),
        ];
        lines.extend(SHOWN.map(|it| format!("  {}={}", it.as_str(), thread.parameters.get(it))));
        for line in lines {
            text.push_str(&line);
            text.push_str("\r\n");
        }
    }
    text
}

fn render_holders(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "none".to_owned();
    }
    let holders: Vec<_> = holders.iter().map(render_holder).collect();
    holders.join(" ")
}

fn render_holder(holder: &Holder) -> String {
    match holder.kind() {
        HolderKind::QOM_OBJECT => format!("[qom-path: {}]", holder.name()),
        kind => format!("[{kind}: {}]", holder.name()),
    }
}

#[cfg(test)]
mod tests {
    use iothread::{IoThread, Registry, holder};

    use super::*;

    #[test]
    fn every_kind_and_an_idle_thread() {
        let registry = Registry::new();
        let [busy, _idle] = ["io0", "io1"].map(|id| {
            let builder = IoThread::builder(id).registry(&registry);
            builder.spawn().expect("the host has room for a thread")
        });
        for holder in [
            holder::monitor("m0"),
            holder::block_export("e0"),
            holder::block_node("n0"),
            holder::qom_object("/machine/peripheral/d0"),
        ] {
            busy.ref_holder(holder).expect("a thread that exists");
        }
        let threads = registry.query_iothreads();
        let ids = [threads[0].thread_id, threads[1].thread_id];
        let rest = "  poll-max-ns=32768\r\n  poll-grow=2\r\n  poll-shrink=2\r\n  poll-weight=3\r\n  aio-max-batch=0\r\n";
        let expected = format!(
            "io0:\r\n  thread_id={}\r\n  \
            holders=[qom-path: /machine/peripheral/d0] [block-node: n0] [block-export: e0] [monitor: m0]\r\n{rest}\
            io1:\r\n  thread_id={}\r\n  holders=none\r\n{rest}",
            ids[0], ids[1]
        );
        assert_eq!(render(&threads), expected);
    }
}
