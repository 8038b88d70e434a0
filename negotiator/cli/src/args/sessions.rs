//! `beach-link attach`, `list`, `stop` and `sessions`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use crate::terminal::keys::EscapeKey;

/// `beach-link attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The session, as `list` calls it [default: the only one].
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// The key that begins a command to this program: ^^, ^], ^A, … or none.
    #[arg(long, value_name = "KEY", default_value = "^^")]
    pub escape: EscapeKey,
}

/// `beach-link list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// `beach-link stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The session, as `list` calls it [default: the only one].
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// `beach-link sessions`.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// The session, as `list` calls it [default: the only one].
    #[arg(short, long, global = true, value_name = "NAME")]
    pub session: Option<String>,
    /// What to print.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// What to ask or decide.
    #[command(subcommand)]
    pub command: SessionsCommand,
}

/// What can be asked or decided.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Say what a viewer may do from here on.
    Access {
        /// Who: the first digits of their id.
        viewer: String,
        /// What they may do.
        access: Role,
    },
    /// Let in somebody who asks to come in.
    Approve {
        /// Who: the first digits of their id.
        viewer: String,
    },
    /// List the links, or make, revoke and replace some.
    #[command(subcommand_required = false)]
    Links {
        /// What to do with them [default: list].
        #[command(subcommand)]
        command: Option<LinksCommand>,
    },
    /// Turn away somebody who asks to come in.
    Refuse {
        /// Who: the first digits of their id.
        viewer: String,
    },
    /// Remove a viewer and keep them out. Their link stays in force.
    Remove {
        /// Who: the first digits of their id.
        viewer: String,
    },
    /// Say who is here and who asks to come in.
    Who,
}

/// What can be done with links.
#[derive(Debug, Subcommand)]
pub enum LinksCommand {
    /// Make one more link, and print it.
    Add(AddLinkArgs),
    /// List the links in force, with their secrets.
    List,
    /// Take a link back: whoever came by it is out at once.
    Revoke {
        /// Which: the first digits of its id.
        link: String,
    },
    /// Put a new link in the place of each, and print them. Whoever came by the old ones is out at once.
    Rotate,
}

/// `beach-link sessions links add`.
#[derive(Debug, Args)]
pub struct AddLinkArgs {
    /// Its holders may watch and not type.
    #[arg(long)]
    pub read_only: bool,
    /// It lets new viewers in for so long only.
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    pub lifetime: Option<Duration>,
    /// It lets in so many viewers.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub uses: Option<u32>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Type as well.
    Full,
    /// Watch.
    ReadOnly,
}
