/** Names of job logs: readable, one file name on any file system, and never one that steers a path. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { logName, STDERR_SUFFIX } from "../../src/daemon/log-name.ts";

describe("the name of a log", () => {
  test("tells what runs where", () => {
    expect(logName(12, "exp00010 host:22 --thp 1")).toBe("12-exp00010_host:22_--thp_1");
  });

  test.each([
    ["../../etc/passwd", "3-.._.._etc_passwd"],
    ["a\nb\u001b[2Jc", "3-a_b_2Jc"],
    ["$(rm -rf /); `x` | 'y' \"z\"", "3-rm_-rf_x_y_z"],
    ["\u202eevil", "3-evil"],
    ["", "3-"],
  ])("of %j is one harmless word", (command, name) => {
    expect(logName(3, command)).toBe(name);
  });

  test("fits 200 bytes with its suffix whatever the command, keeps the id, and is one component", () => {
    fc.assert(
      fc.property(fc.nat(), fc.string({ unit: "binary", maxLength: 600 }), fc.constantFrom("", "0123456789abcdef"), (jid, command, end) => {
        const name = logName(jid, command, end);
        expect(Buffer.byteLength(name + STDERR_SUFFIX)).toBeLessThanOrEqual(200);
        expect(name).toStartWith(`${jid}-`);
        expect(name).toEndWith(end);
        expect(name).not.toMatch(/[/\0\s]/u);
        expect(name).toBe(Buffer.from(name).toString("utf8"));
      }),
    );
  });

  test("of a command of a million characters costs nothing to speak of", () => {
    expect(logName(1, "é".repeat(1_000_000)).length).toBeLessThan(120);
  });
});
