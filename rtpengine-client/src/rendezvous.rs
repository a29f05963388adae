//! Which node takes a call: rendezvous hashing with weights.
//!
//! Each node has a score for each call; the highest wins. So all clients with the same names and weights choose the
//! same node without talking to each other, and a node that goes takes only its own calls along.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Fixed, for all clients must come to the same; the hash is spread, not security.
const KEY: (u64, u64) = (0x7274_7065_6e67_696e, 0x6361_6c6c_2d68_6173);

/// The score of a node for a call; the higher, the better. A weight of 0 never wins.
pub(crate) fn score(node: &str, weight: u32, call_id: &[u8]) -> f64 {
    let mut hasher = SipHasher13::new_with_keys(KEY.0, KEY.1);
    hasher.write(&(node.len() as u64).to_le_bytes());
    hasher.write(node.as_bytes());
    hasher.write(call_id);
    // A fraction above 0 and below 1 of 53 bits, all that an f64 holds.
    let fraction = ((hasher.finish() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    // Schindelhauer and Schomaker's weighting: the chance to win is the share of the weight.
    -f64::from(weight) / fraction.ln()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn choose<'a>(nodes: &[(&'a str, u32)], call: u32) -> &'a str {
        let call_id = format!("call-{call}");
        nodes
            .iter()
            .max_by(|a, b| {
                score(a.0, a.1, call_id.as_bytes()).total_cmp(&score(b.0, b.1, call_id.as_bytes()))
            })
            .unwrap()
            .0
    }

    #[test]
    fn calls_are_shared_by_weight() {
        let mut shares = HashMap::new();
        for call in 0..40_000 {
            *shares
                .entry(choose(&[("a", 1), ("b", 1), ("c", 2)], call))
                .or_insert(0i32) += 1;
        }
        for (node, want) in [("a", 10_000), ("b", 10_000), ("c", 20_000)] {
            assert!(
                (want - shares[node]).abs() < 400,
                "{node} has {}",
                shares[node]
            );
        }
    }

    #[test]
    fn a_node_that_goes_takes_only_its_own_calls_along() {
        for call in 0..2_000 {
            let before = choose(&[("a", 1), ("b", 1), ("c", 1)], call);
            let after = choose(&[("a", 1), ("b", 1)], call);
            assert!(before == "c" || before == after);
        }
    }

    #[test]
    fn the_choice_is_the_same_in_every_process_and_version() {
        let choices: Vec<_> = (0..8)
            .map(|call| choose(&[("192.0.2.1:2223", 1), ("192.0.2.2:2223", 1)], call))
            .collect();
        let first: Vec<_> = choices
            .iter()
            .map(|node| node.starts_with("192.0.2.1"))
            .collect();
        assert_eq!(first, [false, true, true, true, false, true, false, false]);
    }
}
