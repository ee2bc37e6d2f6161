//! Two event loops in a program of tokio: IOThreads for what must not wait for others, tokio for everything else. Either side awaits
//! the other.
//!
//! `cargo run --example with_tokio --features async`

#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use iothread::{Clock, IoThread, Registry, holder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let mut contexts = Vec::new();
    for (id, disk) in [("io0", "disk0"), ("io1", "disk1")] {
        let thread = IoThread::builder(id).registry(&registry).spawn()?;
        contexts.push(thread.get_aio_context(holder::qom_object(disk))?);
    }

    // A value of tokio's goes to an IOThread and wakes a future there, and what comes of that is awaited by tokio.
    let (ask, question) = tokio::sync::oneshot::channel::<u64>();
    let view = contexts[0].downgrade();
    let answer = contexts[0].spawn_future(async move {
        let number = question.await.ok()?;
        view.sleep(Clock::Monotonic, Duration::from_millis(1))
            .ok()?
            .await
            .ok()?;
        assert!(view.is_current());
        view.run_blocking(move || number + 1).ok()?.await.ok()
    })?;
    let asking = tokio::spawn(async move {
        tokio::task::yield_now().await;
        ask.send(41)
    });
    let (answer, asked) = tokio::join!(answer, asking);
    asked?.map_err(|_| "the future on the IOThread is gone")?;
    println!("io0 answers {:?}", answer?);

    // The other way round: a callback on an IOThread hands over to tokio by a channel.
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    for (number, context) in contexts.iter().enumerate() {
        let sent = sent.clone();
        context.post_after(Duration::from_millis(2), move |dispatch| {
            // The program may have ended.
            let _ = sent.send((number, dispatch.context().name().to_owned()));
        })?;
    }
    drop(sent);
    while let Some((number, name)) = received.recv().await {
        println!("disk{number} is served by {name}");
    }

    // A release waits, so tokio leaves it to a thread that may.
    tokio::task::spawn_blocking(move || contexts.into_iter().for_each(|it| it.release())).await?;
    for thread in registry.threads() {
        thread.delete()?;
    }
    Ok(())
}
