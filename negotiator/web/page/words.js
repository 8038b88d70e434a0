/** Silence that is worth a word. The session pings every few seconds when idle. */
export const SILENT = 7_000;

/** Says a duration with one unit: `4 s`, `12 min`, `3 h`. */
export function span(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3_600)} h`;
}

/** Says a round trip: `0.4 ms`, `23 ms`. */
export function milliseconds(us) {
  return us < 10_000 ? `${(Math.floor(us / 100) / 10).toFixed(1)} ms` : `${Math.floor(us / 1000)} ms`;
}

/** Says an amount: `512 B`, `3.4 KiB`, `120 MiB`. */
export function bytes(count) {
  let amount = count;
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = next;
  }
  return `${unit === "B" || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${unit}`;
}

/** What a path is called. */
export function pathName(path) {
  return { webrtc: "direct", "webrtc-turn": "TURN", "ws-fallback": "relay" }[path] ?? path;
}

/** Who is missing, where there is no path. */
export function absence(absent, silence) {
  if (absent === "peer") return `the host is silent${silence ? ` since ${silence}` : ""}; the relay answers`;
  return absent === "relay" ? "the relay cannot be reached" : "";
}

/** Says why a session was not joined: a title, and what somebody can do. */
export function failure(error) {
  const code = error.code ?? error.name;
  if (code?.startsWith("entitlement_")) {
    return { title: "The relay asks who you are", text: said(error), locked: true };
  }
  const title = TITLES[code] ?? "No way to the host";
  return { title, text: HINTS[code] ?? said(error), locked: false };
}

/** The first line, as a sentence: an explanation of several goes to the panel. */
function said(error) {
  const line = String(error.message).split("\n")[0];
  return `${line[0].toUpperCase()}${line.slice(1)}.`;
}

const TITLES = {
  BadLink: "This link is not whole",
  Refused: "The host refused",
  Unintelligible: "The host speaks another version",
  fallback_paused: "The operator has paused the relay",
  full: "The session is full",
  host_absent: "The host does not answer",
  link_expired: "This link has expired",
  link_revoked: "This link was taken back",
  link_used_up: "This link was used up",
  not_approved: "The host said no",
  removed: "The host removed you",
  secret_mismatch: "This link does not fit the session",
  unknown_session: "No such session",
  unreachable: "The service cannot be reached",
  version: "The host speaks another version",
};

const HINTS = {
  BadLink: "Copy it again, with everything behind the #.",
  fallback_paused: "No direct path works either. Try again later.",
  host_absent: "Is it still sharing?",
  link_expired: "Ask the host for a new one.",
  unknown_session: "It has ended, or the link is not the host's. Ask for a new link.",
  unreachable: "Check your network, then try again.",
};
