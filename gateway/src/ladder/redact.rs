//! Hides secrets in what is shown: digest responses (who has one can try passwords against it at home), keys of SDES and passwords of
//! ICE (who has those can listen). Each byte becomes an `x`: lengths stay, so Content-Length, bencode and checksums stay right.

/// Header fields whose credentials are hidden.
const CREDENTIALS: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];

/// Hides what is secret in a SIP message or an ng datagram.
pub fn hide(bytes: &mut [u8]) {
    let mut in_credentials = false;
    for line in bytes.split_mut(|byte| *byte == b'\n') {
        if !(in_credentials
            && line
                .first()
                .is_some_and(|byte| matches!(byte, b' ' | b'\t')))
        {
            in_credentials = is_credentials(line);
        }
        if in_credentials {
            hide_credentials(line);
        } else if line.starts_with(b"a=crypto:") {
            hide_after(line, b"inline:", b" \r");
        } else if line.starts_with(b"a=ice-pwd:") {
            hide_after(line, b"a=ice-pwd:", b"\r");
        } else if line.starts_with(b"k=") {
            hide_after(line, b"k=", b"\r");
        }
    }
}

fn is_credentials(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let name = name.trim_ascii_end();
    name.len() < line.len()
        && CREDENTIALS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Of Digest the response; of any other scheme, Bearer or Basic, everything behind its name.
fn hide_credentials(line: &mut [u8]) {
    let value = line
        .iter()
        .position(|byte| *byte == b':')
        .map_or(0, |colon| colon + 1);
    let scheme = line[value..].trim_ascii_start();
    let is_digest = scheme
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case(b"digest"));
    let continues = line
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    if !is_digest && !continues {
        let name = scheme.iter().position(|byte| *byte == b' ').unwrap_or(0);
        let start = line.len() - scheme.len() + name;
        return cross_out(&mut line[start..], b"\r");
    }
    let lower = line.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&lower[from..], b"response") {
        let at = from + found + b"response".len();
        from = at;
        let rest = lower[at..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b"=") else {
            continue;
        };
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let start = lower.len() - rest.len();
        cross_out(&mut line[start..], b"\",\r");
    }
}

/// Hides what follows each `mark`, up to one of `ends`.
fn hide_after(line: &mut [u8], mark: &[u8], ends: &[u8]) {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&line[from..], mark) {
        from += found + mark.len();
        cross_out(&mut line[from..], ends);
    }
}

fn cross_out(bytes: &mut [u8], ends: &[u8]) {
    for byte in bytes.iter_mut().take_while(|byte| !ends.contains(byte)) {
        if *byte != b' ' {
            *byte = b'x';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_crossed_out_and_nothing_else() {
        for (why, given, want) in [
            (
                "a digest response",
                "Authorization: Digest username=\"a\", response=\"0af1\", uri=\"sip:b\"\r\n",
                "Authorization: Digest username=\"a\", response=\"xxxx\", uri=\"sip:b\"\r\n",
            ),
            (
                "without quotes, with blanks, last",
                "proxy-authorization : digest a=b,RESPONSE = 0af1\r\nFrom: x\r\n",
                "proxy-authorization : digest a=b,RESPONSE = xxxx\r\nFrom: x\r\n",
            ),
            (
                "in a folded line",
                "Authorization: Digest username=\"a\",\r\n response=\"0af1\"\r\n",
                "Authorization: Digest username=\"a\",\r\n response=\"xxxx\"\r\n",
            ),
            (
                "a bearer's token",
                "Authorization: Bearer abc.def\r\n",
                "Authorization: Bearer xxxxxxx\r\n",
            ),
            (
                "a challenge is no secret",
                "WWW-Authenticate: Digest nonce=\"response=\"\r\n",
                "WWW-Authenticate: Digest nonce=\"response=\"\r\n",
            ),
            (
                "SDES keys with their parameters",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20|1:4 KDR=1\r\n",
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxxxxxxxxxxxxxxxxxxx KDR=1\r\n",
            ),
            (
                "inside ng",
                "c d3:sdp30:v=0\r\na=ice-pwd:abc\r\ni=e2e\r\n4:x",
                "c d3:sdp30:v=0\r\na=ice-pwd:xxx\r\ni=e2e\r\n4:x",
            ),
        ] {
            let mut bytes = given.as_bytes().to_vec();
            hide(&mut bytes);
            assert_eq!(String::from_utf8_lossy(&bytes), want, "{why}");
        }
    }

    #[test]
    fn any_bytes_keep_their_length() {
        let mut seed = 7_u32;
        for _ in 0..2000 {
            let mut bytes = b"Authorization: response=a=crypto:inline:\r\n \t".to_vec();
            for byte in &mut bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 30 == 0 {
                    *byte = (seed >> 8) as u8;
                }
            }
            let length = bytes.len();
            hide(&mut bytes);
            assert_eq!(bytes.len(), length);
        }
    }
}
