//! Request methods (RFC 3261 §7.1 and the RFCs that add to it). Case counts; any token is a method.

macro_rules! methods {
    ($($variant:ident $name:literal)*) => {
        /// A request method.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Method<'a> {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other, as it was written.
            Other(&'a [u8]),
        }

        impl<'a> Method<'a> {
            /// Its text.
            pub fn as_bytes(self) -> &'a [u8] {
                match self {
                    $(Self::$variant => $name.as_bytes(),)*
                    Self::Other(name) => name,
                }
            }
        }

        impl<'a> From<&'a [u8]> for Method<'a> {
            fn from(name: &'a [u8]) -> Self {
                $(if name == $name.as_bytes() { return Self::$variant; })*
                Self::Other(name)
            }
        }
    };
}

methods! {
    Invite "INVITE"
    Ack "ACK"
    Bye "BYE"
    Cancel "CANCEL"
    Register "REGISTER"
    Options "OPTIONS"
    Prack "PRACK"
    Subscribe "SUBSCRIBE"
    Notify "NOTIFY"
    Publish "PUBLISH"
    Info "INFO"
    Refer "REFER"
    Message "MESSAGE"
    Update "UPDATE"
}

impl std::fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn case_counts_in_a_method() {
        assert_eq!(Method::from(&b"INVITE"[..]), Method::Invite);
        assert_eq!(Method::from(&b"invite"[..]), Method::Other(b"invite"));
        assert_eq!(Method::Update.as_bytes(), b"UPDATE");
    }
}
