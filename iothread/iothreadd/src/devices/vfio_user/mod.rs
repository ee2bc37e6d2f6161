//! A PCI device in another process: `vfio-user-pci`.
//!
//! - `protocol`: messages; `messages`: how they come, without I/O; `client`: the connection, on an IOThread that all such
//!   devices share.

mod client;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod messages;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use self::client::VfioUserClient;
use self::protocol::{Command, ProtocolError, RegionInfo};
use super::device::Device;
use super::plug::{Plug, Realized};
use super::properties::Properties;
use crate::chardev::connect_unix;
use crate::finally::Finally;
use crate::host::Host;
use crate::qapi::SocketAddress;
use crate::qom::types::{DEVICE, Initial, Property, Type, ValueType};
use crate::task::{self, Work};

/// How long the server may take for an answer, unless told otherwise, in milliseconds.
const TIMEOUT_MS: u32 = 5000;

/// The region with the configuration space.
const CONFIG_REGION: u32 = 7;

/// The most regions that a device may have.
const MAX_REGIONS: u32 = 64;

pub(super) static PCI_TYPE: Type = Type {
    name: "vfio-user-pci",
    base: Some(&DEVICE),
    own: &[
        Property::fixed("socket", ValueType::SocketAddress).described("Where the server of the device listens"),
        Property::fixed("x-msg-timeout", ValueType::Uint32)
            .described("How long to wait for an answer, in milliseconds")
            .initially(Initial::Int(5000)),
        Property::fixed("x-pci-vendor-id", ValueType::Uint32),
        Property::fixed("x-pci-device-id", ValueType::Uint32),
        Property::fixed("x-regions", ValueType::Any).described("Size and flags of each region"),
        Property::fixed("x-connection", ValueType::Any).described(
            "Whether the server is there, how many messages it has sent, and the thread that took the last one",
        ),
    ],
};

/// A device that is plugged in.
struct VfioUser {
    properties: Properties,
    client: Arc<VfioUserClient>,
}

/// What the server has told about the device.
struct DeviceInfo {
    regions: Vec<RegionInfo>,
    vendor: u16,
    device: u16,
}

pub(super) fn realize<'p>(plug: &'p Plug<'p>, properties: Properties) -> Work<'p, Realized> {
    Box::pin(connect(plug, properties))
}

async fn connect(plug: &Plug<'_>, mut properties: Properties) -> Realized {
    let address: Option<SocketAddress> = properties.get("socket")?;
    let timeout: u32 = properties.get_or("x-msg-timeout", TIMEOUT_MS)?;
    let unix = match address {
        None => return Err(Error::generic("No socket specified")),
        Some(SocketAddress::Unix(unix)) => unix,
        Some(SocketAddress::Inet(_) | SocketAddress::Fd(_) | SocketAddress::Unknown(_)) => {
            return Err(Error::generic(
                "vfio-user-pci needs a socket of type 'unix'",
            ));
        }
    };
    let stream = connect_unix(&unix)?.stream;
    let timeout = Duration::from_millis(timeout.into());
    let client = VfioUserClient::start(plug.host, stream, &plug.path(), timeout)?;
    let info = match negotiate(&client).await {
        Ok(info) => info,
        Err(error) => {
            let give_up = |main: OnMain<'_>, gone: &Finally| client.end(main, gone);
            task::see_through(&plug.host.main, give_up).await?;
            return Err(error);
        }
    };
    let region = |region: &RegionInfo| {
        Value::from_iter([
            ("size".to_owned(), Value::from(region.size)),
            ("flags".to_owned(), Value::from(region.flags)),
        ])
    };
    properties.set(
        "x-regions",
        Value::from_iter(info.regions.iter().map(region)),
    );
    properties.set("x-pci-vendor-id", Value::from(info.vendor));
    properties.set("x-pci-device-id", Value::from(info.device));
    Ok(Arc::new(VfioUser { properties, client }))
}

/// Agrees on a version, and asks what the device is like.
async fn negotiate(client: &Arc<VfioUserClient>) -> Result<DeviceInfo, Error> {
    let unusable = |error: ProtocolError| Error::generic(format!("vfio-user: {error}"));
    let version = client
        .request(Command::Version, &protocol::version())
        .await?;
    protocol::check_version(&version).map_err(unusable)?;
    let info = client
        .request(Command::DeviceGetInfo, &protocol::device_info())
        .await?;
    let n_regions = protocol::parse_device_info(&info).map_err(unusable)?;
    if n_regions > MAX_REGIONS {
        return Err(Error::generic(format!(
            "vfio-user: {n_regions} regions, more than {MAX_REGIONS}"
        )));
    }
    let mut regions = Vec::new();
    for index in 0..n_regions {
        let payload = protocol::region_info(index);
        let info = client
            .request(Command::DeviceGetRegionInfo, &payload)
            .await?;
        regions.push(protocol::parse_region_info(&info).map_err(unusable)?);
    }
    let config = usize::try_from(CONFIG_REGION)
        .ok()
        .and_then(|it| regions.get(it));
    let (mut vendor, mut device) = (0, 0);
    if config.is_some_and(|region| region.size >= 4) {
        let payload = protocol::region_read(CONFIG_REGION, 0, 4);
        let reply = client.request(Command::RegionRead, &payload).await?;
        let ids = protocol::parse_region_read(&reply, 4).map_err(unusable)?;
        // The configuration space is little-endian.
        if let [v0, v1, d0, d1] = *ids {
            vendor = u16::from_le_bytes([v0, v1]);
            device = u16::from_le_bytes([d0, d1]);
        }
    }
    Ok(DeviceInfo {
        regions,
        vendor,
        device,
    })
}

impl Device for VfioUser {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        if property != "x-connection" {
            return Ok(self.properties.value(property));
        }
        let (is_there, n_messages, thread_id) = self.client.describe();
        Ok(Value::from_iter([
            ("connected".to_owned(), Value::from(is_there)),
            ("messages".to_owned(), Value::from(n_messages)),
            ("thread-id".to_owned(), Value::from(thread_id)),
        ]))
    }

    fn unrealize(&self, main: OnMain<'_>, _: &Arc<Host>, gone: &Finally) {
        self.client.end(main, gone);
    }
}
