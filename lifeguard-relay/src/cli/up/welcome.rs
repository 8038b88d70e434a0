//! What `up` prints when it runs: the address, the line to share, and how to keep it.

use std::fmt::Write;

use super::{
    notice::{Left, Notice},
    public::{Chosen, Public},
    short,
};
use crate::dev::Dev;

pub(super) fn welcome(dev: &Dev, public: &Public, notice: &Notice, left: &Left) -> String {
    let options = notice.options();
    let here =
        if left.is_found { "beach-link share".to_owned() } else { format!("beach-link share {options}") };
    let mut text = format!(
        "beach-lifeguard up: relay, control plane and STUN, memory store

  address         {}
  certificate     {}
  debug page      {}/debug

  share from this machine:   {here}
  share from another:        beach-link share {options}
  join from anywhere:        the line that share prints

  as a service:   beach-lifeguard up --public {public} --print-unit
  stop:           Ctrl-C
",
        dev.public_url(),
        short(notice.pin.as_ref()),
        dev.admin_url(),
    );
    for remark in remarks(public) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n  {remark}");
    }
    text
}

/// Who reaches it, where that is not everybody.
fn remarks(public: &Public) -> Vec<String> {
    let mut remarks = Vec::new();
    if public.chosen() == Chosen::BySystem {
        remarks.push(format!(
            "{public} is the address by which this machine reaches others; --public names another."
        ));
    }
    if public.is_loopback() {
        remarks.push("It is reached from this machine only.".to_owned());
    } else if public.is_private() {
        remarks.push(format!(
            "That is reached from this network only. For everybody, have the router forward TCP and UDP port {} here, \
             and name the router's own address with --public.",
            public.everywhere().port()
        ));
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_starts_it_is_told_who_reaches_it() {
        let told = |text: &str| remarks(&text.parse().unwrap()).concat();
        assert_eq!(told("beach.example"), "");
        assert!(told("192.168.1.9").contains("TCP and UDP port 7443"));
        assert!(told("[fd00::1]:9").contains("port 9 "));
        assert!(told("127.0.0.1").contains("this machine only"));
    }
}
