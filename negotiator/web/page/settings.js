// The keys are those of Beach's own client, so that one sign-in serves both.
const KEYS = {
  cohort: "beach:fallback:cohort",
  entitlement: "beach:fallback:entitlement",
  telemetry: "beach:fallback:telemetry",
  reader: "beach:page:screen-reader",
};

/** What this browser keeps. Where it keeps nothing, everything is as if it were left out. */
export function readSettings() {
  const kept = (name) => {
    try {
      return localStorage.getItem(KEYS[name]) ?? "";
    } catch {
      return "";
    }
  };
  return {
    cohort: kept("cohort").trim(),
    entitlement: kept("entitlement").trim(),
    telemetry: kept("telemetry") === "true",
    reader: kept("reader") === "true",
  };
}

/** Keeps it. */
export function writeSettings(settings) {
  for (const [name, key] of Object.entries(KEYS)) {
    try {
      if (settings[name]) localStorage.setItem(key, String(settings[name]));
      else localStorage.removeItem(key);
    } catch {
      // A browser that keeps nothing forgets this as well.
    }
  }
}

/** What `connect` is told of it. */
export function connectOptions(settings) {
  return {
    cohort: settings.cohort || undefined,
    entitlementProof: settings.entitlement || undefined,
    telemetry: settings.telemetry,
    // Less than a program waits: whoever is refused by the relay, the only path of a page, must not wait to read why.
    connectTimeout: 20_000,
    // The host sends the next picture by it.
    ackDelay: 5,
  };
}

/** Whether this tab was in the session before, and notes that it is. */
export function cameBack() {
  try {
    const before = sessionStorage.getItem("beach:joined") === "true";
    sessionStorage.setItem("beach:joined", "true");
    return before;
  } catch {
    return false;
  }
}
