//! The ng decoder.

use rtpengine_client::Error;
use rtpengine_client::answer::{self, CallInfo, Calls, Done, Playing, Sdp, Statistics, Subscription};
use rtpengine_client::bencode::{self, Limits, Value};

/// Decodes a dictionary as every answer that there is. What is bencode, and only that, has a value.
pub fn ng(data: &[u8]) {
    let limits = Limits::default();
    let value: Result<Value, Error> = bencode::decode(data, &limits);
    if bencode::check(data, &limits).is_ok() {
        let value = value.expect("it was checked");
        assert!(matches!(value, Value::Dict(_)));
    } else {
        assert!(value.is_err());
    }
    let _: Result<Done, Error> = answer::read(data, &limits);
    let _: Result<Sdp, Error> = answer::read(data, &limits);
    let _: Result<Calls, Error> = answer::read(data, &limits);
    let _: Result<CallInfo, Error> = answer::read(data, &limits);
    let _: Result<Playing, Error> = answer::read(data, &limits);
    let _: Result<Subscription, Error> = answer::read(data, &limits);
    let _: Result<Statistics, Error> = answer::read(data, &limits);
}
