//! An async client of RTPEngine's ng protocol.
