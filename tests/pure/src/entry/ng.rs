//! The ng decoder.

use rtpengine_client::Error;
use rtpengine_client::answer::{
    self, CallInfo, Calls, Done, Playing, Sdp, Statistics, Subscription,
};
use rtpengine_client::bencode::{self, Limits, Value};

/// Decodes a dictionary as every answer that there is. Only what [`bencode::check`] lets pass has a value.
pub fn ng(data: &[u8]) {
    let limits = Limits::default();
    let checked = bencode::check(data, &limits);
    let value: Result<Value, Error> = bencode::decode(data, &limits);
    if let Ok(value) = value {
        assert!(matches!(value, Value::Dict(_)));
        assert!(checked.is_ok());
    }
    let _: Result<Done, Error> = answer::read(data, &limits);
    let _: Result<Sdp, Error> = answer::read(data, &limits);
    let _: Result<Calls, Error> = answer::read(data, &limits);
    let _: Result<CallInfo, Error> = answer::read(data, &limits);
    let _: Result<Playing, Error> = answer::read(data, &limits);
    let _: Result<Subscription, Error> = answer::read(data, &limits);
    let _: Result<Statistics, Error> = answer::read(data, &limits);
}
