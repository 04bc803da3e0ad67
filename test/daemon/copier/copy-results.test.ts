import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomFillSync } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readMachineFacts } from "../../../src/daemon/copier/machine-facts.ts";
import { LocalMachineShell } from "../../../src/daemon/local-shell.ts";
import type { MachineShell } from "../../../src/daemon/machine-shell.ts";
import { SshConnections } from "../../../src/daemon/ssh/connections.ts";
import { type Sshd, sshdAvailable, startSshd } from "../../support/sshd.ts";
import { CopyFixture, InterferingShell, mustBeCopied, mustFail, sha256, tree } from "./copy-fixture.ts";

// A machine that is busy with other tests.
setDefaultTimeout(120_000);

const HOSTILE_NAMES = [
  "with space",
  "quo'te\"s",
  "new\nline",
  "ünï→",
  "-rf",
  "*",
  "back\\slash",
  ".hidden",
  "$(touch x)",
  "a;b&c|d",
  "[x]",
  "tab\there",
  "~",
  "\x1b[31m",
  "%s%n",
];

interface Sizes {
  readonly largeBytes: number;
  readonly smallFiles: number;
}

function battery(name: string, sizes: Sizes, open: () => Promise<{ shell: MachineShell; close: () => Promise<void> }>): void {
  describe(`results over ${name}`, () => {
    let shell: MachineShell;
    let close: () => Promise<void>;
    beforeAll(async () => {
      ({ shell, close } = await open());
    });
    afterAll(async () => {
      await close();
    });

    test(`a file of ${sizes.largeBytes} bytes arrives byte for byte`, async () => {
      using fixture = new CopyFixture();
      const content = randomFillSync(Buffer.alloc(sizes.largeBytes));
      fixture.write({ "exp7.dat": content });
      const outcome = mustBeCopied(await fixture.copy({ shell }));
      expect(outcome.files).toEqual([{ path: "exp7.dat", bytes: content.length, sha256: sha256(content) }]);
      expect(outcome.resultsPath).toBe(join(fixture.target, "exp7.dat"));
      expect(readFileSync(outcome.resultsPath).equals(content)).toBe(true);
    }, 120_000);

    test(`a folder of ${sizes.smallFiles} small files arrives, and nothing temporary stays`, async () => {
      using fixture = new CopyFixture();
      fixture.write(
        Object.fromEntries(Array.from({ length: sizes.smallFiles }, (_, index) => [`exp7/${index % 50}/f${index}`, `content ${index}\n`])),
      );
      const outcome = mustBeCopied(await fixture.copy({ shell }));
      expect(outcome.files).toHaveLength(sizes.smallFiles);
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
      expect(existsSync(join(fixture.target, ".expjobserver", "incoming", "7.run1"))).toBe(false);
    }, 120_000);

    test("names that mean something to a shell, a terminal or a tool arrive as they are", async () => {
      using fixture = new CopyFixture();
      for (const name of HOSTILE_NAMES) fixture.write({ [`exp7/${name}/${name}`]: name, [`exp7${name}`]: name });
      mustBeCopied(await fixture.copy({ shell }));
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    });

    test("results and the folders made for them get the modes of the umask of the copy; our own folder stays ours", async () => {
      using fixture = new CopyFixture();
      fixture.write({ "exp7/sub/small": "x", "exp7/large": "y".repeat(2_000_000) });
      const target = join(fixture.target, "made", "for", "it");
      const before = process.umask(0o077);
      try {
        mustBeCopied(await fixture.copy({ shell, target, umask: 0o027 }));
      } finally {
        process.umask(before);
      }
      const paths = ["..", ".", "exp7", "exp7/sub", "exp7/sub/small", "exp7/large", ".expjobserver", ".expjobserver/7.toml"];
      const modes = paths.map((path) => (statSync(join(target, path)).mode & 0o777).toString(8));
      expect(modes).toEqual(["750", "750", "750", "750", "640", "640", "700", "600"]);
    });

    test("empty files and empty folders arrive", async () => {
      using fixture = new CopyFixture();
      fixture.write({ "exp7/a": "", "exp7/b/c": "x", "exp7/z": "", "exp7.empty": "" });
      mkdirSync(join(fixture.source, "exp7/none/inside"), { recursive: true });
      mustBeCopied(await fixture.copy({ shell }));
      expect(tree(fixture.target)).toEqual(tree(fixture.source));
    });
  });
}

battery("this host", { largeBytes: 20_000_000, smallFiles: 1000 }, async () => ({
  shell: new LocalMachineShell("local"),
  close: async () => undefined,
}));

if (sshdAvailable()) {
  let sshd: Sshd;
  battery("sshd", { largeBytes: 200_000_000, smallFiles: 5000 }, async () => {
    sshd = await startSshd();
    const connections = new SshConnections({ settings: { configFile: sshd.client.configFile } });
    return {
      shell: connections.shell(sshd.machine),
      close: async () => {
        connections.close();
        await sshd.stop();
      },
    };
  });
} else console.warn("SKIPPED: copies over sshd, because sshd is not installed");

describe("busybox on the machine", () => {
  const busybox = Bun.which("busybox");
  if (busybox === null) console.warn("SKIPPED: copies with busybox tools, because busybox is not installed");
  test.skipIf(busybox === null)("its find, xargs, stat and sha256sum do as well", async () => {
    using fixture = new CopyFixture();
    const tools = join(fixture.folder, "bin");
    mkdirSync(tools);
    for (const tool of ["sh", "find", "xargs", "stat", "wc", "cat", "tail", "cut", "sha256sum", "uname", "sed", "head", "grep"]) {
      symlinkSync(busybox ?? "", join(tools, tool));
    }
    for (const name of HOSTILE_NAMES) fixture.write({ [`exp7/${name}/${name}`]: name });
    fixture.write({ "exp7/zero": "", "exp7/big": randomFillSync(Buffer.alloc(3_000_000)) });
    symlinkSync("/etc/passwd", join(fixture.source, "exp7", "link"));
    const shell = new InterferingShell((script) => `PATH=${tools}; export PATH\n${script}`);
    const outcome = mustBeCopied(await fixture.copy({ shell }));
    const { "exp7/link": _, ...expected } = tree(fixture.source);
    expect(tree(fixture.target)).toEqual(expected);
    expect(outcome.warnings.map((warning) => warning.code)).toEqual(["results-skipped"]);
    expect((await readMachineFacts(shell)).kernel).toStartWith("Linux ");
  });
});

describe("prefixes", () => {
  test("a prefix names every file and folder whose path begins with it, and nothing else", async () => {
    using fixture = new CopyFixture();
    fixture.write({
      "out/exp7": "a",
      "out/exp7.log": "b",
      "out/exp7-more/x/y": "c",
      "out/exp70": "d",
      "out/exp": "no",
      "out/xexp7": "no",
      exp7: "no",
    });
    const outcome = mustBeCopied(await fixture.copy({ prefixes: [join(fixture.source, "out/exp7")], startDirectory: "/" }));
    expect(Object.keys(tree(fixture.target)).sort()).toEqual(["exp7", "exp7-more", "exp7-more/x", "exp7-more/x/y", "exp7.log", "exp70"]);
    expect(outcome.resultsPath).toBe(fixture.target);
  });

  test("a prefix that ends in a slash names what is in the folder, hidden files too", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "out/a": "1", "out/.b": "2", "out/..c": "3", "out/d/e": "4" });
    mustBeCopied(await fixture.copy({ prefixes: ["out/"] }));
    expect(Object.keys(tree(fixture.target)).sort()).toEqual(["..c", ".b", "a", "d", "d/e"]);
  });

  test("a pattern in a prefix is taken literally", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp*": "star", exp7: "seven", "ex[p]1": "brackets", exp1: "one" });
    mustBeCopied(await fixture.copy({ prefixes: ["exp*", "ex[p]"] }));
    expect(Object.keys(tree(fixture.target)).sort()).toEqual(["ex[p]1", "exp*"]);
  });

  test("several prefixes are merged, and what two of them name is copied once", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "one/exp/a": "a", "two/exp/b": "b", "one/exp.log": "log" });
    const outcome = mustBeCopied(await fixture.copy({ prefixes: ["one/exp", "two/exp", "one/exp.l"] }));
    expect(Object.keys(tree(fixture.target)).sort()).toEqual(["exp", "exp.log", "exp/a", "exp/b"]);
    expect(outcome.files).toHaveLength(3);
  });

  test("two results of one name are refused when they differ, and are one when they are equal", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "one/exp": "same", "two/exp": "same", "three/exp": "other" });
    expect(mustBeCopied(await fixture.copy({ prefixes: ["one/exp", "two/exp"] })).files).toHaveLength(1);
    expect(mustFail(await fixture.copy({ prefixes: ["one/exp", "three/exp"], jid: 8 }))).toMatchObject({
      code: "results-unsafe-name",
      retryable: false,
    });
  });

  test("nothing under one of the prefixes is a failure that names it, and copies nothing", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    const failure = mustFail(await fixture.copy({ prefixes: ["exp7", "missing/there"] }));
    expect(failure).toMatchObject({ code: "results-missing", retryable: false, data: { prefix: "missing/there" } });
    expect(tree(fixture.target)).toEqual({});
  });

  test("a start directory that is not there is named", async () => {
    using fixture = new CopyFixture();
    const failure = mustFail(await fixture.copy({ startDirectory: join(fixture.folder, "nowhere") }));
    expect(failure.code).toBe("results-unreadable");
    expect(failure.data["path"]).toBe(join(fixture.folder, "nowhere"));
  });

  test("links, pipes and sockets are passed over with a warning", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "a" });
    symlinkSync("/etc/passwd", join(fixture.source, "exp7/link"));
    Bun.spawnSync(["mkfifo", join(fixture.source, "exp7/pipe")]);
    const outcome = mustBeCopied(await fixture.copy());
    expect(Object.keys(tree(fixture.target))).toEqual(["exp7", "exp7/a"]);
    expect(outcome.warnings[0]).toMatchObject({ code: "results-skipped", data: { count: "2" } });
  });

  test("without any tool that hashes the copy fails and says so", async () => {
    using fixture = new CopyFixture();
    fixture.write({ exp7: "x" });
    const tools = join(fixture.folder, "bin");
    mkdirSync(tools);
    for (const tool of ["sh", "find", "xargs", "stat", "cat", "cut"]) symlinkSync(Bun.which(tool) ?? "", join(tools, tool));
    const shell = new InterferingShell((script) => `PATH=${tools}; export PATH\n${script}`);
    expect(mustFail(await fixture.copy({ shell })).code).toBe("checksum-tool-missing");
    expect(tree(fixture.target)).toEqual({});
  });

  test("results get the modes of the umask, our own folder and record are private", async () => {
    using fixture = new CopyFixture();
    fixture.write({ "exp7/a": "a" });
    const outcome = mustBeCopied(await fixture.copy());
    const umask = process.umask();
    const mode = (path: string): number => statSync(join(fixture.target, path)).mode & 0o777;
    expect([mode("exp7"), mode("exp7/a")]).toEqual([0o777 & ~umask, 0o666 & ~umask]);
    expect([mode(".expjobserver"), statSync(outcome.record).mode & 0o777]).toEqual([0o700, 0o600]);
  });
});
