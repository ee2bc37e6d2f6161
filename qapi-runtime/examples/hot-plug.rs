//! Plugs a disk into a guest that runs: all of it, or nothing.

use std::fs::File;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::blocking::{Client, Plan};
use qapi_runtime::client::{Address, CallOptions, ConnectOptions, PlanError};

/// QEMU gets the file open, and needs no right to open it itself.
pub(crate) fn plug(client: &Client, image: File) -> Result<Plan, PlanError> {
    let path = "/dev/fdset/7";
    let set = Value::from([("fdset-id", 7)]);
    let file = Value::from([("driver", "file"), ("node-name", "f"), ("filename", path)]);
    let disk = Value::from([("driver", "raw"), ("node-name", "disk"), ("file", "f")]);
    let device = Value::from([("driver", "virtio-blk"), ("id", "vdb"), ("drive", "disk")]);
    let mut plan = client.plan();
    let with_image = CallOptions::new().descriptor(image.into());
    plan.execute_raw("add-fd", Some(&set), with_image)?;
    plan.execute_raw("blockdev-add", Some(&file), CallOptions::new())?;
    plan.execute_raw("blockdev-add", Some(&disk), CallOptions::new())?;
    plan.execute_raw("device_add", Some(&device), CallOptions::new())?;
    Ok(plan)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = File::options().read(true).write(true).open("data.raw")?;
    let address = Address::unix("/run/vm/qmp.sock");
    let client = Client::connect(ConnectOptions::new(address).timeout(Duration::from_secs(10)))?;
    let mut plugged = plug(&client, image)?;
    println!("{plugged:?}");
    plugged.undo()?; // Asks the guest to let go of the device, and takes all of it away.
    Ok(())
}
