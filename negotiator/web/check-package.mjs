// Installs a packed package into an empty project and tries it: node check-package.mjs TARBALL
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const tarball = resolve(process.argv[2]);
const project = mkdtempSync(join(tmpdir(), "beach-web-"));
try {
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
  execFileSync("npm", ["install", "--silent", "--offline", "--ignore-scripts", tarball], { cwd: project });
  const installed = join(project, "node_modules/@beach/web");
  writeFileSync(join(project, "use.js"), 'export * from "@beach/web"; export { default } from "@beach/web";');
  const { default: init, connect } = await import(pathToFileURL(join(project, "use.js")));
  await init({ module_or_path: readFileSync(join(installed, "beach_web_bg.wasm")) });
  await assert.rejects(connect("https://beach.example/s"), { name: "BadLink" });
  const types = readFileSync(join(installed, "beach_web.d.ts"), "utf8");
  for (const name of ["function connect", "function share", "function viewerKey", "class Session", "class Host", "class SharedTerminal", "interface ConnectOptions"]) {
    assert.ok(types.includes(`export ${name}`), `no ${name} in the types`);
  }
  console.log(`${tarball}: ${statSync(tarball).size} bytes, installs, and its link parser answers`);
} finally {
  rmSync(project, { recursive: true });
}
