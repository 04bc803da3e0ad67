/** The end-to-end tests all ask for the binary at once; they must get one, whole. */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { buildTestBinary } from "./binary.ts";

test("several processes that ask for the test binary at once get the same one", async () => {
  const program = `const { buildTestBinary } = await import(${JSON.stringify(join(import.meta.dir, "binary.ts"))});
    console.log(JSON.stringify(await buildTestBinary()));`;
  const children = [1, 2, 3].map(() => Bun.spawn([process.execPath, "-e", program], { stdio: ["ignore", "pipe", "inherit"] }));
  const answers = await Promise.all(children.map(async (child) => JSON.parse(await child.stdout.text())));
  const own = await buildTestBinary();
  expect(answers).toEqual([own, own, own]);
  expect(statSync(own.expjobserver).mode & 0o111).not.toBe(0);
  expect(statSync(own.j).ino).toBe(statSync(own.expjobserver).ino);
}, 120_000);
