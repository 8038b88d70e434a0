//! What stands below the options: examples, keys, and what ends when.

/// Examples for the whole program; the exit codes follow them.
pub(super) const EXAMPLES: &str = "\
Examples:
  beach-link demo                           see a session move to the relay and back
  beach-lifeguard up                        a relay and control plane where both can reach it, then there:
  beach-link share -- htop                  prints a link
  beach-link join 'https://192.0.2.1:7443/s#…'
  beach-link ssh me@box                     your shell on a machine that ssh reaches, through everything

Links hold the secret behind their #: quote them, and hand them out like passwords.";

pub(super) const SHARE_HELP: &str = "\
Examples:
  beach-link share                          your shell, for whoever has the link
  beach-link share --read-only -- htop      watch only
  beach-link share bash -c 'make; bash'     options of the command stand behind it
  beach-link share --also-read-only         two links: one to type, one to watch
  beach-link share --approve                you are asked about everybody who comes
  beach-link share --detach                 goes on without this terminal; see `beach-link attach`
  beach-link share --control-plane https://beach.example -- tmux attach

In a terminal you see and drive what you share, as whoever joins does. Keys, behind the escape key (Ctrl-^):
  w  who is here: let in, remove, read-only     k  the links: copy, add, revoke, replace
  y  let in whoever asks     n  turn away       q  end     l  draw everything anew     ?  this list
  h  history: what left the top of the screen (--history)

The terminal has the size of the smallest that may type, yours included, or that of --size. The command ends when it ends, not
when viewers leave; `share` then exits with its status.";

pub(super) const ATTACH_HELP: &str = "\
The keys are those of `beach-link share`; q leaves, and the session goes on. Ends with the status of the command.

Examples:
  beach-link share --detach --name work     once
  beach-link attach work                    from any terminal of this machine, at any time";

pub(super) const SESSIONS_HELP: &str = "\
Viewers and links are named by the first digits of their ids, as `who` and `links` show them.

Examples:
  beach-link sessions who
  beach-link sessions approve 3fa2          with `share --approve`: let them in
  beach-link sessions access 3fa2 read-only
  beach-link sessions remove 3fa2           and keep them out
  beach-link sessions links add --uses 1    a link for one more
  beach-link sessions -s work links revoke 12ab";

pub(super) const EXPLAIN_HELP: &str = "\
Inside `beach-link join`, the escape key and e say the same about the session that is running.

Examples:
  beach-link explain 'https://beach.example/s#…'
  beach-link explain --output json 'https://beach.example/s#…' | jq .explain.tried";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  beach-link completions bash > ~/.local/share/bash-completion/completions/beach-link
  beach-link completions zsh > \"${fpath[1]}/_beach-link\"
  beach-link completions fish > ~/.config/fish/completions/beach-link.fish";

pub(super) const JOIN_HELP: &str = "\
Keys, behind the escape key (Ctrl-^):
  e  explain which path is used, since when and why      l  draw everything anew
  h  history: what left the top of the screen; arrows, PgUp, PgDn, g, G, / n N search, q back
  q  quit; the session goes on without you               ?  this list
  z  suspend this program; `fg` brings it back          c  with --clipboard ask: take what the program copied

Examples:
  beach-link join 'http://127.0.0.1:9443/s#…'
  beach-link join --escape ^]                leaves Ctrl-^ to vim
  beach-link join --predict always           underlines what you type until the host has drawn it
  beach-link join --link-file link           keeps the link out of the list of processes
  BEACH_LINK=… beach-link join --output json | jq .reason";

pub(super) const SSH_HELP: &str = "\
ssh starts `beach-link share --detach` on HOST, which must have beach-link as well, asks its own questions here, and hands
over the link, which is shown nowhere and is no argument of any program. From then on ssh is not needed: the session
survives it, a closed lid and another network. Keys and endings are those of `beach-link join`; whoever leaves lets the
session go on until its command ends.

--control-plane, --pin, --ca, --ice-server, --resume-window and the paths are passed on; without them HOST uses what is known
here, unless that is on loopback, or what it knows itself.

Examples:
  beach-link ssh me@box
  beach-link ssh -p 2222 -J jump box -- htop
  beach-link ssh --control-plane https://beach.example box -- bash -c 'cd /srv && make watch'";

pub(super) const PIPE_HELP: &str = "\
Each end reads standard input until it closes, and writes what the other sends to standard output. It exits
with success only when the other end has written everything and has sent everything, checked by SHA-256.

Examples:
  tar c src | beach-link pipe host --link-file link        on one machine
  beach-link pipe join --link-file link -n | tar x         on the other";

pub(super) const FILE_HELP: &str = "\
What is received stands in NAME.part until all of it is there and its SHA-256 is the sender's; no file is written
over. Interrupted on either side, the same two commands go on where they were. Both print the SHA-256.

Examples:
  beach-link send photos.tar                on one machine; it prints the line for the other:
  beach-link receive 'https://beach.example/s#…'
  beach-link receive --to /srv/backup/ --link-file link";

pub(super) const PROBE_HELP: &str = "\
Both ends of each session are in this process: what is measured is this machine, the control plane and the relay.

Examples:
  beach-link probe --control-plane https://beach.example
  beach-link probe --output json || mail -s 'a path is down' oncall < /dev/null";
