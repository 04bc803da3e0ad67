/**
 * TAB in the real shells, typed on a terminal, with the compiled binary and a real server that has jobs of the
 * worst kind: whatever a job, a variable or the line itself says, nothing of it runs. A shell that is not here is
 * said, loudly. PowerShell is never here: what can be shown without it is in test/commands/completion-scripts.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run, TestDaemon } from "../support/daemon.ts";
import { TypedShell } from "../support/typed-shell.ts";

let daemon: TestDaemon;
// A short path, wherever TMPDIR is: what is offered of a command is cut, and a trap that is cut does not spring.
const folder = mkdtempSync("/tmp/expj-");
const canary = join(folder, "canary");

beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok("machine", "add", "local/a", "node1.lab:22", "small");
  await daemon.ok("machine", "add", "[::1]:22", "sixes");
  await daemon.ok("var", "set", "SIZE", "4");
  await daemon.ok("var", "set", "HOSTILE", `$(touch ${canary})`);
  for (const command of hostile()) await daemon.ok("job", "add", "nowhere", "--", command);
  // Offered beside the others, and never the only one.
  await daemon.ok("job", "matrix", "add", "nowhere", "echo {A}; `touch x`", "A=1,2");
  mkdirSync(join(folder, "results dir"));
  writeFileSync(join(folder, "machines.txt"), "node1.lab:22\n");
});

afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Jobs 0 and up: each would leave the canary if any shell evaluated it. */
function hostile(): string[] {
  const touch = `touch ${canary}`;
  return [
    `$(${touch})`,
    `\`${touch}\``,
    `'; ${touch}; '`,
    `"; ${touch}; "`,
    `x\n${touch}\n`,
    `\x1b[31mred\x07 ; ${touch}`,
    `--rm ; ${touch}`,
    `(${touch}) | & > ${canary}`,
    `a:b\t\${x:-$(${touch})} %F{red} $((a[$(${touch})]))`,
  ];
}

const jobs = hostile().length;
const matrix = String(jobs);

function environment(): Record<string, string> {
  return { ...daemon.environment, PATH: `${dirname(daemon.binary.j)}:${process.env["PATH"] ?? ""}`, SHELL: "/bin/sh" };
}

/** @returns the path of a start-up file, beside the script that the binary wrote */
async function installed(shell: string, startUp: (script: string) => string, bin = "j"): Promise<string> {
  const answer = await run([daemon.binary.j, "completions", `--${shell}`, "--bin", bin, join(folder, "scripts", bin), "--quiet"], {
    cwd: folder,
    env: environment(),
  });
  expect({ code: answer.code, stderr: answer.stderr }).toEqual({ code: 0, stderr: "" });
  mkdirSync(join(folder, `${shell}-${bin}`), { recursive: true });
  const path = join(folder, `${shell}-${bin}`, shell === "zsh" ? ".zshrc" : "rc");
  writeFileSync(path, startUp(answer.stdout.trim()));
  return path;
}

interface Shell {
  readonly name: "bash" | "zsh" | "fish";
  start(bin?: string, more?: Record<string, string>): Promise<TypedShell>;
  /** How it writes the address with brackets. */
  readonly bracketed: string;
}

const bash: Shell = {
  name: "bash",
  bracketed: "\\[::1\\]:22",
  start: async (bin, more = {}) => {
    const path = await installed(
      "bash",
      (script) =>
        `set -u\nsource ${script}\nsource ${script}\nPS1='READY> '\nbind 'set show-all-if-ambiguous on'\nbind 'set page-completions off'\nbind 'set enable-bracketed-paste off'\nbind -x '"\\C-x\\C-p": printf "\\nLINE<%s>LINE\\n" "$READLINE_LINE"'\n`,
      bin,
    );
    const command = ["bash", "--noprofile", "--rcfile", path, "-i"];
    return await TypedShell.start({ command, cwd: folder, env: { ...environment(), ...more }, prompt: "READY> " });
  },
};

const zsh: Shell = {
  name: "zsh",
  bracketed: "\\[::1\\]:22",
  start: async (bin, more = {}) => {
    const path = await installed(
      "zsh",
      (script) =>
        `bindkey -e\nsource ${script}\nPS1='READY> '\nLISTMAX=1000\nsetopt no_beep\ntell() { print -r -- "LINE<$BUFFER>LINE" }\nzle -N tell\nbindkey '^X^P' tell\n[[ -n $COMPLETE_ONLY ]] && bindkey '^I' complete-word\n`,
      bin,
    );
    const env = { ...environment(), ...more, ZDOTDIR: dirname(path) };
    return await TypedShell.start({ command: ["zsh", "-d", "-i"], cwd: folder, env, prompt: "READY> " });
  },
};

const fish: Shell = {
  name: "fish",
  bracketed: "\\[::1\\]:22",
  start: async (bin, more = {}) => {
    const path = await installed(
      "fish",
      (script) =>
        `function fish_prompt; echo 'READY> '; end\nset -g fish_autosuggestion_enabled 0\nfunction fish_greeting; end\nsource ${script}\nbind \\cx\\cp 'printf "LINE<%s>LINE\\n" (commandline | string collect)'\nbind \\cu 'commandline ""'\n`,
      bin,
    );
    const command = ["fish", "--no-config", "-i", "-C", `source ${path}`];
    return await TypedShell.start({ command, cwd: folder, env: { ...environment(), ...more }, prompt: "READY> " });
  },
};

/** A shell that is missing: said so that nobody takes it for tested. */
function isHere(name: string): boolean {
  const here = Bun.which(name) !== null;
  if (!here) console.warn(`\n!!! ${name} is not installed: its completions are NOT tested here (apt-get install ${name})\n`);
  return here;
}

for (const shell of [bash, zsh, fish].filter(({ name }) => isHere(name))) {
  describe(shell.name, () => {
    test("completes commands, flags, live names and files", async () => {
      await using typed = await shell.start();
      const expectations: readonly (readonly [typed: string, line: string])[] = [
        ["j mach", "j machine "],
        ["j job matr", "j job matrix "],
        ["j job ls --runn", "j job ls --running "],
        ["j job add sma", "j job add small "],
        ["j machine mv -c six", "j machine mv -c sixes "],
        ["j machine mv --class=six", "j machine mv --class=sixes "],
        ["j machine check node1", "j machine check node1.lab:22 "],
        ["j machine rm -m local", "j machine rm -m local/a "],
        ["j var rm SI", "j var rm SIZE "],
        ["j job rm la", "j job rm last "],
        ["j serve --log-level tr", "j serve --log-level trace "],
        ["j machine rm -f mach", "j machine rm -f machines.txt "],
        ["j --json job hol", "j --json job hold "],
        [`j job add "cmd with spaces" 'x y' --notif`, `j job add "cmd with spaces" 'x y' --notify `],
      ];
      const seen: (readonly [string, string])[] = [];
      for (const [text] of expectations) seen.push([text, (await typed.tab(text)).line]);
      expect(seen).toEqual(expectations.slice());
      expect((await typed.tab("j job add small 'true' resul")).line).toMatch(/^j job add small 'true' results\\ dir\/ ?$/);
      expect((await typed.tab("j machine check \\[")).line).toBe(`j machine check ${shell.bracketed} `);
      expect(existsSync(join(folder, "canary"))).toBe(false);
    }, 120_000);

    test("runs nothing of a job, a variable or the line", async () => {
      // TAB of zsh expands the word at the cursor by itself, completions or not: here it completes only.
      await using typed = await shell.start("j", { COMPLETE_ONLY: "1" });
      const { line, shown } = await typed.tab("j job rm ");
      expect(line).toStartWith("j job rm ");
      for (const id of ["last", matrix, "0", String(jobs - 1)]) expect(shown).toMatch(new RegExp(`\\b${id}\\b`));
      expect(shown).not.toMatch(/\x07 ; touch/);
      for (const text of [
        `j job rm "$(touch ${canary})" `,
        `j job rm \`touch ${canary}\` --f`,
        `j --address=$(touch ${canary})= job rm `,
        `j --address "$(touch ${canary})" job rm `,
        `j job rm $(touch ${canary})`,
        `j job ls --x=$(touch ${canary})=`,
        "j var rm HOST",
      ])
        await typed.tab(text);
      expect(existsSync(canary)).toBe(false);
      expect((await typed.tab("j var rm HOST")).line).toBe("j var rm HOSTILE ");
    }, 120_000);

    test("goes where the line says, and offers what it knows without a server", async () => {
      await using typed = await shell.start("j", { EXPJOBSERVER_ADDRESS: "127.0.0.1:1", EXPJOBSERVER_STATE_DIR: "/nowhere" });
      const elsewhere = `j --address ${daemon.address} --state-dir=${daemon.stateDir} machine ls --class`;
      expect((await typed.tab(`${elsewhere} sma`)).line).toBe(`${elsewhere} small `);
      expect((await typed.tab("j machine ls --class sma")).line).toBe("j machine ls --class sma");
      const { line, shown } = await typed.tab("j job rm la");
      expect(line).toBe("j job rm last ");
      expect(shown).not.toMatch(/server|refused|error/i);
      if (shell.name === "bash") return;
      const assigned = `EXPJOBSERVER_ADDRESS=${daemon.address} EXPJOBSERVER_STATE_DIR=${daemon.stateDir} j machine ls --class`;
      expect((await typed.tab(`${assigned} sma`)).line).toBe(`${assigned} small `);
    }, 120_000);

    test("completes another name: the long one, and a link of any name", async () => {
      await using long = await shell.start("expjobserver");
      expect((await long.tab("expjobserver serve --detac")).line).toBe("expjobserver serve --detach ");
      const programs = join(folder, "programs");
      mkdirSync(programs, { recursive: true });
      if (!existsSync(join(programs, "my-jobs"))) symlinkSync(daemon.binary.expjobserver, join(programs, "my-jobs"));
      await using linked = await shell.start("my-jobs", { PATH: `${programs}:${environment()["PATH"]}` });
      expect((await linked.tab("my-jobs machine ls -c sma")).line).toBe("my-jobs machine ls -c small ");
    }, 120_000);
  });
}

describe("elvish", () => {
  if (!isHere("elvish")) return;

  /** What its completer gives for the words, as it prints it: Elvish has no line editor without a person. */
  async function completed(...words: readonly string[]): Promise<string> {
    const quoted = words.map((word) => `'${word.replaceAll("'", "''")}'`).join(" ");
    const script = join(folder, "j.elv");
    const written = await run([daemon.binary.j, "completions", "--elvish"], { cwd: folder, env: environment() });
    writeFileSync(script, written.stdout);
    const code = `eval (slurp < ${script})\n$edit:completion:arg-completer[j] ${quoted} | each {|offer| pprint $offer }`;
    const rc = join(folder, "rc.elv");
    writeFileSync(rc, `${code} > ${join(folder, "elvish.out")}\necho FINI''SHED\nset edit:prompt = { put 'READY> ' }\n`);
    const shell = await TypedShell.start({ command: ["elvish", "-rc", rc], cwd: folder, env: environment(), prompt: "FINISHED" });
    await shell[Symbol.asyncDispose]();
    return readFileSync(join(folder, "elvish.out"), "utf8");
  }

  test("is offered commands, live names and files, and runs nothing", async () => {
    expect(await completed("j", "mach")).toContain("machine");
    const ids = await completed("j", "job", "rm", "");
    for (const id of ["last", matrix, "0", String(jobs - 1)]) expect(ids).toContain(id);
    expect(await completed("j", "machine", "ls", "--class", "")).toContain("small");
    expect(await completed("j", "machine", "rm", "-f", "mach")).toContain("machines.txt");
    expect(await completed("j", "--address", `$(touch ${canary})`, "job", "rm", "")).toContain("last");
    expect(existsSync(canary)).toBe(false);
  }, 120_000);
});

test("the jobs here are a real trap: what completes by compgen -W runs them", async () => {
  const trap = join(folder, "trap");
  await daemon.ok("job", "add", "nowhere", `$(touch ${trap})`);
  const careless = "compgen -W \"$(j complete --quoting posix -- 'j job rm ')\" >/dev/null";
  await run(["bash", "-c", careless], { cwd: folder, env: environment() });
  expect(existsSync(trap)).toBe(true);
  // It runs the others as well: what the tests above looked for.
  expect(existsSync(canary)).toBe(true);
  rmSync(canary);
});

test("TAB is instant: with a server, without one, and with one that hangs", async () => {
  /** The quickest of some rounds, of more when the host is busy with something else. */
  const timed = async (more: Record<string, string>, limitMs: number): Promise<number> => {
    let quickestMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3 || (round < 30 && quickestMs >= limitMs); round++) {
      const before = performance.now();
      const { code, stderr, stdout } = await run([daemon.binary.j, "complete", "--quoting", "posix", "--", "j job rm "], {
        cwd: folder,
        env: { ...environment(), ...more },
      });
      quickestMs = Math.min(quickestMs, performance.now() - before);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toStartWith("last\t");
    }
    return quickestMs;
  };
  let floorMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const before = performance.now();
    await daemon.ok("--version");
    floorMs = Math.min(floorMs, performance.now() - before);
  }
  // On a quick host some 60 ms, 100 and 600; each by what it takes to start the program at all.
  const [instant, soon, bounded] = [50 + 3 * floorMs, 90 + 3 * floorMs, 590 + 3 * floorMs];
  const hung = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const figures = {
    withServer: await timed({}, instant),
    without: await timed({ EXPJOBSERVER_ADDRESS: "127.0.0.1:1" }, soon),
    wrongToken: await timed({ EXPJOBSERVER_STATE_DIR: folder }, soon),
    hung: await timed({ EXPJOBSERVER_ADDRESS: `127.0.0.1:${hung.port}` }, bounded),
  };
  hung.stop(true);
  expect(figures.withServer).toBeLessThan(instant);
  expect(figures.without).toBeLessThan(soon);
  expect(figures.wrongToken).toBeLessThan(soon);
  expect(figures.hung).toBeLessThan(bounded);
}, 120_000);
