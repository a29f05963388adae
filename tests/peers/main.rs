//! The kit's own tests: every peer is started and does what the other tests rely on.

mod baresip;
mod kamailio;
