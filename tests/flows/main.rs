//! The rules of offers, answers and the ends of sessions, one by one, against the real RTPEngine: scripted phones, whose RTP is
//! counted by the test.

mod leg;
mod pair;
mod policy;
mod refused;
