// Makes the tables of docs/perf/browser.md of what the tests in Chromium printed in many runs: node measure.mjs FILE
import { readFileSync } from "node:fs";

const text = readFileSync(process.argv[2], "utf8");
// What the runner says of tests may stand before it in the same line.
const printed = (word) => [...text.matchAll(new RegExp(`${word} (\\{.*\\})$`, "gm"))].map(([, json]) => JSON.parse(json));

const rows = grouped(printed("row"), ({ scenario }) => scenario);
const COUNTED = ["lost", "doubled", "reordered"];
const TIMES = ["joined", "on its way again", "silence", "direct again"];
table(
  ["scenario", "runs", "paths", COUNTED.join(", "), "messages", "relay sockets", ...TIMES.map((name) => `${name}, s`)],
  [...rows].map(([scenario, runs]) => [
    scenario,
    runs.length,
    distinct(runs, "paths"),
    COUNTED.map((name) => sum(runs, name)).join(", "),
    sum(runs, "messages").toLocaleString("en"),
    distinct(runs, "relay sockets"),
    ...TIMES.map((name) => spread(runs.map((run) => run[name]))),
  ]),
);
console.log();
const figures = grouped(printed("figure"), ({ name }) => name);
table(
  ["figure", "runs", "median (range)"],
  [...figures].map(([name, runs]) => [name, runs.length, `${spread(runs.map(({ value }) => value))} ${runs[0].unit}`]),
);
if (rows.size === 0) throw new Error("no test printed a row");

function grouped(all, key) {
  const groups = new Map();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}

function sum(runs, name) {
  return runs.reduce((total, run) => total + run[name], 0);
}

function distinct(runs, name) {
  return [...new Set(runs.map((run) => run[name]))].join(" or ");
}

/** Median and range, as far as there are values. */
function spread(values) {
  const sorted = values.filter((value) => typeof value === "number").sort((one, other) => one - other);
  if (sorted.length === 0) return "–";
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return `${short(middle)} (${short(sorted[0])}–${short(sorted.at(-1))})`;
}

function short(value) {
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function table(head, body) {
  for (const line of [head, head.map(() => "---"), ...body]) console.log(`| ${line.join(" | ")} |`);
}
