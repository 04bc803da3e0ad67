/**
 * The secret hunt. Canaries are the values of secret variables; they go through every operation and every error path
 * that takes a command, a path or a variable. Then all files of both hosts, all that was shown and sent, all that left
 * as a notification, and all processes are searched: they may be in secrets.toml, and where a job itself put them.
 */
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { METHODS, type MethodName } from "../../src/protocol/methods.ts";
import { WebhookServer } from "../daemon/notify/webhook-server.ts";
import { RawPeer } from "../daemon/server/raw-peer.ts";
import { type Canary, FileHunt, newCanary, processesWith, singsIn } from "../support/canary.ts";
import { type Answer, run, startMachines, TestDaemon, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { waitFor } from "../support/wait-for.ts";
import { chooseSeed, count, randomFrom, report, timeoutMs } from "./forms.ts";

const seed = chooseSeed();
const rounds = count("secret-hunt", { short: 1, long: 100 });
const kills = count("secret-kills", { short: 15, long: 1_000 });
/** What a value may look like; each round has another. */
const SHAPES = [
  "*",
  "a '* b",
  'x"*"',
  "*\nsecond line *",
  "{A}*{B}",
  "-*",
  "$(id)*`id`",
  "\\*\\",
  "*\t",
  "ä*ü",
  "=*",
  "%s*%n",
  "*".repeat(20),
];

test.skipIf(!sshdAvailable())(
  `a secret goes through every operation and every error, ${rounds} times, and is found nowhere (seed ${seed}; SKIPPED without sshd)`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    let violations = 0;
    let searched = 0;
    for (let round = 0; round < rounds; round += 1) {
      await using machines = await startMachines(1);
      const hunt = await Hunt.begin(machines, SHAPES[Math.floor(chance() * SHAPES.length)] ?? "*");
      try {
        await hunt.go();
      } finally {
        await hunt.end();
      }
      searched += hunt.searched;
      violations += hunt.hits.length;
      expect(hunt.hits).toEqual([]);
    }
    report({
      name: "secret-hunt",
      count: rounds,
      violations,
      seed,
      seconds: (performance.now() - startedAt) / 1_000,
      note: `${searched} files, answers, messages and processes searched`,
    });
  },
  timeoutMs(60_000),
);

test(
  `${kills} kills while a secret is set, replaced and removed leave it in secrets.toml or nowhere (seed ${seed})`,
  async () => {
    const startedAt = performance.now();
    const chance = randomFrom(seed);
    await using daemon = await TestDaemon.start({ args: ["--log-level", "trace"] });
    const canary = newCanary();
    let hits: string[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      const setting = Array.from({ length: 3 }, (_, index) => setSecret(daemon, `S${index}`, `${canary.value}-${kill}-${index}`));
      const removing = daemon.j("var", "rm", "S0");
      // tidy-allow sleep: the random moment is what is tested
      await Bun.sleep(chance() * 60);
      await daemon.kill();
      await Promise.all([...setting, removing]);
      await daemon.start();
      hits = hits.concat(filesWith([canary], daemon, []));
    }
    await daemon.j("var", "rm", "S0", "S1", "S2");
    await daemon.stop();
    const last = new FileHunt([canary], () => false);
    last.search(daemon.folder);
    hits = hits.concat(last.hits);
    report({ name: "secret-kills", count: kills, violations: hits.length, seed, seconds: (performance.now() - startedAt) / 1_000 });
    expect(hits).toEqual([]);
  },
  timeoutMs(60_000),
);

/** One server, one machine over SSH, two canaries: one of an odd shape, one that is replaced. */
class Hunt {
  searched = 0;
  readonly hits: string[] = [];
  readonly #given: string[] = [];
  readonly #former = newCanary();

  private constructor(
    readonly machines: TestMachines,
    readonly daemon: TestDaemon,
    readonly hooks: WebhookServer,
    readonly canary: Canary,
  ) {}

  static async begin(machines: TestMachines, shape: string): Promise<Hunt> {
    const hooks = new WebhookServer();
    const daemon = await TestDaemon.start({
      machines: machines.all,
      args: ["--log-level", "trace", "--notify-fail", "--notify-complete", "--notify-running", "--notify-machine-broken"],
      config: `[[notify.webhooks]]\nkind = "slack"\nurl = "${hooks.url}"\n[[notify.webhooks]]\nkind = "json"\nurl = "${hooks.url}/json"\n[class.here]\nbackoff = "0.1s"\nbackoff_max = "0.1s"\n`,
    });
    return new Hunt(machines, daemon, hooks, newCanary(shape));
  }

  async end(): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.hooks[Symbol.asyncDispose]();
  }

  async go(): Promise<void> {
    const { daemon } = this;
    await daemon.ok("machine", "add", ...this.machines.addresses, "remote");
    await daemon.ok("machine", "add", "local", "here");
    this.listen();
    await this.setAndRefuse();
    const jids = await this.runJobs();
    await this.listAll(jids);
    await this.restartsAndMoves(jids);
    this.searchFiles();
    await this.hearMessages();
    await this.removeAll();
  }

  /** Somebody else follows all events from the beginning. */
  listen(): void {
    const answered = RawPeer.authenticated(this.daemon.port, tokenOf(this.daemon));
    void answered.then((peer) => peer.request(1, "events.follow", {}));
    this.#follower = answered;
  }

  #follower: Promise<RawPeer> | null = null;

  async setAndRefuse(): Promise<void> {
    const { daemon, canary } = this;
    const other = join(daemon.folder, "other");
    mkdirSync(other, { mode: 0o700 });
    writeFileSync(join(other, "token"), `${"ab".repeat(32)}\n`, { mode: 0o600 });
    this.shown("set", await setSecret(daemon, "S", this.#former.value));
    this.shown("replaced", await setSecret(daemon, "S", canary.value, "--json"));
    this.shown("replaced", await setSecret(daemon, "constructor", canary.value));
    for (const more of [["--state-dir", other], ["--address", "127.0.0.1:1"], ["--no-such-flag"]]) {
      const refused = await setSecret(daemon, "S", canary.value, ...more);
      expect(refused.code).toBeGreaterThan(0);
      this.shown(`refused ${more[0]}`, refused);
    }
    this.shown("a bad name", await setSecret(daemon, "1-bad", canary.value));
    this.shown("a built-in name", await setSecret(daemon, "JID", canary.value));
    this.shown("too long", await setSecret(daemon, "LONG", canary.value.padEnd(70_000, canary.value)));
    this.shown("not UTF-8 in an argument", await daemon.j("var", "set", "S"));
  }

  async runJobs(): Promise<Jobs> {
    const { daemon } = this;
    const results = join(daemon.folder, "results");
    const go = join(daemon.folder, "go");
    const wait = `while ! [ -e '${go}' ]; do sleep 0.05; done`;
    const uses = 'test -n "$EXPJOB_VAR_S"; : {S} >/dev/null 2>&1';
    // The value is in the environment only: whatever its shape is, it is no shell text then.
    const quiet = `test -n "$EXPJOB_VAR_S"; : '{constructor' # {S} {constructor}`;
    const safe = this.canary.value.includes("\n") ? "test 1" : quiet;
    const running = [
      await daemon.add("remote", `${safe}\n${wait}; mkdir -p out; echo 1 >out/r; echo 'RESULTS: out/r'`, results),
      await daemon.add("here", `${safe}\n${wait}`),
    ];
    for (const jid of running) await daemon.untilStatus(jid, "running");
    const processes = processesWith([this.canary, this.#former], (environment) => `\0${environment}`.includes("\0EXPJOB_JID="));
    this.searched += processes.seen;
    this.hits.push(...processes.hits);
    writeFileSync(go, "");
    for (const jid of running) expect((await daemon.ended(jid)).status).toBe("done");
    const failing = await daemon.add(
      "here",
      `cat <<'EOF'\n{S}\nEOF\n${uses}; echo "$EXPJOB_VAR_S" >&2; exit 3`,
      "--max-failures",
      "2",
      "--notify",
    );
    for (const jid of [failing, failing + 1]) this.given(await daemon.ended(jid));
    const unknownCommand = await daemon.ended(await daemon.add("here", "'{S}' 2>/dev/null"));
    expect(unknownCommand.exit_code).not.toBe(0);
    this.given(unknownCommand);
    const slow = await daemon.add("here", `exec sleep 30\n: '${"{S}".repeat(3)}'`, "--timeout", "1s");
    expect((await daemon.ended(slow)).error).toContain("1");
    const large = await this.command("larger than a command may be", "job", "add", "here", `: ${"{S}".repeat(20_000)}`);
    expect([0, 1]).toContain(large.code);
    await this.setups();
    return { done: running, failing };
  }

  async setups(): Promise<void> {
    const { daemon } = this;
    const [addr = ""] = this.machines.addresses;
    for (const cmds of [[": # {S}", "true"], ["false # {S}"], ["nosuchprogram # '{S}'"]]) {
      // Flags end at the two hyphens.
      const queued = await daemon.ok("machine", "setup", "--json", "-m", addr, "-c", "remote", "--notify", "--", ...cmds);
      const { jids } = JSON.parse(queued) as { jids: number[] };
      // A value of an odd shape ends the comment that it stands in: the shell then complains of the rest.
      for (const jid of jids) {
        const job = await daemon.ended(jid);
        if (!/^[\w=-]+$/.test(this.canary.value)) this.given(job);
      }
    }
    await this.command("no machine", "machine", "setup", "-m", "no-such-host:1", "--timeout", "1s", "--", ": {S}");
    await this.command("why", "job", "why", "last");
    await this.command("gone", "job", "rm", "last", "-f");
    await this.command("restored", "machine", "restore", addr);
  }

  async listAll({ done, failing }: Jobs): Promise<void> {
    const all = "0-100000";
    const to = join(this.daemon.folder, "taken");
    const [jid = 0] = done;
    const calls: readonly (readonly string[])[] = [
      ["job", "add", "nowhere", "run {S}", "-x", "2", "--dry-run"],
      ["job", "add", "nowhere", "run {S}", `${to}/{S}`],
      ["job", "add", "nowhere", "run {S}", `${to}/{JID}`, "-x", "2"],
      ["job", "add", "bad class!", "run {S}"],
      ["job", "add", "nowhere", "run '{S}", "--tag", "77777"],
      ["job", "matrix", "add", "nowhere", "run {S} {K}", "K=1,2,{S}"],
      ["job", "matrix", "add", "nowhere", "run {S} {K}", "K=1,2", "--dry-run"],
      ["job", "matrix", "add", "nowhere", "run {S}", "S=1,2"],
      ["job", "matrix", "add", "nowhere", "run {S}", "K=1,1", "K=2"],
      ["job", "clone", String(failing)],
      ["job", "restart", "last"],
      ["job", "hold", "last"],
      ["job", "unhold", "last"],
      ["job", "settimeout", "5m", "last"],
      ["job", "tag", "new"],
      ["job", "line", "last"],
      ["var", "ls"],
      ["var", "ls", "--json"],
      ["job", "ls", "-a", "last", "-n", "10000"],
      ["job", "ls", "--json", all],
      ["job", "ls", "-q", all],
      ["job", "show", all],
      ["job", "show", all, "--json"],
      ["job", "why", all],
      ["job", "why", all, "--json"],
      ["job", "log", all],
      ["job", "log", "-e", String(jid)],
      ["job", "stat", "--id", all],
      ["job", "stat", "--json", "--id", all],
      ["job", "stat", "--csv", "--cmd", "--vars", "--error", "--log", "--cmd-map", "cat", "--id", all],
      ["job", "stat", "--json", "--mapper", "cat", "--id", all],
      ["job", "stat", "--mapper", "false", "--id", String(jid)],
      ["job", "cpresults", `${to}/{S}`, String(jid)],
      ["job", "mvresults", `${to}/{S}`, String(jid)],
      ["job", "cpresults", `${to}/{JID}-{MACHINE}`, all],
      ["job", "wait", all, "--timeout", "1s"],
      ["job", "matrix", "ls", "0"],
      ["machine", "ls", "--json"],
      ["machine", "check"],
      ["status"],
      ["status", "--json"],
      ["notify", "test"],
      ["job", "rm", "last"],
    ];
    for (const words of calls) await this.command(words.join(" "), ...words);
    for (const line of ["j job ls ", "j job show ", "j var rm ", "j var set S", "j job add nowhere 'run {S}' "]) {
      await this.command(`TAB after ${line}`, "complete", "--quoting", "posix", "--", line);
    }
    await this.readEverything();
  }

  /** All methods that only read, as another client would call them. */
  async readEverything(): Promise<void> {
    using peer = await RawPeer.authenticated(this.daemon.port, tokenOf(this.daemon));
    const ids = [{ kind: "range", first: 0, last: 100_000 }];
    const params = { ids, id: 0, jid: 0, stream: "stdout", tail_bytes: null, limit: 1_000_000, all: true, running: false, collapse: true };
    const more = {
      class: "nowhere",
      cmd: "run {S}",
      cp_results: null,
      keys: [],
      count: 1,
      tag: null,
      timeout: 0,
      only_done: false,
      addrs: [],
    };
    const kinds = ["jobs", "matrices", "tags", "machines", "classes", "variables"];
    const reading = (Object.keys(METHODS) as MethodName[]).filter((name) => !METHODS[name].mutates && name !== "events.follow");
    for (const [index, name] of reading.entries()) {
      const own = name === "job.take-results" ? { ids: [{ kind: "id", id: 0 }], to: join(this.daemon.folder, "read"), mode: "copy" } : {};
      peer.request(index + 1, name, {
        ...params,
        ...more,
        kinds,
        ...(name === "machine.list" ? { class: null } : {}),
        ...(name === "job.stat" ? { after: null } : {}),
        ...own,
      });
      const answer = await peer.answered(index + 1);
      expect({ name, answer: answer?.kind === "error" ? answer.error.code : "" }).not.toEqual({ name, answer: "bad-request" });
    }
    for (const message of peer.messages) this.heard("a reading method", messageText(message));
    const follower = await this.#follower;
    expect(follower?.messages.length).toBeGreaterThan(1);
    for (const message of follower?.messages ?? []) this.heard("events.follow", messageText(message));
  }

  async restartsAndMoves({ done }: Jobs): Promise<void> {
    const { daemon } = this;
    const [jid = 0] = done;
    await this.command("moved", "job", "mvresults", join(daemon.folder, "moved", "{JID}"), String(jid));
    const config = join(daemon.folder, "config.toml");
    writeFileSync(config, `${readFileSync(config, "utf8")}[retention]\ncompress_logs_after = "1s"\n`);
    (await this.#follower)?.[Symbol.dispose]();
    await daemon.kill();
    await daemon.start();
    await daemon.stop();
    const exported = join(daemon.folder, "export.toml");
    await this.offline("check");
    await this.offline("state", "export", exported);
    const moved = join(daemon.folder, "second");
    await this.offline("state", "import", exported, "--state-dir", moved);
    await this.offline("state", "import", join(daemon.stateDir, "secrets.toml"), "--state-dir", join(daemon.folder, "third"));
    await this.offline("import", join(daemon.stateDir, "secrets.toml"), "--state-dir", join(daemon.folder, "fourth"));
    await daemon.start();
    await this.command("after a restart", "job", "show", "0-100000", "--json");
  }

  searchFiles(): void {
    const { daemon } = this;
    const hunt = new FileHunt([this.canary, this.#former], (path) => path === join(daemon.stateDir, "secrets.toml") || this.isGiven(path));
    hunt.search(daemon.folder);
    hunt.search(this.machines.folder);
    this.searched += hunt.files;
    this.hits.push(...hunt.hits);
    // The hunt can find: it is where it should be, and where jobs have printed it.
    const proof = new FileHunt([this.canary], () => false);
    proof.search(daemon.folder);
    expect(proof.hits).toContain(join(daemon.stateDir, "secrets.toml"));
    expect(proof.hits.length).toBeGreaterThan(1);
    // The former value is nowhere at all any more.
    const former = new FileHunt([this.#former], () => false);
    former.search(daemon.stateDir);
    this.hits.push(...former.hits);
  }

  async hearMessages(): Promise<void> {
    const isTold = (): boolean => this.hooks.received.some(({ text }) => text.includes("job-failed"));
    await waitFor(isTold, { what: () => JSON.stringify(this.hooks.received), timeoutMs: 20_000 });
    for (const { path, text, headers } of this.hooks.received) {
      const all = `${path} ${text} ${JSON.stringify(headers)}`;
      this.heard("a notification", all);
    }
  }

  async removeAll(): Promise<void> {
    const { daemon } = this;
    await this.command("removed", "var", "rm", "S", "constructor", "LONG");
    await daemon.stop();
    const hunt = new FileHunt([this.canary], (path) => this.isGiven(path));
    hunt.search(daemon.folder);
    hunt.search(this.machines.folder);
    this.searched += hunt.files;
    this.hits.push(...hunt.hits);
  }

  async command(what: string, ...words: readonly string[]): Promise<Answer> {
    const answer = await this.daemon.j(...words);
    this.shown(what, answer);
    return answer;
  }

  async offline(...words: readonly string[]): Promise<void> {
    const { binary, folder, environment, logDir } = this.daemon;
    const more = words[0] === "check" ? ["--log-dir", logDir] : [];
    this.shown(words.join(" "), await run([binary.expjobserver, ...words, ...more], { cwd: folder, env: environment }));
  }

  shown(what: string, answer: Answer): void {
    this.heard(what, answer.stdout + answer.stderr);
  }

  heard(what: string, text: string): void {
    this.searched += 1;
    for (const canary of [this.canary, this.#former]) if (singsIn(text, canary)) this.hits.push(`${what}: ${text.slice(0, 500)}`);
  }

  /** A job that prints what it was given: its own logs may hold it, also where they are copied to. */
  given(job: { readonly log: string | null; readonly err_log: string | null }): void {
    for (const path of [job.log, job.err_log]) if (path !== null) this.#given.push(path.split("/").at(-1) ?? path);
  }

  isGiven(path: string): boolean {
    return this.#given.some((name) => path.endsWith(`/${name}`) || path.endsWith(`/${name}.gz`));
  }
}

interface Jobs {
  readonly done: readonly number[];
  readonly failing: number;
}

function messageText(message: object): string {
  return JSON.stringify(message, (_key, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value));
}

async function setSecret(daemon: TestDaemon, name: string, value: string, ...more: readonly string[]): Promise<Answer> {
  const words = [daemon.binary.j, "var", "set", name, "-", "--secret", ...more];
  return await run(words, { cwd: daemon.folder, env: daemon.environment, stdin: value });
}

function filesWith(canaries: readonly Canary[], daemon: TestDaemon, allowed: readonly string[]): string[] {
  const hunt = new FileHunt(canaries, (path) => path === join(daemon.stateDir, "secrets.toml") || allowed.includes(path));
  hunt.search(daemon.folder);
  return hunt.hits;
}

function tokenOf(daemon: TestDaemon): Uint8Array {
  return Buffer.from(readFileSync(join(daemon.stateDir, "token"), "latin1").trim(), "hex");
}
