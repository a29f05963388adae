//! The transports of SIP and their names in Via (RFC 3261 §20.42, RFC 7118 §5.2) and in URIs (§19.1.1).

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// One message a datagram.
    Udp,
    /// A stream, framed by Content-Length.
    Tcp,
    /// TCP under TLS.
    Tls,
    /// WebSocket, one SIP message a WebSocket message (RFC 7118).
    Ws,
    /// WebSocket under TLS.
    Wss,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Its name in lower case, as people write it: both kinds of WebSocket have one of their own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Its name in a Via, such as `WSS`.
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// Its value as a URI's `transport` parameter. RFC 7118 §5.2.1 knows no `wss`: it is `ws` in a `sips` or secure context.
    pub fn uri_param(self) -> &'static str {
        match self {
            Self::Wss => "ws",
            other => other.name(),
        }
    }

    /// Whether delivery and order are the transport's job: everything but UDP.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }

    /// Whether TLS is underneath.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether it is a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// Reads a `transport` parameter or the transport of a Via, without regard to case. `wss` is taken too: OpenSIPS writes it.
    pub fn from_param(value: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.via_name().as_bytes().eq_ignore_ascii_case(value))
    }

    /// The port where none is written (RFC 3261 §18.2.1, RFC 7118 §5.2.1).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Transport;

    #[test]
    fn names_are_read_without_case_and_wss_is_ws_in_a_uri() {
        for (value, want) in [
            (&b"udp"[..], Some(Transport::Udp)),
            (b"TCP", Some(Transport::Tcp)),
            (b"Tls", Some(Transport::Tls)),
            (b"ws", Some(Transport::Ws)),
            (b"wss", Some(Transport::Wss)),
            (b"sctp", None),
            (b"", None),
        ] {
            assert_eq!(Transport::from_param(value), want);
        }
        assert_eq!(Transport::Wss.uri_param(), "ws");
        assert!(Transport::Ws.is_stream() && !Transport::Udp.is_stream());
        assert!(Transport::Wss.is_secure() && !Transport::Ws.is_secure());
    }
}
