import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  checkHostKey,
  fingerprint,
  type HostIdentity,
  keyTypesOnFile,
  linesFor,
  parseKnownHosts,
  readKnownHosts,
} from "../../../src/daemon/ssh/known-hosts.ts";
import { chooseSeed, count, report, timeoutMs } from "../../fault/forms.ts";
import { generateKey } from "../../support/sshd.ts";

let folder: string;
const keys: { ed: string; otherEd: string; rsa: string } = { ed: "", otherEd: "", rsa: "" };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expjob-known-"));
  for (const [name, type] of [
    ["ed", "ed25519"],
    ["otherEd", "ed25519"],
    ["rsa", "rsa"],
  ] as const) {
    generateKey(join(folder, name), type);
    keys[name] = readFileSync(join(folder, `${name}.pub`), "utf8")
      .split(" ")
      .slice(0, 2)
      .join(" ");
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const blob = (line: string): Buffer => Buffer.from(line.split(" ")[1] ?? "", "base64");
const host = (hostName: string, port = 22, alias: string | null = null): HostIdentity => ({ hostName, port, alias });
const verdict = (text: string, identity: HostIdentity, key = keys.ed): string =>
  checkHostKey(parseKnownHosts(text, "file"), identity, blob(key)).kind;

function hashed(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
}

describe("a host key is known", () => {
  test("by its name, whatever the case", () => {
    expect(verdict(`Lab1,lab2 ${keys.ed}\n`, host("LAB1"))).toBe("known");
    expect(verdict(`lab1 ${keys.ed}\n`, host("lab10"))).toBe("unknown");
  });
  test("by a hashed name, with and without port", () => {
    expect(verdict(`${hashed("lab1")} ${keys.ed}\n`, host("lab1"))).toBe("known");
    expect(verdict(`${hashed("[lab1]:2222")} ${keys.ed}\n`, host("lab1", 2222))).toBe("known");
    expect(verdict(`${hashed("[lab1]:2222")} ${keys.ed}\n`, host("lab1"))).toBe("unknown");
  });
  test("by a pattern, unless a negated one takes it out", () => {
    expect(verdict(`*.lab.org,!bad.lab.org ${keys.ed}\n`, host("good.lab.org"))).toBe("known");
    expect(verdict(`*.lab.org,!bad.lab.org ${keys.ed}\n`, host("bad.lab.org"))).toBe("unknown");
  });
  test("on another port by the bare name, as OpenSSH does, but a difference there is no change", () => {
    expect(verdict(`lab1 ${keys.ed}\n`, host("lab1", 2222))).toBe("known");
    expect(verdict(`lab1 ${keys.otherEd}\n`, host("lab1", 2222))).toBe("unknown");
    expect(verdict(`[lab1]:2222 ${keys.otherEd}\nlab1 ${keys.ed}\n`, host("lab1", 2222))).toBe("changed");
  });
  test("by its alias only, when it has one", () => {
    expect(verdict(`box ${keys.ed}\n`, host("lab1", 2222, "box"))).toBe("known");
    expect(verdict(`lab1 ${keys.ed}\n`, host("lab1", 22, "box"))).toBe("unknown");
  });
});

describe("a host key is refused", () => {
  test("as changed, with the line that says otherwise, when a key of the same type is on file", () => {
    const found = checkHostKey(parseKnownHosts(`# head\n\nlab1 ${keys.otherEd}\n`, "file"), host("lab1"), blob(keys.ed));
    expect(found).toMatchObject({ kind: "changed", onFile: { file: "file", line: 3 } });
  });
  test("as unknown, with the types that are, when only keys of other types are on file", () => {
    expect(checkHostKey(parseKnownHosts(`lab1 ${keys.rsa}\n`, "file"), host("lab1"), blob(keys.ed))).toEqual({
      kind: "unknown",
      otherTypes: ["ssh-rsa"],
    });
    expect(keyTypesOnFile(parseKnownHosts(`lab1 ${keys.rsa}\n`, "file"), host("lab1"))).toEqual(["ssh-rsa"]);
  });
  test("as revoked, though another line allows it", () => {
    expect(verdict(`lab1 ${keys.ed}\n@revoked * ${keys.ed}\n`, host("lab1"))).toBe("revoked");
    expect(verdict(`[lab1]:2222 ${keys.ed}\n@revoked lab1 ${keys.ed}\n`, host("lab1", 22))).toBe("revoked");
    expect(verdict(`lab1 ${keys.ed}\n@revoked * ${keys.otherEd}\n`, host("lab1"))).toBe("known");
  });
  test("as known by certificate only, but not where a plain line vouches for it", () => {
    expect(verdict(`@cert-authority *.org ${keys.otherEd}\n`, host("lab.org"))).toBe("certificate-only");
    expect(verdict(`@cert-authority *.org ${keys.otherEd}\nlab.org ${keys.ed}\n`, host("lab.org"))).toBe("known");
  });
  test("when lines are damaged: they know nobody", () => {
    const damaged = [
      "lab1 ssh-ed25519 AAAA",
      `lab1 ssh-rsa ${keys.ed.split(" ")[1]}`,
      "lab1",
      "|1|x lab1",
      `@what lab1 ${keys.ed}`,
      `#lab1 ${keys.ed}`,
      "\u0000\u0001",
    ];
    expect(damaged.map((line) => verdict(`${line}\n`, host("lab1")))).toEqual(damaged.map(() => "unknown"));
  });
});

test("several files are read as one, and one that is missing knows nobody", async () => {
  writeFileSync(join(folder, "one"), `lab1 ${keys.rsa}\n`);
  writeFileSync(join(folder, "two"), `@revoked lab1 ${keys.ed}\n`);
  const lines = await readKnownHosts([join(folder, "missing"), join(folder, "one"), join(folder, "two")]);
  expect(checkHostKey(lines, host("lab1"), blob(keys.ed)).kind).toBe("revoked");
  expect(checkHostKey(lines, host("lab1"), blob(keys.rsa)).kind).toBe("known");
});

test("fingerprints are those of ssh-keygen", () => {
  const printed = spawnSync("ssh-keygen", ["-lf", join(folder, "ed.pub")], { encoding: "utf8" }).stdout.split(" ")[1] ?? "";
  expect(fingerprint(blob(keys.ed))).toBe(printed);
});

const seed = chooseSeed();
const randomFiles = count("known-hosts", { short: 150, long: 20_000 });

test(
  `the lines found for a name are those that ssh-keygen -F finds, in ${randomFiles} files (seed ${seed})`,
  () => {
    const startedAt = performance.now();
    const label = fc.constantFrom("a", "b", "lab", "lab1", "x-y", "A", "Lab");
    const plainName = fc.array(label, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("."));
    const name = fc
      .tuple(plainName, fc.constantFrom(22, 22, 2222))
      .map(([text, port]) => (port === 22 ? text.toLowerCase() : `[${text.toLowerCase()}]:${port}`));
    const pattern = fc.oneof(name, plainName, fc.constantFrom("*", "*.lab", "l?b*", "a*.?", "[*]:2222", "?"));
    const negatable = fc.tuple(fc.boolean(), pattern).map(([isNegated, text]) => (isNegated ? `!${text}` : text));
    const names = fc.oneof(
      { weight: 3, arbitrary: fc.array(negatable, { minLength: 1, maxLength: 3 }).map((list) => list.join(",")) },
      { weight: 1, arbitrary: name.map(hashed) },
    );
    const marker = fc.constantFrom("", "", "", "@revoked ", "@cert-authority ");
    const line = fc.oneof(
      {
        weight: 8,
        arbitrary: fc
          .tuple(marker, names, fc.constantFrom("ed" as const, "rsa" as const))
          .map(([mark, list, key]) => `${mark}${list} ${keys[key]}`),
      },
      { weight: 1, arbitrary: fc.constantFrom("# comment", "", "  ", "lab ssh-ed25519") },
    );
    const file = join(folder, "random");
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), name, (lines, wanted) => {
        writeFileSync(file, `${lines.join("\n")}\n`);
        const found = spawnSync("ssh-keygen", ["-F", wanted, "-f", file], { encoding: "utf8" }).stdout;
        const theirs = [...found.matchAll(/found: line (\d+)/g)].map((match) => Number(match[1]));
        expect(linesFor(parseKnownHosts(readFileSync(file, "utf8"), file), wanted).map((one) => one.line)).toEqual(theirs);
      }),
      { numRuns: randomFiles, seed },
    );
    // One that differs has failed the test before.
    report({ name: "known-hosts", count: randomFiles, violations: 0, seed, seconds: (performance.now() - startedAt) / 1_000 });
  },
  timeoutMs(60_000),
);
