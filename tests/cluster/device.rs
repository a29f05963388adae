//! What the tests here agree on, and a look into a message.

/// The domain of all users.
pub(crate) const DOMAIN: &str = "kit.test";
/// The password of all users.
pub(crate) const PASSWORD: &str = "secret";

/// The status of a response.
pub(crate) fn status(message: &str) -> Option<u16> {
    message
        .strip_prefix("SIP/2.0 ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The first value of a header, by its long name.
pub(crate) fn header<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
