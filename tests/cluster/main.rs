//! An edge in front of several servers of one kind: registrars that challenge with nonces of their own, members that fall
//! silent, refuse, or die in the middle of it. Unmodified Kamailio registrars and sockets that say nothing take part.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod audio;
mod bindings;
mod call_outs;
mod crash;
mod device;
mod draining;
mod edges;
mod flows;
mod hidden;
mod keepalive;
mod members;
mod names;
mod own_registrar;
mod registrars;
mod rig;
mod single_homed;
