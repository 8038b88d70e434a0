//! `token mint` and `token verify`: for operators and tests. Clients get theirs from the control plane.

use std::{
    io::Read,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use beach_lifeguard_client::{
    Access, Claims, FallbackToken, FeatureBits, Role,
    api::DEFAULT_COHORT,
    token::{AUDIENCE, Capability, KeyId, MAX_LIFE_SECS, TokenSigner, TokenVerifier},
};
use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::{failure::Failure, keys::parse_public, output};
use crate::control::{ControlConfig, DEFAULT_ISSUER};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Sign a token with a private key. Prints a secret: it admits one peer, once.
    Mint(MintArgs),
    /// Check a token from stdin against public keys and show what it says.
    Verify {
        /// Public keys, `id:key`; repeat or separate with commas.
        #[arg(long, value_delimiter = ',', required = true)]
        public_keys: Vec<String>,
        /// It opens sockets of wire version 1; without, of version 2.
        #[arg(long)]
        v1: bool,
        /// Who must have signed it.
        #[arg(long, default_value = DEFAULT_ISSUER)]
        issuer: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct MintArgs {
    /// The private key, PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The name of the key.
    #[arg(long, value_name = "NAME")]
    key_id: String,
    /// The session it opens.
    #[arg(long)]
    session: Uuid,
    /// The peer it is for. Default: a random one.
    #[arg(long)]
    peer: Option<Uuid>,
    /// Which side of the terminal.
    #[arg(long, value_enum, default_value = "viewer")]
    role: RoleArg,
    /// May only read.
    #[arg(long)]
    read_only: bool,
    /// For a socket of wire version 1; without, of version 2.
    #[arg(long)]
    v1: bool,
    /// The rollout cohort.
    #[arg(long, default_value = DEFAULT_COHORT)]
    cohort: String,
    /// Seconds it lives, at most 300.
    #[arg(long, default_value_t = ControlConfig::default().token_ttl, value_parser = clap::value_parser!(u64).range(1..=MAX_LIFE_SECS))]
    ttl: u64,
    /// Who signs.
    #[arg(long, default_value = DEFAULT_ISSUER)]
    issuer: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    Host,
    Viewer,
}

pub(crate) fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Mint(args) => mint(&args),
        TokenCommand::Verify { public_keys, v1, issuer } => verify(&public_keys, capability(v1), &issuer),
    }
}

fn mint(args: &MintArgs) -> Result<(), Failure> {
    let pem = std::fs::read(&args.key)
        .map_err(|error| Failure::Input(format!("cannot read {}: {error}", args.key.display())))?;
    let unusable = |error: &dyn std::fmt::Display| Failure::Input(error.to_string());
    let id = KeyId::parse(args.key_id.as_str()).map_err(|error| unusable(&error))?;
    let signer = TokenSigner::from_pem(id, &pem).map_err(|error| unusable(&error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let peer = args.peer.unwrap_or_else(Uuid::new_v4);
    let claims = Claims {
        iss: args.issuer.clone(),
        sub: peer,
        aud: AUDIENCE.to_owned(),
        session_id: args.session,
        cohort_id: args.cohort.clone(),
        role: match args.role {
            RoleArg::Host => Role::Host,
            RoleArg::Viewer => Role::Viewer,
        },
        access: if args.read_only { Access::ReadOnly } else { Access::Full },
        link: None,
        iat: now,
        nbf: now,
        exp: now + args.ttl,
        jti: Uuid::new_v4(),
        feature_bits: FeatureBits { telemetry_enabled: false, fallback_authorized: true },
        capabilities: vec![capability(args.v1).label().to_owned()],
    };
    let token = signer.sign(&claims).map_err(|error| unusable(&error))?;
    output::note(format_args!("for peer {peer}, {} seconds", args.ttl));
    output::line(token.expose())
}

fn capability(v1: bool) -> Capability {
    if v1 { Capability::V1 } else { Capability::V2 }
}

fn verify(public_keys: &[String], wanted: Capability, issuer: &str) -> Result<(), Failure> {
    let keys = public_keys.iter().map(|entry| parse_public(entry)).collect::<Result<Vec<_>, _>>()?;
    let mut token = String::new();
    std::io::stdin().read_to_string(&mut token)?;
    let token = FallbackToken::new(token.trim());
    let claims = TokenVerifier::new(issuer, keys)
        .verify(&token, wanted, SystemTime::now())
        .map_err(|error| Failure::Input(format!("{error} ({})", error.label())))?;
    // Plain data: serde_json has nothing to refuse.
    output::line(serde_json::to_string_pretty(&claims).unwrap_or_default())
}
