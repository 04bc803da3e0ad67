/** `j completions`: which script goes where, what is refused, and the text of the script that no shell here can run. */
import { afterAll, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { completionScript, SHELL_NAMES, SHELLS } from "../../src/terminal/completion/shells.ts";
import { bareEnvironment, runClient } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "expjob-scripts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const completions = (...argv: string[]) => runClient(["completions", ...argv], { environment: bareEnvironment(folder), folder });

describe("completions", () => {
  test("prints the script, or writes it under the name that the shell looks for and says how to activate it", async () => {
    const printed = await completions("--bash");
    expect(printed).toMatchObject({ code: 0, err: "" });
    expect(printed.out).toContain(" j\n");
    const names = { bash: "j.bash", zsh: "_j", fish: "j.fish", powershell: "_j.ps1", elvish: "j.elv" };
    for (const shell of SHELL_NAMES) {
      const { code, out, err } = await completions(`--${shell}`, `new folder/${shell}`);
      const path = join(folder, "new folder", shell, names[shell]);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toStartWith(`Wrote ${path}\nTo activate it, put this line into `);
      expect(out).toContain(SHELLS[shell].activation(path).line);
      expect(lstatSync(path).mode & 0o777).toBe(0o644);
    }
    const json = await completions("--zsh", "--bin", "expjobserver", "more", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ shell: "zsh", file: join(folder, "more/_expjobserver") });
  });

  test("replaces its own script, and nothing else", async () => {
    mkdirSync(join(folder, "bin"));
    writeFileSync(join(folder, "bin/j.bash"), "mine");
    const refused = await completions("--bash", "bin");
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("exists and is no completion script of ours");
    expect(readFileSync(join(folder, "bin/j.bash"), "utf8")).toBe("mine");
    expect((await completions("--fish", "bin")).code).toBe(0);
    expect((await completions("--fish", "bin")).code).toBe(0);
  });

  test("needs one shell, and a name that can stand in a script", async () => {
    const none = await completions();
    expect(none).toMatchObject({ code: 2, out: "" });
    expect(none.err).toContain("--bash, --zsh, --fish, --powershell, --elvish");
    expect((await completions("--bash", "--zsh")).code).toBe(2);
    for (const name of ["a;touch x", "$(touch x)", "-j", "a b", "a/b", "a\nb", "'"]) {
      const { code, err } = await completions("--bash", `--bin=${name}`);
      expect({ name, code }).toEqual({ name, code: 2 });
      expect(err).toContain("is no name of a program");
    }
  });

  test("a path of this host in a script is a word, whatever it is called", () => {
    const program = ["/it's/$(touch x)/`y`\\", "z\u2019w"];
    expect(completionScript("bash", { name: "j", program })).toContain("program=('/it'\\''s/$(touch x)/`y`\\' 'z\u2019w')");
    expect(completionScript("fish", { name: "j", program })).toContain("program '/it\\'s/$(touch x)/`y`\\\\' 'z\u2019w'");
    expect(completionScript("elvish", { name: "j", program })).toContain("program = '/it''s/$(touch x)/`y`\\'");
    expect(completionScript("powershell", { name: "j", program })).toContain("@('/it''s/$(touch x)/`y`\\', 'z\u2019\u2019w')");
  });

  test("no script evaluates what it was told", () => {
    for (const shell of SHELL_NAMES) {
      const code = completionScript(shell, { name: "j", program: ["/opt/j"] })
        .split("\n")
        .filter((line) => !line.startsWith("#"))
        .join("\n");
      expect(code).not.toMatch(/\beval\b|compgen|Invoke-Expression|\biex\b| -Q\b/);
    }
  });

  test("the script for PowerShell, which no test here can run", () => {
    expect(completionScript("powershell", { name: "j", program: ["/opt/j"] })).toMatchSnapshot();
  });
});
