//! What needs a peer: `cargo xtask test --live` runs it.

mod linux;
mod vhost_user_boot;
