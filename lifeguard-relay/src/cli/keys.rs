//! `keys generate` and `keys rotate`.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::rand;
use beach_lifeguard_client::token::{KeyId, PublicKey, TokenSigner, private_key_pem};
use clap::{Args, Subcommand};

use super::{failure::Failure, output};

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a signing key. The private half goes to a file only you can read, the public half to stdout.
    Generate(NewKey),
    /// Make the next signing key, and say how to move to it without refusing anybody.
    Rotate {
        #[command(flatten)]
        key: NewKey,
        /// Public keys that are trusted now, `id:key`; repeat or separate with commas.
        #[arg(long, value_delimiter = ',', required = true)]
        trusted: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewKey {
    /// File for the private key, PEM. Must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Name of the key, the `kid` of its tokens. Default: the time in seconds.
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
}

pub(crate) fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Generate(key) => {
            let (id, public) = make(&key)?;
            output::note(format_args!("wrote the private key to {}", key.out.display()));
            key.show(&format!("{}:{public}", id.as_str()))?;
        }
        KeysCommand::Rotate { key, trusted } => {
            for entry in &trusted {
                parse_public(entry)?;
            }
            let (id, public) = make(&key)?;
            let next = format!("{}:{public}", id.as_str());
            output::note(format_args!("wrote the private key to {}", key.out.display()));
            output::note(format_args!(
                "1. relays, first:      tokens.public_keys = \"{},{next}\"
2. control plane:      BEACH_LIFEGUARD_SIGNING_KEY_FILE={} BEACH_LIFEGUARD_KEY_ID={}
3. relays, 5 min on:   tokens.public_keys = \"{next}\"",
                trusted.join(","),
                key.out.display(),
                id.as_str()
            ));
            key.show(&next)?;
        }
    }
    Ok(())
}

impl NewKey {
    /// Prints the public half. Without it the private one is of no use, and stands in the way of a second try.
    fn show(&self, public: &str) -> Result<(), Failure> {
        output::line(public).inspect_err(|_| {
            let _ = std::fs::remove_file(&self.out);
        })
    }
}

/// Reads `id:key`.
pub(crate) fn parse_public(entry: &str) -> Result<(KeyId, PublicKey), Failure> {
    let wrong = |why: &str| Failure::Input(format!("{entry:?} is not a public key: {why}"));
    let (id, key) = entry.split_once(':').ok_or_else(|| wrong("write it as `id:key`"))?;
    let id = KeyId::parse(id).map_err(|error| wrong(&error.to_string()))?;
    Ok((id, key.parse().map_err(|error: beach_lifeguard_client::token::KeyError| wrong(&error.to_string()))?))
}

fn make(key: &NewKey) -> Result<(KeyId, PublicKey), Failure> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let id = key.id.clone().unwrap_or_else(|| seconds.to_string());
    let id = KeyId::parse(id).map_err(|error| Failure::Input(error.to_string()))?;
    let mut seed = [0; 32];
    rand::fill(&mut seed).map_err(|_| Failure::Input("the system has no random numbers".to_owned()))?;
    let signer =
        TokenSigner::from_seed(id.clone(), &seed).map_err(|error| Failure::Input(error.to_string()))?;
    write_private(&key.out, private_key_pem(&seed).as_bytes())?;
    Ok((id, signer.public_key()))
}

/// Creates the file for its owner alone; an existing one is never overwritten.
fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            Failure::Input(format!(
                "cannot create {}: {error}\n  choose another file with --out",
                path.display()
            ))
        })?;
    file.write_all(content)?;
    Ok(())
}
