//! Who issued a certificate, in words.

use rustls::pki_types::CertificateDer;

/// Reads the issuer's common name, else its organisation. The words come from a stranger: control
/// characters go, and the length is bounded.
pub(super) fn issuer(certificate: &CertificateDer<'_>) -> String {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return UNNAMED.to_owned() };
    let name = certificate.issuer();
    let named = attribute(name, COMMON_NAME).or_else(|| attribute(name, ORGANISATION));
    let text = String::from_utf8_lossy(named.unwrap_or_default());
    let clean: String = text.chars().filter(|each| !each.is_control()).take(MAX_CHARS).collect();
    if clean.is_empty() { UNNAMED.to_owned() } else { format!("\"{clean}\"") }
}

/// Finds an attribute in a distinguished name (RFC 5280 §4.1.2.4): sets of pairs of type and value.
fn attribute<'a>(name: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut sets = name;
    while let Some((set, rest)) = element(sets) {
        sets = rest;
        let mut pairs = set;
        while let Some((pair, rest)) = element(pairs) {
            pairs = rest;
            if let Some((kind, value)) = element(pair)
                && kind == wanted
            {
                return element(value).map(|(value, _)| value);
            }
        }
    }
    None
}

/// Splits the first DER element's content from what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [_, short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
        [_, 0x81, long, rest @ ..] => (usize::from(*long), rest),
        [_, 0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// 2.5.4.10
const ORGANISATION: &[u8] = &[0x55, 4, 10];

const MAX_CHARS: usize = 64;

const UNNAMED: &str = "of no name";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn issued_by(attributes: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), *value);
        }
        issuer(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn the_common_name_goes_before_the_organisation() {
        let organisation = (DnType::OrganizationName, "Corp");
        assert_eq!(issued_by(&[organisation.clone(), (DnType::CommonName, "Corp CA")]), "\"Corp CA\"");
        assert_eq!(issued_by(&[organisation]), "\"Corp\"");
        assert_eq!(issued_by(&[]), "of no name");
        assert_eq!(issuer(&CertificateDer::from(vec![1, 2, 3])), "of no name");
    }

    #[test]
    fn a_strangers_words_are_cleaned_and_cut() {
        let long = format!("\u{1b}[31m{}", "x".repeat(300));
        assert_eq!(issued_by(&[(DnType::CommonName, &long)]), format!("\"[31m{}\"", "x".repeat(60)));
    }

    #[test]
    fn broken_der_has_no_attribute() {
        for broken in [&[][..], &[0x31], &[0x31, 5, 1], &[0x31, 0x83, 0, 0, 1, 9], &[0x31, 2, 0x30, 9]] {
            assert_eq!(attribute(broken, COMMON_NAME), None);
        }
    }
}
