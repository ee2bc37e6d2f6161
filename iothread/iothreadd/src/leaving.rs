//! How users leave event loops: what has to wait for a loop is done when the loop has got on, and no thread waits for it.

use iothread::{AioContext, OnMain, SharedContext};

use crate::finally::Finally;

/// Does something once what runs on a context now, and what is posted there, is over.
pub(crate) fn after_callbacks(main: OnMain<'_>, context: &AioContext, then: Finally) {
    let kept = then.clone();
    // One that was given up drops it at once, and has nothing left.
    let _ = context.synchronize_then(main.context(), move |_| drop(kept));
    then.or_now(main);
}

/// Releases a context, and keeps something from being done until nothing of its user is left there.
pub(crate) fn release(main: OnMain<'_>, context: &SharedContext, released: &Finally) {
    let kept = released.clone();
    // It is released in any case.
    let _ = context.release_then(main.context(), move |_| drop(kept));
}
