//! End-to-end tests of Causeway with real peers.
