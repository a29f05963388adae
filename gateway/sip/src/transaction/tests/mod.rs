//! Every state with every input, over both kinds of transport, and that each machine ends whatever happens to it.

mod endings;
mod tables;

use super::Action::{
    Ack, Cancel, Deliver, SetTimer, StopTimers, Terminated as Over, Timeout, TransportError,
};
use super::*;

const ALL: [Timer; 13] = [
    Timer::A,
    Timer::B,
    Timer::C,
    Timer::D,
    Timer::E,
    Timer::F,
    Timer::G,
    Timer::H,
    Timer::I,
    Timer::J,
    Timer::K,
    Timer::L,
    Timer::M,
];
const T1: Duration = Duration::from_millis(500);
const T4: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(32);
const RING: Duration = Duration::from_secs(185);

fn udp() -> Timers {
    Timers::default()
}

fn tcp() -> Timers {
    Timers::default().reliable(true)
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn send(text: &'static str) -> Action {
    Action::Send(bytes(text))
}
