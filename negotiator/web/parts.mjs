// What the module's bytes are of: node parts.mjs target/wasm/wasm32-unknown-unknown/web/beach_web.wasm
//
// The file is what the compiler made, with its names, before the bindings. A function is counted for the crate that its
// name begins with; what was inlined counts for the one that it was inlined into. Compressed sizes are of each part alone.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const PARTS = [
  ["ours: core, negotiator, transports, clients", /^(beach_\w+|transport_\w+|negotiator)$/],
  ["the standard library, generic code of all crates in it", /^(core|alloc|std|dlmalloc|hashbrown|compiler_builtins)$/],
  ["ciphers, curves, digests, Noise", /^(snow|aes\w*|chacha\w*|rand\w*|poly\w*|ghash|ctr|cipher|curve\w*|ed25519\w*|sha2|blake2|hkdf|hmac|p256|digest|subtle|zeroize|aead)$/],
  ["JSON: serde", /^serde\w*$/],
  ["futures and channels: tokio, futures, n0-future", /^(tokio\w*|futures\w*|n0_future)$/],
  ["bindings: wasm-bindgen, js-sys, web-sys", /^(wasm_bindgen\w*|js_sys|web_sys)$/],
  ["addresses: url, idna, http", /^(url|idna\w*|icu_\w+|percent_encoding|http)$/],
];
const bytes = readFileSync(process.argv[2]);
const [CUSTOM, IMPORT, CODE, DATA] = [0, 2, 10, 11];
const sections = [...sectionsOf(bytes)];
const names = functionNames(sections.find(({ id, name }) => id === CUSTOM && name === "name").body);
const imported = importedFunctions(sections.find(({ id }) => id === IMPORT).body);

const parts = new Map();
const add = (part, body) => parts.set(part, [...(parts.get(part) ?? []), body]);
const code = reader(sections.find(({ id }) => id === CODE).body);
for (let index = imported, count = code.number(); count > 0; index += 1, count -= 1) add(partOf(crateOf(names.get(index) ?? "")), code.bytes(code.number()));
add("data: texts, tables, constants", sections.find(({ id }) => id === DATA).body);

const weighed = [...parts].map(([part, bodies]) => {
  const whole = Buffer.concat(bodies);
  return { part, functions: bodies.length, size: whole.length, zipped: gzipSync(whole, { level: 9 }).length };
});
console.log("| part | functions | bytes | gzipped |\n| --- | --- | --- | --- |");
for (const { part, functions, size, zipped } of weighed.sort((one, other) => other.size - one.size)) {
  console.log(`| ${part} | ${functions} | ${size.toLocaleString("en")} | ${zipped.toLocaleString("en")} |`);
}

/** The crate that a mangled name begins with: `transport_core` of `<transport_core::resume::Resume as …>::…`. */
function crateOf(name) {
  const length = /^_ZN(\d+)/.exec(name);
  if (!length) return "";
  const first = name.substr(length[0].length, Number(length[1])).replace(/\$[A-Za-z0-9]+\$/g, " ");
  return /([a-z][a-z0-9_]*)(?=\.\.|$)/.exec(first)?.[1] ?? "";
}

function partOf(crate) {
  return PARTS.find(([, crates]) => crates.test(crate))?.[0] ?? "others";
}

function* sectionsOf(module) {
  const all = reader(module.subarray(8));
  while (!all.ended()) {
    const id = all.byte();
    const body = all.bytes(all.number());
    if (id !== CUSTOM) yield { id, body };
    else {
      const inner = reader(body);
      const name = inner.text();
      yield { id, name, body: inner.rest() };
    }
  }
}

function importedFunctions(body) {
  const all = reader(body);
  let functions = 0;
  for (let count = all.number(); count > 0; count -= 1) {
    all.text();
    all.text();
    if (all.byte() !== 0) throw new Error("imports something that is no function");
    all.number();
    functions += 1;
  }
  return functions;
}

function functionNames(body) {
  const all = reader(body);
  while (!all.ended()) {
    const kind = all.byte();
    const inner = reader(all.bytes(all.number()));
    if (kind !== 1) continue;
    return new Map(Array.from({ length: inner.number() }, () => [inner.number(), inner.text()]));
  }
  throw new Error("no names: was it stripped?");
}

/** Reads what WebAssembly is made of. */
function reader(all) {
  let at = 0;
  const byte = () => all[at++];
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const next = byte();
      value += (next & 127) * 2 ** shift;
      if (next < 128) return value;
    }
  };
  const take = (length) => all.subarray(at, (at += length));
  return { byte, number, bytes: take, text: () => take(number()).toString(), rest: () => take(all.length - at), ended: () => at >= all.length };
}
