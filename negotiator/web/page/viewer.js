/** Where this tab keeps who it is. A tab has a storage of its own, which a reload does not empty. */
const KEPT = "beach:viewer";

/** How long a tab that was reloaded waits for what it was before to be gone. One that was duplicated waits in vain. */
const GONE = 1_000;

/**
 * Who this tab is at the host of a link: the key of before, if the tab was here before, or a new one. `viewerKey` is the
 * module's. Nothing where the browser cannot say whether another tab has the same key: it came with a copy of the tab.
 */
export async function tabViewer(link, viewerKey) {
  if (!globalThis.navigator.locks) return undefined;
  const kept = read();
  const own = kept && (await hold(kept.tab));
  const tab = own ? kept.tab : crypto.randomUUID();
  if (!own) await hold(tab);
  const key = viewerKey(link, own ? kept.key : undefined);
  return write({ tab, key }) ? key : undefined;
}

/** Is somebody new from now on. */
export function newViewer(link, viewerKey) {
  const key = viewerKey(link);
  write({ ...read(), key });
  return key;
}

/** Holds the tab's name as long as its document lives. Says whether nobody else does. */
function hold(tab) {
  return new Promise((resolve) => {
    const forEver = () => new Promise(() => resolve(true));
    const waiting = { signal: AbortSignal.timeout(GONE) };
    navigator.locks.request(`beach:tab:${tab}`, waiting, forEver).catch(() => resolve(false));
  });
}

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    return typeof kept?.tab === "string" && typeof kept.key === "string" ? kept : null;
  } catch {
    return null;
  }
}

function write(kept) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    return true;
  } catch {
    // Nothing is kept here: each time somebody new.
    return false;
  }
}
