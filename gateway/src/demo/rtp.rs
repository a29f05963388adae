//! The audio of the demo's answering users: an echo that sends back what it hears, and a tone. 20 ms of G.711 a packet
//! (RFC 3550, RFC 3551).

use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Samples of a packet.
const SAMPLES: usize = 160;
/// The tone, in Hz.
const TONE: f64 = 440.0;
/// An RTP header without extensions.
const HEADER: usize = 12;

/// Sends every packet back to where it came from, with its payload and a sequence of its own sender's making.
pub(super) async fn echo(socket: UdpSocket) {
    let mut packet = [0; 2048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else {
            return;
        };
        // RTCP on the same port is for us, not for the other side (RFC 5761 §4).
        let is_rtcp = length >= 2 && (64..96).contains(&(packet[1] & 0x7f));
        if length >= HEADER && packet[0] >> 6 == 2 && !is_rtcp {
            let _ = socket.send_to(&packet[..length], from).await;
        }
    }
}

/// Sends a tone in this payload type (0 is PCMU, 8 is PCMA).
pub(super) async fn tone(socket: UdpSocket, to: SocketAddr, payload_type: u8) {
    let ssrc = getrandom::u32().unwrap_or(1);
    let mut every = interval_at(Instant::now(), Duration::from_millis(20));
    every.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0u32.. {
        every.tick().await;
        let mut packet = Vec::with_capacity(HEADER + SAMPLES);
        packet.extend_from_slice(&[0x80, payload_type]);
        packet.extend_from_slice(&(number as u16).to_be_bytes());
        packet.extend_from_slice(&(number.wrapping_mul(SAMPLES as u32)).to_be_bytes());
        packet.extend_from_slice(&ssrc.to_be_bytes());
        for sample in 0..SAMPLES {
            let at = (f64::from(number) * SAMPLES as f64 + sample as f64) / 8000.0;
            let level = ((at * TONE * TAU).sin() * 8000.0) as i16;
            packet.push(if payload_type == 8 {
                a_law(level)
            } else {
                mu_law(level)
            });
        }
        if socket.send_to(&packet, to).await.is_err() {
            // The far side is not there yet, or no more; the call's end stops us.
            continue;
        }
    }
}

/// G.711 µ-law of a sample.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) + 132;
    let exponent = 7 - (magnitude.leading_zeros() as u8 - 1).min(7);
    let mantissa = (magnitude >> (exponent + 3)) as u8 & 0x0f;
    !(sign | exponent << 4 | mantissa)
}

/// G.711 A-law of a sample.
fn a_law(sample: i16) -> u8 {
    let sign = if sample >= 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(32_635) >> 4;
    let exponent = (16 - magnitude.leading_zeros() as u8)
        .saturating_sub(4)
        .min(7);
    let mantissa = if exponent == 0 {
        magnitude >> 1
    } else {
        magnitude >> exponent
    } as u8
        & 0x0f;
    (sign | exponent << 4 | mantissa) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_has_the_values_of_its_tables() {
        // ITU-T G.711 tables 2a and 1a: silence and full scale.
        assert_eq!(
            (mu_law(0), mu_law(-1), mu_law(32_635), mu_law(-32_635)),
            (0xff, 0x7f, 0x80, 0x00)
        );
        assert_eq!(
            (a_law(0), a_law(32_635), a_law(-32_635)),
            (0xd5, 0xaa, 0x2a)
        );
    }
}
