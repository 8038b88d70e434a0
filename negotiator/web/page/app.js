import init, { connect, viewerKey } from "./beach_web.js";
import { Card } from "./card.js";
import { KeyRow } from "./keys.js";
import { Panel } from "./panel.js";
import { Screen } from "./screen.js";
import { cameBack, connectOptions, readSettings } from "./settings.js";
import { StatusLine, statusOf } from "./status.js";
import { constructStyles } from "./styles.js";
import { Typing } from "./typing.js";
import { newViewer, tabViewer } from "./viewer.js";
import { failure } from "./words.js";

const link = location.origin + location.pathname + location.hash;
const signIn = document.querySelector('meta[name="sign-in"]').content;
const again = () => location.reload();

/** How often the status line is drawn anew, and how soon a host is back at a service that restarted. */
const REFRESH = 500;
const COMEBACK = 3_000;

constructStyles();
const settings = readSettings();
const card = new Card();
const status = new StatusLine();
const view = { session: null, terminal: null, typing: null, viewers: 0, ended: false };

const screen = new Screen({
  reader: settings.reader,
  typed: (text) => type(text),
  resized: (size) => resize(size),
  titled: (title) => (document.title = title || "A shared terminal"),
});
const keys = new KeyRow(screen);
const panel = new Panel({ link, closed: () => screen.focus(), again });

addEventListener("hashchange", again);
addEventListener("pagehide", ({ persisted }) => persisted || view.session?.close());
setInterval(refresh, REFRESH);
run();

async function run() {
  try {
    await join();
    await watch();
  } catch (error) {
    end(error);
  }
}

async function join() {
  if (!location.hash) throw Object.assign(new Error("no link"), { name: "BadLink" });
  const wasm = document.querySelector("#wasm");
  await init({ module_or_path: fetch(wasm.href, { integrity: wasm.dataset.integrity }) });
  view.session = await dial();
  view.terminal = await view.session.terminal();
  status.readOnly(view.terminal.readOnly);
  if (view.terminal.readOnly) screen.readOnly();
  else view.typing = new Typing(view.terminal);
  resize(screen.wanted);
  card.hide();
  refresh();
  screen.focus();
  if (cameBack()) status.notice("back: this is the screen as it is now");
}

/**
 * As who this tab was before, where the host takes it back. A service that just restarted knows the session again as soon
 * as its host has come back.
 */
async function dial() {
  const options = { ...connectOptions(settings), onPending, key: await tabViewer(link, viewerKey) };
  try {
    return await connect(link, options);
  } catch (error) {
    if (error.code === "not_taken_back") return connect(link, { ...options, key: newViewer(link, viewerKey) });
    if (error.code !== "unknown_session") throw error;
    await new Promise((resolve) => setTimeout(resolve, COMEBACK));
    return connect(link, options);
  }
}

function onPending() {
  card.show("At the door", "The host is asked whether to let you in.");
}

async function watch() {
  for await (const message of view.terminal) {
    if (message.type === "snapshot") await screen.snapshot(message);
    else if (message.type === "change") await screen.change(message.bytes);
    else if (message.type === "viewers") view.viewers = message.count;
    else if (message.type === "notice") status.notice(message.text);
    else if (message.type === "exit") return leave(`the command ended with status ${message.status}`);
  }
  leave(await view.session.ended());
}

/** The last screen stays. */
function leave(why) {
  view.ended = true;
  view.session.close();
  document.body.dataset.ended = "true";
  status.show({ state: "ended", parts: [why] });
  card.show("Ended", `${why[0].toUpperCase()}${why.slice(1)}.`, { "Join again": again });
}

function end(error) {
  view.ended = true;
  const { title, text, locked } = failure(error);
  const actions = { "Try again": again };
  if (locked && signIn) actions["Sign in"] = signIn;
  if (locked) actions["I have a proof"] = () => panel.openAdvanced();
  status.show({ state: "failed", parts: [title.toLowerCase()] });
  card.show(title, text, actions);
}

function type(typed) {
  if (view.ended || !view.terminal) return;
  if (view.typing) view.typing.add(typeof typed === "string" ? keys.apply(typed) : typed);
  else status.notice("read-only: what you type goes nowhere");
}

/** Who only watches has no say in the size. */
function resize({ columns, rows }) {
  if (view.typing && !view.ended) view.terminal.resize(columns, rows).catch(() => {});
}

function refresh() {
  if (view.ended || !view.terminal || document.hidden) return;
  const explanation = view.session.explanation();
  status.show(statusOf(explanation, view.viewers));
  panel.show(explanation);
}
