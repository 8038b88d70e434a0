// Makes an empty Vite project, installs the packed package there and builds the tests' page with it:
// node vite.mjs TARBALL FOLDER
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const [tarball, project] = process.argv.slice(2).map((path) => resolve(path));
const page = new URL("tests/chromium/page.html", import.meta.url);
const run = (command, ...words) => execFileSync(command, words, { cwd: project, stdio: "inherit" });

rmSync(project, { recursive: true, force: true });
mkdirSync(project, { recursive: true });
writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
run("npm", "install", "--silent", "--no-audit", "--no-fund", "vite@^7", tarball);
writeFileSync(join(project, "index.html"), readFileSync(page, "utf8").replace('"/beach_web.js"', '"@beach/web"'));
// The tests' page awaits at its top, as the README's ten lines do.
run("npx", "vite", "build", "--target", "esnext", "--logLevel", "warn");
