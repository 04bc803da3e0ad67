import { describe, expect, setDefaultTimeout, test } from "bun:test";
import * as fc from "fast-check";
import { CopyProblem } from "../../../src/daemon/copier/copy-problem.ts";
import { COPY_LIMITS, type CopyLimits } from "../../../src/daemon/copier/limits.ts";
import { type Listing, ListingParser, splitPrefixes } from "../../../src/daemon/copier/listing.ts";
import { HashParser } from "../../../src/daemon/copier/manifest.ts";
import { encodeWord } from "../../../src/daemon/copier/scripts.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const PREFIX = "/out/exp";

function parse(
  text: string | Uint8Array,
  changes: { prefixes?: string[]; limits?: Partial<CopyLimits>; pieceBytes?: number } = {},
): Listing {
  const limits = { ...COPY_LIMITS, ...changes.limits };
  const parser = new ListingParser({ machine: "m", prefixes: splitPrefixes(changes.prefixes ?? [PREFIX], limits), limits });
  const bytes = Buffer.from(text);
  const pieceBytes = changes.pieceBytes ?? bytes.length + 1;
  for (let at = 0; at < bytes.length; at += pieceBytes) parser.feed(bytes.subarray(at, at + pieceBytes));
  return parser.end("");
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof CopyProblem) return error.problem.code;
    throw error;
  }
  return "accepted";
}

const listing = (...records: string[]): string => ["P 0 -", ...records, "E 0 0", ""].join("\0");

describe("a listing", () => {
  test("gives folders before their files, and names without what stands before the prefix", () => {
    const parsed = parse(
      listing("d 4096 /out/exp", "f 3 /out/exp/a", "d 4096 /out/exp/b", "f 0 /out/exp/b/c", "f 7 /out/exp.log", "l 3 /out/exp/link"),
    );
    expect(parsed.folders).toEqual(["exp", "exp/b"]);
    expect(parsed.files.map(({ target, bytes }) => [target, bytes])).toEqual([
      ["exp/a", 3],
      ["exp/b/c", 0],
      ["exp.log", 7],
    ]);
    expect(parsed.skipped).toEqual([{ source: "/out/exp/link", what: "symbolic link" }]);
  });

  test("means the same in pieces of any size", async () => {
    const text = listing("d 4096 /out/exp", "f 3 /out/exp/ä\nö", "f 0 /out/exp.→");
    await fc.assert(fc.property(fc.integer({ min: 1, max: 60 }), (pieceBytes) => expect(parse(text, { pieceBytes })).toEqual(parse(text))));
  });

  const refused: Readonly<Record<string, [string, string]>> = {
    "with a name outside the prefix": [listing("f 1 /etc/passwd"), "results-unsafe-name"],
    "with .. in a name": [listing("d 0 /out/exp", "f 1 /out/exp/../../x"), "results-unsafe-name"],
    "with .. as the name": [listing("f 1 /out/exp/.."), "results-unsafe-name"],
    "with . in a name": [listing("f 1 /out/exp/./x"), "results-unsafe-name"],
    "with an empty part in a name": [listing("d 0 /out/exp", "f 1 /out/exp//x"), "results-unsafe-name"],
    "with a slash at the end": [listing("f 1 /out/exp/"), "results-unsafe-name"],
    "with a name that is not UTF-8": ["", "results-unsafe-name"],
    "with a name listed twice": [listing("f 1 /out/exp", "f 1 /out/exp"), "results-unsafe-name"],
    "with a folder listed twice": [listing("d 1 /out/exp", "d 1 /out/exp"), "results-unsafe-name"],
    "with a file that is also a folder": [listing("f 1 /out/exp", "d 0 /out/exp"), "results-unsafe-name"],
    "with a folder that is also a file": [listing("d 0 /out/exp", "f 1 /out/exp"), "results-unsafe-name"],
    "with a file below a file": [listing("f 1 /out/exp", "f 1 /out/exp/a"), "results-unsafe-name"],
    "with a file below a link": [listing("l 1 /out/exp", "f 1 /out/exp/a"), "results-changed"],
    "with a part of 256 bytes": [listing(`f 1 /out/exp${"x".repeat(253)}`), "results-unsafe-name"],
    "with a path of 5,000 bytes": [listing(`f 1 /out/exp${"/abc".repeat(1250)}`), "results-unreadable"],
    "with 300 folders in each other": [listing(`f 1 /out/exp${"/a".repeat(300)}`), "results-unsafe-name"],
    "with a size that is negative": [listing("f -1 /out/exp"), "results-unreadable"],
    "with a size of 16 digits": [listing("f 9999999999999999 /out/exp"), "results-unreadable"],
    "with sizes that no number holds": [
      listing(...Array.from({ length: 10 }, (_, index) => `f 999999999999999 /out/exp${index}`)),
      "results-unreadable",
    ],
    "with a kind nobody knows": [listing("q 1 /out/exp"), "results-unreadable"],
    "without an end": ["P 0 -\0f 1 /out/exp\0", "results-unreadable"],
    "cut in a name": ["P 0 -\0f 1 /out/ex", "results-unreadable"],
    "with something after its end": [`${listing("f 1 /out/exp")}f 1 /out/exp2\0`, "results-unreadable"],
    "with a name before the first prefix": ["f 1 /out/exp\0E 0 0\0", "results-unreadable"],
    "with prefixes in another order": ["P 1 -\0f 1 /out/exp\0E 0 0\0", "results-unreadable"],
    "with a prefix too many": ["P 0 -\0f 1 /out/exp\0P 1 -\0E 0 0\0", "results-unreadable"],
    "without the prefix": ["E 0 0\0", "results-unreadable"],
    "with nothing": ["", "results-unreadable"],
    "with a folder that could not be read": ["P 0 -\0f 1 /out/exp\0E 0 1\0", "results-unreadable"],
    "with nothing under the prefix": [listing(), "results-missing"],
    "with only a link under the prefix": [listing("l 3 /out/exp"), "results-missing"],
  };
  for (const [what, [text, code]] of Object.entries(refused)) {
    if (what === "with a name that is not UTF-8") continue;
    test(`${what} is refused as ${code}`, () => {
      expect(codeOf(() => parse(text))).toBe(code);
    });
  }

  test("with a name that is not UTF-8 is refused as results-unsafe-name", () => {
    const bytes = Buffer.concat([Buffer.from("P 0 -\0f 1 /out/exp"), Buffer.from([0xff, 0xfe]), Buffer.from("\0E 0 0\0")]);
    expect(codeOf(() => parse(bytes))).toBe("results-unsafe-name");
  });

  test("cannot name our folder of records, however it is written", () => {
    for (const name of [".expjobserver", ".EXPjobserver"]) {
      expect(codeOf(() => parse(listing(`d 0 /out/${name}`), { prefixes: ["/out/"] }))).toBe("results-unsafe-name");
      expect(codeOf(() => parse(listing(`f 0 /out/${name}/7.toml`), { prefixes: ["/out/"] }))).toBe("results-unsafe-name");
    }
  });

  test("is bounded in entries and bytes", () => {
    const many = listing(...Array.from({ length: 11 }, (_, index) => `f 1 /out/exp${index}`));
    expect(codeOf(() => parse(many, { limits: { entriesMax: 10 } }))).toBe("results-too-many");
    expect(codeOf(() => parse(many, { limits: { manifestBytesMax: 100 } }))).toBe("results-too-many");
  });

  test("of whatever bytes is a listing of safe names or a problem, never anything else", async () => {
    const part = fc.oneof(
      fc.constantFrom("..", ".", "", "a", "exp", ".expjobserver", "\xff", "x\ny", "a".repeat(300)),
      fc.string({ maxLength: 6 }),
    );
    const path = fc
      .tuple(fc.constantFrom("/out/exp", "/out/", "/", "./", ""), fc.array(part, { maxLength: 5 }))
      .map(([head, parts]) => head + parts.join("/"));
    const record = fc
      .tuple(fc.constantFrom("f", "d", "l", "P", "E", "U", "q", ""), fc.oneof(fc.nat(), fc.constantFrom("-1", "1e9", "")), path)
      .map((fields) => fields.join(" "));
    const text = fc
      .tuple(fc.constantFrom("P 0 -\0", ""), fc.array(record, { maxLength: 12 }), fc.constantFrom("\0E 0 0\0", "\0E 0 1\0", ""))
      .map(([head, records, end]) => head + records.join("\0") + end);
    const bytes = fc.oneof(
      text.map((value) => Buffer.from(value, "latin1")),
      text.map((value) => Buffer.from(value)),
      fc.uint8Array({ maxLength: 200 }),
    );
    await fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 40 }), (value, pieceBytes) => {
        let parsed: Listing | null = null;
        const code = codeOf(() => {
          parsed = parse(value, { pieceBytes });
        });
        if (code !== "accepted") return;
        const { folders, files } = parsed as unknown as Listing;
        const names = [...folders, ...files.map((file) => file.target)];
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) {
          expect(name.startsWith("exp")).toBe(true);
          for (const component of name.split("/")) expect(["", ".", ".."]).not.toContain(component);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("checksums", () => {
  const files = ["a", "b"].map((target) => ({ source: `/out/${target}`, target, bytes: 1 }));
  const good = "0".repeat(64);
  const feed = (text: string): string[] => {
    const hashes: string[] = [];
    const parser = new HashParser({ machine: "m", files, onHash: (file, sha256) => hashes.push(`${file.target} ${sha256}`) });
    for (const byte of Buffer.from(text)) parser.feed(Uint8Array.of(byte));
    parser.end();
    return hashes;
  };

  test("are taken in the order of the files", () => {
    expect(feed(`${good}\n${"1".repeat(64)}\nend\n`)).toEqual([`a ${good}`, `b ${"1".repeat(64)}`]);
  });

  const refused: Readonly<Record<string, [string, string]>> = {
    "too few": [`${good}\nend\n`, "results-unreadable"],
    "too many": [`${good}\n${good}\n${good}\nend\n`, "results-unreadable"],
    "without an end": [`${good}\n${good}\n`, "results-unreadable"],
    "with something after the end": [`${good}\n${good}\nend\nend\n`, "results-unreadable"],
    "in capitals": [`${good.replaceAll("0", "A")}\n`, "results-unreadable"],
    "too long": [`${good}0\n`, "results-unreadable"],
    "without an end of line": ["0".repeat(100_000), "results-unreadable"],
    "of a file that may not be read": [`${good}\n-\n`, "results-unreadable"],
    "of a file that is gone": ["!\n", "results-changed"],
    "without a tool": ["none\n", "checksum-tool-missing"],
  };
  for (const [what, [text, code]] of Object.entries(refused)) {
    test(`${what} are refused as ${code}`, () => {
      expect(codeOf(() => feed(text))).toBe(code);
    });
  }
});

test("a word that is sent to a script comes back from printf as it was", async () => {
  await fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), (word) => {
      const wanted = word.replaceAll("\0", "");
      const encoded = encodeWord(wanted);
      expect(encoded).toMatch(/^[0-9A-Za-z/._\\]*$/);
      const script = 'IFS= read -r line; value=$(printf "%bx" "$line"); printf %s "${value%x}"';
      const shown = Bun.spawnSync(["sh", "-c", script], { stdin: Buffer.from(`${encoded}\n`) });
      expect(shown.stdout.equals(Buffer.from(wanted))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test("prefixes that cannot be meant are refused", () => {
  expect(codeOf(() => splitPrefixes([], COPY_LIMITS))).toBe("results-none-named");
  for (const prefix of ["", "a\nb", "a\0b", "a\x1bb", "x".repeat(5000)])
    expect(codeOf(() => splitPrefixes([prefix], COPY_LIMITS))).toBe("results-line-invalid");
  expect(
    codeOf(() =>
      splitPrefixes(
        Array.from({ length: 1001 }, (_, index) => `p${index}`),
        COPY_LIMITS,
      ),
    ),
  ).toBe("results-too-many");
});
