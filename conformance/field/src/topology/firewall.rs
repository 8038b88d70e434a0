//! What a router drops and redirects, by nftables.

use super::Space;
use crate::trouble::Trouble;

/// Where a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// To what passes through.
    Forward,
    /// To what is for this machine itself.
    Input,
    /// Before routing, for `dnat`.
    Redirect,
}

/// The firewall of one namespace. Rules that do not apply are an error: a slip in one would leave the network
/// open and a row green.
#[derive(Debug)]
pub struct Firewall {
    space: String,
}

impl Firewall {
    /// Makes the chains, which pass everything.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn raise(space: &Space) -> Result<Self, Trouble> {
        space.run("nft", &["add table inet wall"])?;
        for (chain, kind) in [
            (Chain::Forward, "type filter hook forward priority 0"),
            (Chain::Input, "type filter hook input priority 0"),
            (Chain::Redirect, "type nat hook prerouting priority -100"),
        ] {
            space.run("nft", &[&format!("add chain inet wall {} {{ {kind}; }}", chain.name())])?;
        }
        Ok(Self { space: space.name().to_owned() })
    }

    /// Adds a rule, and looks that it is listed.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`], or [`Trouble::RuleLost`].
    pub fn add(&self, chain: Chain, rule: &str) -> Result<(), Trouble> {
        let before = self.rules(chain)?;
        self.nft(&format!("add rule inet wall {} {rule}", chain.name()))?;
        let after = self.rules(chain)?;
        if after.lines().count() > before.lines().count() {
            Ok(())
        } else {
            Err(Trouble::RuleLost { rule: rule.to_owned(), listed: after })
        }
    }

    /// Bytes that its counting rules have seen, `… counter`, IP headers included.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn counted(&self, chain: Chain) -> Result<u64, Trouble> {
        let rules = self.rules(chain)?;
        let mut words = rules.split_whitespace();
        let mut bytes = 0;
        while let Some(word) = words.next() {
            if word == "bytes" {
                bytes += words.next().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
            }
        }
        Ok(bytes)
    }

    /// Removes all rules of a chain.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn clear(&self, chain: Chain) -> Result<(), Trouble> {
        self.nft(&format!("flush chain inet wall {}", chain.name())).map(drop)
    }

    /// Replaces all rules of a chain by this one. Between the two nothing passes that either would stop.
    ///
    /// # Errors
    ///
    /// [`Trouble::Command`].
    pub fn replace(&self, chain: Chain, rule: &str) -> Result<(), Trouble> {
        let name = chain.name();
        self.nft(&format!("flush chain inet wall {name}; add rule inet wall {name} {rule}")).map(drop)
    }

    fn rules(&self, chain: Chain) -> Result<String, Trouble> {
        self.nft(&format!("list chain inet wall {}", chain.name()))
    }

    fn nft(&self, words: &str) -> Result<String, Trouble> {
        let mut command = std::process::Command::new("ip");
        crate::trouble::output(command.args(["netns", "exec", &self.space, "nft", words]))
    }
}

impl Chain {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "way",
            Self::Input => "self",
            Self::Redirect => "detour",
        }
    }
}
