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

  test("writes marks that enclose as escapes: how wide they are depends on what stands before them", () => {
    expect(printable("1\u20e3")).toBe("1\\u20e3");
    expect(printable("1\ufe0f\u20e3")).toBe("1\\ufe0f\\u20e3");
    expect(printable("a\u20dd\u0488")).toBe("a\\u20dd\\u0488");
  });

  test("is as wide as its pieces are together, wherever it is cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(), (text, where) => {
        const shown = printable(text);
        const graphemes = [...new Intl.Segmenter().segment(shown)].map(({ segment }) => segment);
        const at = where % (graphemes.length + 1);
        const [before, after] = [graphemes.slice(0, at).join(""), graphemes.slice(at).join("")];
        expect(Bun.stringWidth(before) + Bun.stringWidth(after)).toBe(Bun.stringWidth(shown));
      }),
      { numRuns: 1_000 },
    );
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
