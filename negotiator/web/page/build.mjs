// Puts the page together: node build.mjs MODULE XTERM OUT
//
// MODULE: what scripts/web built of beach-web. XTERM: the unpacked package @xterm/xterm. OUT: emptied, and filled with
// index.html and one folder, named by what is in it, with everything that the document names.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";

const [module, xterm, out] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const text = (...path) => readFileSync(join(...path), "utf8");

const files = new Map([
  ["app.js", bundle("app.js")],
  ["beach_web.js", text(module, "beach_web.js")],
  ["xterm.mjs", text(xterm, "lib/xterm.mjs").replace(/^\/\/# sourceMappingURL=.*$/m, "")],
  ["style.css", text(xterm, "css/xterm.css") + text(here, "style.css")],
  ["beach_web_bg.wasm", readFileSync(join(module, "beach_web_bg.wasm"))],
  ["xterm-license.txt", text(xterm, "LICENSE")],
]);

const all = createHash("sha256");
for (const [name, bytes] of files) all.update(name).update(bytes);
const folder = all.digest("hex").slice(0, 12);

const attributes = (name) => {
  const digest = createHash("sha384").update(files.get(name)).digest("base64");
  return `href="s/${folder}/${name}" integrity="sha384-${digest}"`;
};
const source = (name) => attributes(name).replace("href=", "src=");
const assets = [
  `<link rel="stylesheet" ${attributes("style.css")}>`,
  `<link id="wasm" rel="preload" as="fetch" crossorigin ${attributes("beach_web_bg.wasm").replace("integrity", "data-integrity")}>`,
  `<link rel="modulepreload" ${attributes("beach_web.js")}>`,
  `<link rel="modulepreload" ${attributes("xterm.mjs")}>`,
  `<script type="module" ${source("app.js")}></script>`,
];
const index = text(here, "index.html").replace("<!-- assets -->", assets.join("\n  "));

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, folder), { recursive: true });
writeFileSync(join(out, "index.html"), index);
let sum = 0;
for (const [name, bytes] of files) {
  const zipped = gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });
  writeFileSync(join(out, folder, name), bytes);
  writeFileSync(join(out, folder, `${name}.gz`), zipped);
  sum += zipped.length;
  console.log(`${name}: ${Buffer.byteLength(bytes)} bytes, ${zipped.length} gzipped`);
}
console.log(`${out}: ${sum} bytes gzipped`);

/**
 * The page's own modules as one, those first that others import. Each is a few lines, and each file is a connection of its
 * own at the service, which keeps none open for a stranger. Top-level names are therefore unique among them.
 */
function bundle(entry) {
  const own = new Set(readdirSync(here).filter((name) => name.endsWith(".js")));
  const outside = new Set();
  const parts = [];
  const add = (name) => {
    if (!own.delete(name)) return;
    const body = text(here, name).replace(/^import (.+?) from "\.\/(.+?)";\n/gm, (line, _, from) => {
      if (readdirSync(here).includes(from)) add(from);
      else outside.add(line);
      return "";
    });
    parts.push(`// ${name}\n${body.replace(/^export /gm, "").trim()}\n`);
  };
  add(entry);
  if (own.size > 0) throw new Error(`nobody imports ${[...own]}`);
  return [...outside, ...parts].join("\n");
}
