//! Tests of the program `iothreadd`: real processes, real sockets.

#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

mod blocks;
mod chardevs;
mod colo;
mod commands;
mod descriptors;
mod endings;
mod exports;
mod failing_disks;
mod fdsets;
mod files;
mod fuse_disk;
mod guest;
mod harness;
mod help;
mod holders;
mod human;
mod kernels;
mod limits;
mod live;
mod load;
mod logs;
mod monitors;
mod name_lookup;
mod nbd;
mod nbd_endings;
mod nbd_memory;
mod nbd_protocol;
mod objects;
mod properties;
mod protocol;
mod random;
mod remote;
mod sessions;
mod sockets;
mod stuck_disks;
mod subsystems;
mod terminal;
mod thin_disk;
mod vfio_user;
mod vhost_user_blk;
mod vhost_user_clients;
mod vhost_user_endings;
mod vhost_user_memory;
mod vhost_user_random;
