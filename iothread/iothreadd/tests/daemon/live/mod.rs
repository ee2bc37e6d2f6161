//! What needs a peer: `cargo xtask test --live` runs it.

mod vhost_user_boot;
