//! How a device is made.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::Error;

use super::Devices;
use super::bus::Bus;
use super::device::Device;
use super::position::Position;
use super::properties::Properties;
use crate::finally::Finally;
use crate::host::Host;
use crate::task::Work;

/// What a new device is told beside its properties.
pub(super) struct Plug<'p> {
    pub(super) host: &'p Arc<Host>,
    pub(super) devices: &'p Devices,
    pub(super) position: &'p Position,
    pub(super) bus: &'p Bus,
}

impl Plug<'_> {
    /// Where the device is in the tree.
    pub(super) fn path(&self) -> String {
        self.position.path()
    }
}

/// Makes a device. After an error everything is as before; the last argument is kept until it is, or the device is where
/// it is to be.
#[derive(Clone, Copy)]
pub(super) enum Realize {
    AtOnce(fn(OnMain<'_>, &Plug<'_>, Properties, &Finally) -> Realized),
    /// It waits for a peer, and the main loop goes on meanwhile.
    InTime(RealizeInTime),
}

pub(super) type Realized = Result<Arc<dyn Device>, Error>;

pub(super) type RealizeInTime = for<'p> fn(&'p Plug<'p>, Properties) -> Work<'p, Realized>;
