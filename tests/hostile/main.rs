//! What a hostile or broken peer does to a running gateway, while somebody else goes on using it: he is answered all the
//! time, memory stays bounded, and the reason is in the log or counted. Prints how long answers took meanwhile.

#![allow(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it unwraps: the panic prints the logs of its peers"
)]

mod crowd;
mod flood;
mod log;
mod party;
mod peers;
mod privacy;
mod queues;
mod siege;
mod sizes;
mod streams;
mod torture;
mod trust;
