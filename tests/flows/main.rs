//! The rules of offers, answers and the ends of sessions, one by one, against the real RTPEngine: scripted phones, whose RTP is
//! counted by the test.

mod cancelled;
mod changes;
mod early;
mod elsewhere;
mod ends;
mod facts;
mod leg;
mod lines;
mod pair;
mod play;
mod policy;
mod refreshed;
mod refused;
mod webrtc;
