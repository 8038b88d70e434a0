//! The certificate that a description promises.

/// Reads the SHA-256 of the certificate that `sdp` names (RFC 8122 §5): 32 bytes. `None` where there is not exactly one,
/// because then the description does not say which of them DTLS runs with.
#[cfg_attr(
    not(all(target_family = "wasm", target_os = "unknown")),
    allow(dead_code, reason = "a machine reads the certificate itself")
)]
pub(crate) fn fingerprint(sdp: &str) -> Option<Vec<u8>> {
    let named = sdp.lines().filter_map(|line| line.trim_end().strip_prefix("a=fingerprint:"));
    let mut read = named.map(digest);
    let first = read.next()??;
    read.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

fn digest(named: &str) -> Option<Vec<u8>> {
    let (hash, value) = named.split_once(' ')?;
    if !hash.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let bytes = value.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    bytes.collect::<Option<Vec<u8>>>().filter(|bytes| bytes.len() == BYTES)
}

/// Length of a SHA-256 in bytes.
const BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(hash: &str, byte: &str) -> String {
        format!("a=fingerprint:{hash} {}\r\n", [byte; BYTES].join(":"))
    }

    #[test]
    fn one_certificate_is_read_however_often_it_is_named() {
        let named = line("sha-256", "AB");
        for sdp in [named.clone(), line("SHA-256", "ab"), format!("v=0\r\n{named}m=application 9\r\n{named}")]
        {
            assert_eq!(fingerprint(&sdp), Some(vec![0xAB; BYTES]), "{sdp}");
        }
    }

    #[test]
    fn none_two_and_other_digests_leave_it_open() {
        let named = line("sha-256", "AB");
        for sdp in [
            String::new(),
            named.clone() + &line("sha-256", "AC"),
            named.clone() + &line("sha-1", "AB"),
            line("sha-1", "AB") + &named,
            line("sha-256", "XY"),
            line("sha-256", "AB").replacen("AB:", "", 1),
            "a=fingerprint:sha-256".to_owned(),
        ] {
            assert_eq!(fingerprint(&sdp), None, "{sdp}");
        }
    }
}
