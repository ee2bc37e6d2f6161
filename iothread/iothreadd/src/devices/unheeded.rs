//! Properties that are for guests. Here are no guests: they are taken and shown with QEMU's types and initial
//! values, and nothing comes of them. Where something would, only the values are taken that leave it as it is.

use qapi_runtime::{Error, Value};

use super::properties::Properties;
use crate::qapi::OnOffAuto;
use crate::qom::types::{DEVICE, Initial, Property, Type, ValueType};

/// What a disk does about requests that fail.
const POLICIES: [&str; 5] = ["report", "ignore", "enospc", "stop", "auto"];

/// The sizes that a block may have.
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 512..=2 << 20;

/// The largest of the other sizes.
const MAX_SIZE: u64 = u32::MAX as u64;

/// One that is kept.
const fn kept(name: &'static str, value_type: ValueType) -> Property {
    Property::fixed(name, value_type).unheeded()
}

const fn on(name: &'static str) -> Property {
    let switch = kept(name, ValueType::Bool).described("on/off");
    switch.initially(Initial::Bool(true))
}

const fn off(name: &'static str) -> Property {
    let switch = kept(name, ValueType::Bool).described("on/off");
    switch.initially(Initial::Bool(false))
}

const fn on_off_auto(name: &'static str) -> Property {
    let switch = kept(name, ValueType::OnOffAuto).described("on/off/auto");
    switch.initially(Initial::Text("auto"))
}

/// Nothing stops here, and nothing is hidden.
const fn policy(name: &'static str) -> Property {
    kept(name, ValueType::OnError)
        .described("Error handling policy (report/ignore/enospc/stop/auto)")
        .initially(Initial::Text("auto"))
        .only(&["auto", "report"])
}

/// One list of all.
pub(super) const fn join<const A: usize, const B: usize, const ALL: usize>(
    first: [Property; A],
    second: [Property; B],
) -> [Property; ALL] {
    assert!(A + B == ALL);
    let mut all = [off(""); ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < A {
            first[index]
        } else {
            second[index - A]
        };
        index += 1;
    }
    all
}

/// What all virtio devices on a PCI bus are derived from.
pub(super) static VIRTIO_PCI: Type = Type {
    name: "virtio-pci",
    base: Some(&DEVICE),
    own: &join::<2, 40, 42>(
        [
            // Checked with the bus.
            Property::fixed("addr", ValueType::Str)
                .described("Slot and optional function number, example: 06.0 or 06")
                .initially(Initial::Int(-1)),
            kept("busnr", ValueType::BusNumber).shown(Initial::Int(0)),
        ],
        PCI,
    ),
};

/// What every virtio device on a PCI bus has.
const PCI: [Property; 40] = [
    kept("acpi-index", ValueType::Uint32).initially(Initial::Int(0)),
    off("aer"),
    on("any_layout"),
    off("ats"),
    on_off_auto("disable-legacy").shown(Initial::Text("off")),
    off("disable-modern"),
    on("event_idx"),
    kept("failover_pair_id", ValueType::Str).only(&[""]),
    off("in_order"),
    on("indirect_desc"),
    off("iommu_platform"),
    on("migrate-extra"),
    off("modern-pio-notify"),
    off("multifunction"),
    on("notify_on_empty"),
    off("packed"),
    off("page-per-vq"),
    on("queue_reset"),
    kept("rombar", ValueType::Int32).initially(Initial::Int(-1)),
    kept("romfile", ValueType::Str).only(&[""]),
    kept("romsize", ValueType::Uint32).initially(Initial::Int(4_294_967_295)),
    on("use-disabled-flag"),
    on("use-started"),
    kept("vectors", ValueType::Uint32).initially(Initial::Int(4_294_967_295)),
    off("virtio-pci-bus-master-bug-migration"),
    on("x-ats-page-aligned"),
    off("x-disable-legacy-check"),
    off("x-disable-pcie"),
    off("x-ignore-backend-features"),
    kept("x-max-bounce-buffer-size", ValueType::Size)
        .described("Maximum buffer size allocated for bounce buffers used for mapped access to indirect DMA memory").initially(Initial::Int(4096)),
    off("x-pcie-ari-nextfn-1"),
    on("x-pcie-deverr-init"),
    on("x-pcie-err-unc-mask"),
    on("x-pcie-ext-tag"),
    on("x-pcie-extcap-init"),
    on("x-pcie-flr-init"),
    on("x-pcie-lnkctl-init"),
    on("x-pcie-lnksta-dllla"),
    on("x-pcie-pm-init"),
    off("x-pcie-pm-no-soft-reset"),
];

/// What every disk has.
pub(super) const BLOCK: [Property; 12] = [
    on_off_auto("account-failed").only(&["auto", "on"]),
    on_off_auto("account-invalid").only(&["auto", "on"]),
    on_off_auto("backend_defaults").only(&["auto", "off"]),
    kept("bootindex", ValueType::Int32).shown(Initial::Int(-1)),
    kept("discard_granularity", ValueType::Size).initially(Initial::Int(4_294_967_295)),
    kept("logical_block_size", ValueType::Size)
        .described("A power of two between 512 B and 2 MiB")
        .initially(Initial::Int(0))
        .shown(Initial::Int(512)),
    kept("min_io_size", ValueType::Size).initially(Initial::Int(0)),
    kept("opt_io_size", ValueType::Size).initially(Initial::Int(0)),
    kept("physical_block_size", ValueType::Size)
        .described("A power of two between 512 B and 2 MiB")
        .initially(Initial::Int(0))
        .shown(Initial::Int(512)),
    policy("rerror"),
    policy("werror"),
    on_off_auto("write-cache"),
];

/// What disks have whose data are in cylinders, as guests see them.
pub(super) const GEOMETRY: [Property; 6] = [
    kept("cyls", ValueType::Uint32).initially(Initial::Int(0)),
    kept("heads", ValueType::Uint32).initially(Initial::Int(0)),
    kept("lcyls", ValueType::Uint32).initially(Initial::Int(0)),
    kept("lheads", ValueType::Uint32).initially(Initial::Int(0)),
    kept("lsecs", ValueType::Uint32).initially(Initial::Int(0)),
    kept("secs", ValueType::Uint32).initially(Initial::Int(0)),
];

/// What only `virtio-blk-pci` has.
pub(super) const VIRTIO_BLK: [Property; 10] = [
    kept("class", ValueType::Uint32).initially(Initial::Int(0)),
    on("config-wce"),
    on("discard"),
    kept("max-discard-sectors", ValueType::Uint32).initially(Initial::Int(4_194_303)),
    kept("max-write-zeroes-sectors", ValueType::Uint32).initially(Initial::Int(4_194_303)),
    on("report-discard-granularity"),
    on("request-merging"),
    on("seg-max-adjust"),
    on("write-zeroes"),
    on("x-enable-wce-if-config-wce"),
];

/// What only `virtio-scsi-pci` has.
pub(super) const VIRTIO_SCSI: [Property; 3] = [
    on("hotplug").only(&["on"]),
    on("param_change"),
    on("seg_max_adjust"),
];

/// What only `virtio-balloon-pci` has.
pub(super) const VIRTIO_BALLOON: [Property; 4] = [
    off("free-page-reporting"),
    on("ioeventfd"),
    on("page-poison"),
    off("qemu-4-0-config-size"),
];

/// What every SCSI disk has.
pub(super) const SCSI: [Property; 8] = [
    kept("device_id", ValueType::Str),
    kept("max_io_size", ValueType::Uint64).initially(Initial::Int(2_147_483_647)),
    on("migrate-emulated-scsi-request"),
    kept("port_index", ValueType::Uint16).initially(Initial::Int(0)),
    kept("port_wwn", ValueType::Uint64).initially(Initial::Int(0)),
    off("quirk_mode_page_vendor_specific_apple"),
    kept("scsi_version", ValueType::Int32).initially(Initial::Int(5)),
    kept("wwn", ValueType::Uint64).initially(Initial::Int(0)),
];

/// What only `scsi-hd` has.
pub(super) const ONLY_SCSI_HD: [Property; 3] = [
    off("dpofua"),
    kept("max_unmap_size", ValueType::Uint64).initially(Initial::Int(1_073_741_824)),
    kept("rotation_rate", ValueType::Uint16).initially(Initial::Int(0)),
];

/// What only `scsi-cd` has.
pub(super) const ONLY_SCSI_CD: [Property; 3] = [
    off("quirk_mode_page_apple_vendor"),
    off("quirk_mode_page_truncated"),
    off("quirk_mode_sense_rom_use_dbd"),
];

/// Properties that a device only tells.
const READ_ONLY: [&str; 2] = ["busnr", "guest-stats"];

/// Tells how many interrupts a device has, unless it was told.
pub(super) fn show_vectors(properties: &mut Properties, number: u32) {
    if !properties.is_given("vectors") {
        properties.set("vectors", Value::from(number));
    }
}

/// Tells how the data of a disk of that many bytes are laid out, unless it was told: as the BIOS would have it.
pub(super) fn show_geometry(properties: &mut Properties, size: u64) {
    const HEADS: u64 = 16;
    const SECTORS: u64 = 63;
    if properties.is_given("cyls") {
        return;
    }
    let cylinders = (size / 512 / HEADS / SECTORS).clamp(2, 16383);
    for (name, number) in [("cyls", cylinders), ("heads", HEADS), ("secs", SECTORS)] {
        properties.set(name, Value::from(number));
    }
}

/// Checks the values that a device was given for such properties.
///
/// # Errors
///
/// In QEMU's words where it refuses a value, too.
pub(super) fn check(properties: &Properties) -> Result<(), Error> {
    let type_name = properties.object_type().name;
    if let Some(name) = READ_ONLY.iter().find(|name| properties.is_given(name)) {
        return Err(Error::generic(format!(
            "Property '{type_name}.{name}' is not writable"
        )));
    }
    for property in properties.object_type().properties() {
        if property.is_unheeded && properties.is_given(property.name) {
            check_value(properties, property)?;
        }
    }
    check_sizes(properties)?;
    check_geometry(properties)
}

fn check_value(properties: &Properties, property: &Property) -> Result<(), Error> {
    let name = property.name;
    let mut shown = None;
    match property.value_type {
        ValueType::Bool => shown = properties.get::<bool>(name)?.map(on_or_off),
        ValueType::Uint16 => drop(properties.get::<u16>(name)?),
        ValueType::Uint32 => drop(properties.get::<u32>(name)?),
        ValueType::Int32 => drop(properties.get::<i32>(name)?),
        ValueType::Uint64 => drop(properties.get::<u64>(name)?),
        ValueType::Int => drop(properties.get::<i64>(name)?),
        ValueType::Size => {
            let size = properties.get::<u64>(name)?;
            // Blocks have limits of their own.
            if let Some(size) =
                size.filter(|size| *size > MAX_SIZE && !name.ends_with("block_size"))
            {
                let type_name = properties.object_type().name;
                return Err(Error::generic(format!(
                    "Property {type_name}.{name} doesn't take value {size} (maximum: {MAX_SIZE})"
                )));
            }
        }
        ValueType::OnOffAuto => {
            let value = properties.get::<OnOffAuto>(name)?;
            shown = value.map(|value| value.as_str().to_owned());
        }
        ValueType::Any
        | ValueType::BusNumber
        | ValueType::CloseAction
        | ValueType::GuestStatistics
        | ValueType::Link(_)
        | ValueType::OnError
        | ValueType::SocketAddress
        | ValueType::Str
        | ValueType::String
        | ValueType::VirtQueueMapping => {
            shown = properties.get::<String>(name)?;
            let is_policy = property.value_type == ValueType::OnError;
            if let Some(text) = shown
                .as_deref()
                .filter(|it| is_policy && !POLICIES.contains(it))
            {
                return Err(Error::generic(format!(
                    "Parameter '{name}' does not accept value '{text}'"
                )));
            }
        }
    }
    match shown {
        Some(value) if !property.only.is_empty() && !property.only.contains(&&*value) => {
            let type_name = properties.object_type().name;
            Err(Error::generic(format!(
                "Property '{type_name}.{name}' with the value '{value}' is not supported"
            )))
        }
        Some(_) | None => Ok(()),
    }
}

fn on_or_off(value: bool) -> String {
    if value { "on" } else { "off" }.to_owned()
}

fn check_sizes(properties: &Properties) -> Result<(), Error> {
    let size = |name| {
        properties
            .get::<u64>(name)
            .map(|size| size.filter(|it| *it != 0))
    };
    let blocks = ["logical_block_size", "physical_block_size"];
    for name in blocks {
        let is_wrong = |size: u64| !size.is_power_of_two() || !BLOCK_SIZES.contains(&size);
        if size(name)?.is_some_and(is_wrong) {
            let (least, most) = (BLOCK_SIZES.start(), BLOCK_SIZES.end());
            return Err(Error::generic(format!(
                "parameter {name} must be a power of 2 between {least} and {most}"
            )));
        }
    }
    let [logical, physical] = blocks.map(size);
    let (logical, physical) = (logical?.unwrap_or(512), physical?.unwrap_or(512));
    if logical > physical {
        return Err(Error::generic(
            "logical_block_size > physical_block_size not supported",
        ));
    }
    let is_wrong = |size: u64| !size.is_multiple_of(logical);
    if size("min_io_size")?.is_some_and(is_wrong) {
        return Err(Error::generic(
            "min_io_size must be a multiple of logical_block_size",
        ));
    }
    Ok(())
}

/// Cylinders, heads and sectors are told together.
fn check_geometry(properties: &Properties) -> Result<(), Error> {
    let number = |name| properties.get_or::<u32>(name, 0);
    let (cylinders, heads, sectors) = (number("cyls")?, number("heads")?, number("secs")?);
    if (cylinders, heads, sectors) == (0, 0, 0) {
        return Ok(());
    }
    for (name, number, most) in [
        ("cyls", cylinders, 65535),
        ("heads", heads, 255),
        ("secs", sectors, 255),
    ] {
        if !(1..=most).contains(&number) {
            return Err(Error::generic(format!(
                "{name} must be between 1 and {most}"
            )));
        }
    }
    Ok(())
}
