//! SIP on the wire: messages kept as bytes, an index and a list of edits; transactions without clock or socket.
