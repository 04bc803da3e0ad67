import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { printable } from "../../src/terminal/printable.ts";

describe("printable", () => {
  test("keeps ordinary text of any language", () => {
    for (const text of ["plain text", "Grüße", "日本語", "한글", "Việt", "👍", "a/b\\c", "naïve café", "العربية"])
      expect(printable(text)).toBe(text.normalize("NFC"));
  });

  test("writes what acts on a terminal as an escape", () => {
    expect(printable("a\x1b[31mb")).toBe("a\\e[31mb");
    expect(printable("a\nb\tc\r")).toBe("a\\nb\\tc\\r");
    expect(printable("\x9b2J\x7f\x07")).toBe("\\x9b2J\\x7f\\x07");
    expect(printable("\u202egpj.exe")).toBe("\\u202egpj.exe");
    expect(printable("zero\u200bwidth\ufeff")).toBe("zero\\u200bwidth\\ufeff");
    expect(printable("\ud800")).toBe("\\ud800");
    expect(printable("\u{e0041}")).toBe("\\u{e0041}");
  });

  test("joins accents to their letters, and lets no more than two pile up", () => {
    expect(printable("e\u0301")).toBe("é");
    expect(printable("\u0301x")).toBe("\\u0301x");
    expect(printable("x\u0323\u0301\u0302\u0303")).toContain("\\u030");
  });

  test("of anything is one line without control or invisible characters, and is stable", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const shown = printable(text);
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}\p{DI}]/u);
        expect(printable(shown)).toBe(shown);
      }),
    );
  });
});
