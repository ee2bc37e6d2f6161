//! Events on their way to all sessions.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use iothread::{Clock, ContextError, MainContext, Timer};
use qapi_runtime::message::EventData;
use qapi_runtime::session::{EventLimiter, EventMessage};
use qapi_runtime::visit::CompatPolicy;

use crate::qapi::IothreadHoldersChanged;
use crate::report::report;
use crate::sync::Mutex;

/// Takes events to those who listen.
pub(crate) trait EventSink: Send + Sync {
    /// Sends an event to every session.
    fn send(&self, event: &EventMessage);
}

/// Sends events, not more often than QEMU would.
pub(crate) struct Events {
    compat: CompatPolicy,
    limited: Arc<Limited>,
    /// Sends what was held back.
    timer: Timer,
}

struct Limited {
    limiter: Mutex<EventLimiter>,
    sink: Arc<dyn EventSink>,
}

/// As QEMU's, and for an event of our own.
fn limiter() -> EventLimiter {
    EventLimiter::default().and(IothreadHoldersChanged::NAME, Some("iothread"))
}

impl Events {
    pub(crate) fn new(
        main: &MainContext,
        sink: Arc<dyn EventSink>,
        compat: CompatPolicy,
    ) -> Result<Self, ContextError> {
        let limited = Arc::new(Limited {
            limiter: Mutex::new(limiter()),
            sink,
        });
        let held_back = Arc::clone(&limited);
        let timer = main.timer(Clock::Monotonic, move |dispatch| {
            let now = Instant::now();
            let (due, deadline) = {
                let mut limiter = held_back.limiter.lock();
                (limiter.due(now), limiter.deadline())
            };
            for event in due {
                held_back.sink.send(&event);
            }
            if let Some(deadline) = deadline {
                dispatch.arm_after(deadline.saturating_duration_since(now));
            }
        })?;
        Ok(Self {
            compat,
            limited,
            timer,
        })
    }

    /// Sends an event to every session that takes events.
    pub(crate) fn emit<E: EventData>(&self, event: &E) {
        match EventMessage::of(event, SystemTime::now(), self.compat) {
            Ok(Some(message)) => self.send(message),
            // Hidden by the policy.
            Ok(None) => {}
            // Only values of newer peers cannot be sent, and no event is made of those.
            Err(error) => report(&format!("event {} not sent: {error}", E::NAME)),
        }
    }

    fn send(&self, message: EventMessage) {
        let now = Instant::now();
        let (message, deadline) = {
            let mut limiter = self.limited.limiter.lock();
            (limiter.admit(message, now), limiter.deadline())
        };
        if let Some(deadline) = deadline {
            self.timer
                .arm_after(deadline.saturating_duration_since(now));
        }
        if let Some(message) = message {
            self.limited.sink.send(&message);
        }
    }
}
