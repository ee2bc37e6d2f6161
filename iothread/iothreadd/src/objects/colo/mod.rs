//! Comparing what two copies of a guest send: `colo-compare`.
//!
//! - `frame`: packets on a stream; `packet`: what a packet is about; `compare`: what becomes of it.
//! - `wire`: what is said on a connection, without I/O; `port`: the connections, on the comparison's IOThread.

mod compare;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod packet;
mod port;
mod wire;

use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{Clock, OnMain, SharedContext, Timer, holder};
use qapi_runtime::budget::Member;
use qapi_runtime::{Error, Value};

use self::compare::Comparison;
use self::port::{Ports, Role};
use crate::chardev::{AttachError, Attachment, FrontEnd, PeerStream, Usage};
use crate::finally::Finally;
use crate::host::Host;
use crate::leaving;
use crate::qapi::ColoCompareProperties;
use crate::qemu_text::QemuText;
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::sync::{Level, Mutex};

const TIMEOUT_MS: u64 = 3000;
const SCAN_CYCLE_MS: u32 = 1000;
const QUEUE_SIZE: u32 = 1024;

/// A comparison. Everything but its properties is used on its IOThread alone.
pub(crate) struct ColoCompare {
    properties: ColoCompareProperties,
    settings: Mutex<Settings>,
    /// Taken when the object is deleted.
    context: SharedContext,
    attachments: Mutex<Vec<Attachment>>,
    scan: Mutex<Option<Timer>>,
    state: Mutex<State>,
}

/// What can be changed while it runs.
#[derive(Clone, Copy)]
struct Settings {
    timeout_ms: u64,
    scan_cycle_ms: u32,
    queue_size: u32,
}

struct State {
    comparison: Comparison,
    ports: Ports,
    /// The part of the memory that all comparisons share.
    member: Member,
}

/// Passes peers of a device on to a comparison.
struct Peers {
    colo: Weak<ColoCompare>,
    role: Role,
}

impl FrontEnd for Peers {
    fn connected(&self, _: OnMain<'_>, connection: PeerStream) {
        if let Some(colo) = self.colo.upgrade() {
            let role = self.role;
            let opening = Arc::clone(&colo);
            // A comparison that is gone gives the connection back.
            colo.post(move || opening.open(role, connection));
        }
    }

    fn first_words(&self) -> Option<Vec<u8>> {
        None
    }
}

impl ColoCompare {
    /// `object-add`: takes the IOThread, then the devices. After an error everything is as before; `undone` is kept until it
    /// is.
    pub(super) fn create(
        main: OnMain<'_>,
        host: &Host,
        id: &str,
        properties: &ColoCompareProperties,
        undone: &Finally,
    ) -> Result<Arc<Self>, Error> {
        let thread = host.linked_iothread(&properties.iothread)?;
        let settings = Settings {
            timeout_ms: positive("compare_timeout", properties.compare_timeout, TIMEOUT_MS)?,
            scan_cycle_ms: positive(
                "expired_scan_cycle",
                properties.expired_scan_cycle,
                SCAN_CYCLE_MS,
            )?,
            queue_size: positive("max_queue_size", properties.max_queue_size, QUEUE_SIZE)?,
        };
        let ports = check_ports(host, properties)?;
        let path = format!("/objects/{id}");
        let context = thread
            .get_aio_context(holder::qom_object(path))
            .map_err(|error| error.to_answer())?
            .share();
        let has_headers = properties.vnet_hdr_support.unwrap_or(false);
        let colo = Arc::new(Self {
            properties: properties.clone(),
            settings: Mutex::new(settings),
            context,
            attachments: Mutex::default(),
            scan: Mutex::default(),
            state: Mutex::at(
                Level::Peer,
                State {
                    comparison: Comparison::default(),
                    ports: Ports::new(has_headers),
                    member: host.budgets.colo().join(),
                },
            ),
        });
        let attached = colo.start_scans().and_then(|()| {
            for (role, chardev) in ports {
                colo.attach(main, host, role, chardev)?;
            }
            Ok(())
        });
        match attached {
            Ok(()) => Ok(colo),
            Err(error) => {
                colo.end(main, undone);
                Err(error)
            }
        }
    }

    fn attach(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Host,
        role: Role,
        chardev: &str,
    ) -> Result<(), Error> {
        let usage = match role {
            Role::PrimaryIn | Role::SecondaryIn | Role::Notify => Usage::Read,
            Role::Out => Usage::Write,
        };
        let peers = Arc::new(Peers {
            colo: Arc::downgrade(self),
            role,
        });
        let attached = host.chardevs.attach(main, chardev, usage, peers);
        let attachment = attached.map_err(|error| error.about(chardev))?;
        self.attachments.lock().push(attachment);
        Ok(())
    }

    /// Looks for packets that have waited too long, again and again.
    fn start_scans(self: &Arc<Self>) -> Result<(), Error> {
        let colo = Arc::downgrade(self);
        let timer = self.context.timer(Clock::Monotonic, move |dispatch| {
            if let Some(colo) = colo.upgrade() {
                let now = dispatch.now(Clock::Monotonic);
                dispatch.arm_after(colo.scan(now));
            }
        });
        let timer = timer.map_err(|error| Error::generic(error.to_string()))?;
        timer.arm_after(self.scan_cycle());
        *self.scan.lock() = Some(timer);
        Ok(())
    }

    fn scan_cycle(&self) -> Duration {
        Duration::from_millis(self.settings.lock().scan_cycle_ms.into())
    }

    /// Returns when to scan again.
    fn scan(self: &Arc<Self>, now: Duration) -> Duration {
        let timeout = Duration::from_millis(self.settings.lock().timeout_ms);
        let mut state = self.state.lock();
        let actions = state.comparison.scan(now, timeout);
        state.ports.carry_out(actions);
        self.work(&mut state);
        drop(state);
        self.scan_cycle()
    }

    /// Runs something on the comparison's thread, unless the comparison is gone.
    fn post(&self, run: impl FnOnce() + Send + 'static) {
        // Refused once the comparison is gone.
        let _ = self.context.post(move |_| run());
    }

    /// `object-del`: lets what waits through, and gives everything back. Keeps `gone` until that is done.
    pub(super) fn end(self: &Arc<Self>, main: OnMain<'_>, gone: &Finally) {
        // No new peers.
        let attachments = std::mem::take(&mut *self.attachments.lock());
        drop(attachments);
        let scan = self.scan.lock().take();
        drop(scan);
        let ended = Arc::clone(self);
        let flushed = gone.preceded_by(move |main, gone| {
            leaving::release(main, &ended.context, gone);
        });
        let (ending, kept) = (Arc::clone(self), flushed.clone());
        self.post(move || {
            ending.flush_and_close();
            drop(kept);
        });
        flushed.or_now(main);
    }

    fn flush_and_close(&self) {
        let mut state = self.state.lock();
        let State {
            comparison,
            ports,
            member,
        } = &mut *state;
        ports.send_out(&comparison.checkpoint());
        ports.close();
        member.set_used(0);
        member.stop_waiting();
    }
}

/// Checks the devices before anything is taken.
fn check_ports<'p>(
    host: &Host,
    properties: &'p ColoCompareProperties,
) -> Result<Vec<(Role, &'p str)>, Error> {
    let mut ports = vec![
        (Role::PrimaryIn, properties.primary_in.as_str()),
        (Role::SecondaryIn, properties.secondary_in.as_str()),
        (Role::Out, properties.outdev.as_str()),
    ];
    let names = [ports[0].1, ports[1].1, ports[2].1];
    if names[0] == names[1] || names[0] == names[2] || names[1] == names[2] {
        return Err(Error::generic(
            "'indev' and 'outdev' could not be same for compare module",
        ));
    }
    if let Some(notify) = &properties.notify_dev {
        ports.push((Role::Notify, notify));
    }
    for (_, chardev) in &ports {
        let is_socket = host.chardevs.is_socket(chardev);
        if !is_socket.ok_or_else(|| AttachError::Missing.about(chardev))? {
            return Err(Error::generic(format!(
                "chardev \"{chardev}\" is not reconnectable"
            )));
        }
    }
    Ok(ports)
}

/// The value of a property that must not be zero.
fn positive<T: Copy + Default + PartialEq>(
    name: &str,
    value: Option<T>,
    initial: T,
) -> Result<T, Error> {
    match value.unwrap_or(initial) {
        zero if zero == T::default() => Err(Error::generic(format!(
            "Property 'colo-compare.{name}' requires a positive value"
        ))),
        value => Ok(value),
    }
}

impl Object for ColoCompare {
    fn object_type(&self) -> &'static Type {
        &types::COLO_COMPARE
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        let ColoCompareProperties {
            primary_in,
            secondary_in,
            outdev,
            iothread,
            notify_dev,
            vnet_hdr_support,
            ..
        } = &self.properties;
        let settings = *self.settings.lock();
        Ok(match property {
            "primary_in" => Value::from(primary_in.clone()),
            "secondary_in" => Value::from(secondary_in.clone()),
            "outdev" => Value::from(outdev.clone()),
            "notify_dev" => Value::from(notify_dev.clone().unwrap_or_default()),
            "iothread" if iothread.starts_with('/') => Value::from(iothread.clone()),
            "iothread" => Value::from(format!("/objects/{iothread}")),
            "compare_timeout" => Value::from(settings.timeout_ms),
            "expired_scan_cycle" => Value::from(settings.scan_cycle_ms),
            "max_queue_size" => Value::from(settings.queue_size),
            "vnet_hdr_support" => Value::from(vnet_hdr_support.unwrap_or(false)),
            _ => self.describe(),
        })
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let expects = |kind: &str| Error::generic(format!("Parameter '{property}' expects {kind}"));
        let number = value.as_u64().ok_or_else(|| expects("uint64"))?;
        let small = u32::try_from(number);
        let mut settings = self.settings.lock();
        match property {
            "compare_timeout" => {
                settings.timeout_ms = positive(property, Some(number), TIMEOUT_MS)?;
            }
            "expired_scan_cycle" => {
                let cycle = small.map_err(|_| expects("uint32_t"))?;
                settings.scan_cycle_ms = positive(property, Some(cycle), SCAN_CYCLE_MS)?;
            }
            _ => {
                let size = small.map_err(|_| expects("uint32_t"))?;
                settings.queue_size = positive(property, Some(size), QUEUE_SIZE)?;
            }
        }
        Ok(())
    }
}

impl ColoCompare {
    /// What has been done so far, and on which thread.
    fn describe(&self) -> Value {
        let state = self.state.lock();
        let counts = state.comparison.counts();
        Value::from_iter([
            ("thread-id".to_owned(), Value::from(state.ports.thread_id())),
            ("peers".to_owned(), Value::from(state.ports.n_open())),
            ("primary".to_owned(), Value::from(counts.primary)),
            ("secondary".to_owned(), Value::from(counts.secondary)),
            ("released".to_owned(), Value::from(counts.released)),
            ("dropped".to_owned(), Value::from(counts.dropped)),
            ("checkpoints".to_owned(), Value::from(counts.checkpoints)),
        ])
    }
}
