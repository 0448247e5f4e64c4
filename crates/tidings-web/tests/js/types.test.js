// The declarations are TypeScript, and declare what there is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { promisify } from "node:util";

import * as tidings from "../../web/tidings.js";

const COMPILER = new URL("node_modules/typescript/bin/tsc", import.meta.url);
const LIBRARIES = "es2023,dom,dom.asynciterable";
const OPTIONS = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", LIBRARIES];

const missing = !existsSync(COMPILER) && "npm ci has not been run here";

test("what is declared can be used as it should be, and not otherwise", { skip: missing }, async () => {
  const sample = new URL("types/sample.ts", import.meta.url);
  const compiled = promisify(execFile)(process.execPath, [COMPILER.pathname, ...OPTIONS, sample.pathname]);
  const { stdout, code } = await compiled.catch((failed) => failed);
  assert.equal(stdout, "");
  assert.equal(code, undefined);
});

test("what is declared is exported, and nothing else", async () => {
  const text = await readFile(new URL("../../web/tidings.d.ts", import.meta.url), "utf8");
  const declared = Array.from(text.matchAll(/^export (?:function|class|const) (\w+)/gm), ([, name]) => name);
  assert.deepEqual(new Set(declared), new Set(Object.keys(tidings)));
});
