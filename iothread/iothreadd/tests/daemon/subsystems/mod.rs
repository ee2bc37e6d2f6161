//! Every subsystem that IOThreads have as users: what it takes it gives back, whatever happens.

mod nbd;
mod random;
pub(crate) mod rows;
mod vfio;
mod walk;
mod world;

pub(crate) use walk::{Row, walk_in, walk_often};
pub(crate) use world::World;

/// A test for each of these rows. One that is missing here is code that nobody uses.
macro_rules! walks {
    ($($row:ident)*) => {
        /// All of them.
        pub(crate) fn all() -> Vec<Row> {
            vec![$(rows::$row()),*]
        }

        $(
            #[test]
            fn $row() -> Result<(), libtest_mimic::Failed> {
                walk::walk(&rows::$row())
            }
        )*
    };
}

walks! {
    block_node
    block_export
    block_export_on_two
    vhost_user_export
    virtio_blk
    virtio_blk_mapping
    virtio_scsi
    virtio_scsi_mapping
    virtio_balloon
    xen_disk
    xen_disk_on_its_own
    colo_compare
    vfio_user
    monitor
}
