//! Session descriptions: edited in place, line by line, and read with types.
