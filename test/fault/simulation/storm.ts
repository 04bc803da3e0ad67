/**
 * One seed: people, machines, disk and network do what they do for some hours of a virtual clock, while the daemon is
 * killed, its host loses power, and disks fill and fail. Then all of that stops, and everything that was asked for must
 * come to its end.
 */
import { openStore } from "../../../src/store/recovery.ts";
import type { Store } from "../../../src/store/store.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import { SimulatedDaemon } from "./daemon.ts";
import { Hosts, SERVER } from "./hosts.ts";
import { liveJobs, Oracle } from "./oracle.ts";
import { ADDRS, People } from "./people.ts";
import { setStage, stage } from "./stage.ts";

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Of everything that happened, in its order. */
  readonly hash: string;
  readonly crashes: number;
  readonly powerCuts: number;
  readonly executions: number;
  readonly records: number;
}

const STEPS_MAX = 300_000;
const ROUNDS_MAX = 30;
const ROUND_MS = 6 * 3_600_000;

export class Storm {
  private readonly oracle = new Oracle();
  private readonly hosts: Hosts;
  private readonly people: People;
  private daemon: SimulatedDaemon | null = null;
  private powerIsCut = false;
  private crashes = 0;
  private powerCuts = 0;
  private steps = 0;
  private hash = 0;

  private constructor(
    private readonly seed: number,
    private readonly trace: (line: string) => void,
  ) {
    setStage(seed);
    this.hosts = new Hosts((execution) => {
      this.note(`${execution.request.runId} of job ${execution.request.jid} begins on ${execution.request.machine}`);
      this.oracle.started(execution, this.hosts.alive());
    });
    this.people = new People(
      this.oracle,
      () => this.daemon,
      (text) => this.note(text),
    );
  }

  static run(seed: number, trace: (line: string) => void = () => undefined): Outcome {
    const storm = new Storm(seed, trace);
    try {
      storm.rage();
      if (!storm.isBroken()) storm.settle();
    } catch (error) {
      storm.oracle.say(`the simulation broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    return storm.outcome();
  }

  private outcome(): Outcome {
    return {
      seed: this.seed,
      violations: [...this.oracle.violations, ...this.hosts.violations],
      hash: (this.hash >>> 0).toString(16).padStart(8, "0"),
      crashes: this.crashes,
      powerCuts: this.powerCuts,
      executions: this.hosts.executions.length,
      records: this.oracle.sequence,
    };
  }

  private rage(): void {
    const { dice, time } = stage;
    const lengthMs = dice.delayMs(20_000, 3 * 3_600_000);
    for (const addr of ADDRS) this.hosts.at(addr);
    this.open();
    this.people.ask("machine.add", { addrs: ["n0", "n1"], class: "near" });
    this.people.ask("machine.add", { addrs: ["f0", "f1", "f2"], class: "far" });
    const times = (count: number, call: () => void): void => {
      for (let left = dice.below(count + 1); left > 0; left--) time.after(dice.between(0, lengthMs), "world", call);
    };
    times(40, () => this.people.askSomething());
    times(8, () => this.crashSoon());
    times(6, () => this.cutAMachine());
    times(2, () => this.rebootAMachine());
    times(3, () => this.vanishARun());
    times(1, () => this.stopCleanly());
    times(2, () => this.fillTheDisk());
    times(1, () => this.breakTheDisk());
    this.runUntil(time.now + lengthMs);
  }

  /** Everything is well again. */
  private settle(): void {
    const { disk, time } = stage;
    this.hosts.settling = true;
    disk.full = false;
    disk.failing = 0;
    disk.callsLeft = null;
    for (const name of this.hosts.names) this.hosts.at(name).isReachable = true;
    for (let round = 0; round < ROUNDS_MAX && !this.isBroken(); round++) {
      const { state } = this.oracle;
      this.people.ask("variable.set", { name: "KEY", value: "k", secret: true }, true);
      for (const name of ["near", "far", "wide"]) this.people.ask("machine.add", { addrs: [`spare-${name}`], class: name }, true);
      this.people.ask("machine.restore", { addrs: [...state.machines.values()].map((machine) => machine.addr) }, true);
      this.people.ask("job.unhold", { ids: [{ kind: "range", first: 0, last: state.nextId }] }, true);
      for (const job of liveJobs(state)) {
        if (job.state.kind === "unknown") this.people.ask("job.cancel", { ids: [{ kind: "id", id: job.jid }], forget: false }, true);
      }
      this.runUntil(time.now + ROUND_MS);
      if (liveJobs(this.oracle.state).length === 0 && this.people.open.size === 0 && this.daemon !== null) return this.close();
    }
    if (this.isBroken()) return;
    const left = liveJobs(this.oracle.state).map(({ jid, state }) => `${jid} ${JSON.stringify(state)}`);
    this.oracle.say(
      `S4: without an end: ${left.join(", ")}; open requests: ${[...this.people.open].map((request) => request.method).join(" ")}`,
    );
  }

  private close(): void {
    const { daemon } = this;
    if (daemon === null) return;
    const asked = [...Array(this.oracle.state.nextId).keys()];
    void daemon.book.get(asked).then((known) => this.oracle.settled(new Set(known.keys())));
    this.runUntil(stage.time.now + 60_000);
    this.oracle.judgeSecrets(daemon.store);
    this.stopCleanly();
    // It is opened once more.
    this.runUntil(stage.time.now + 600_000);
    if (this.daemon === null && !this.isBroken()) this.oracle.say("the daemon did not come back after a clean stop");
  }

  private isBroken(): boolean {
    return this.oracle.violations.length > 0 || this.hosts.violations.length > 0;
  }

  private runUntil(end: number): void {
    stage.time.after(end - stage.time.now, "world", () => undefined);
    while (stage.time.now < end && !this.isBroken()) {
      if (++this.steps > STEPS_MAX) return this.oracle.say(`no end after ${STEPS_MAX} steps`);
      if (!stage.time.step()) return;
      if (stage.disk.frozen) this.crash();
    }
  }

  // ---- the daemon's life

  private open(): void {
    const faultsBefore = stage.disk.faults;
    const opening = openStore("/sim/state", {
      allowSnapshotFailure: false,
      allowNetworkFileSystem: false,
      highestIdInLogs: () => -1,
      now: Date.now,
    });
    opening.then(
      (store) => this.opened(store),
      (error: unknown) => this.notOpened(error, faultsBefore),
    );
  }

  private opened(store: Store): void {
    if (stage.disk.frozen) return;
    this.note(`opened at ${store.sequence}: ${store.notes.map(({ code }) => code).join(" ")}`);
    this.oracle.recovered(store);
    if (this.isBroken()) return;
    const daemon = new SimulatedDaemon({
      store,
      hosts: this.hosts,
      append: this.oracle.appendTo(store),
      onStorageProblem: (error) => this.storageProblem(error),
      onFault: (text) => {
        if (!stage.disk.frozen) this.oracle.say(`a fault of the daemon: ${text}`);
      },
    });
    this.daemon = daemon;
    daemon.begin();
  }

  private notOpened(error: unknown, faultsBefore: number): void {
    const { disk, time } = stage;
    if (disk.frozen) return;
    this.note(`not opened: ${String(error)}`);
    const isExcused = error instanceof StoreError && (error.code === "no-space" || error.code === "io" || error.code === "storage-failed");
    // It may have recovered since.
    if (!isExcused || disk.faults === faultsBefore) return this.oracle.say(`the state is refused: ${String(error)}`);
    // A process that ends lets go of what it has open.
    time.after(0, "world", () => this.dead("kill"));
  }

  private storageProblem(error: unknown): void {
    if (stage.disk.frozen || !(error instanceof StoreError) || error.code !== "storage-failed") return;
    this.stopCleanly();
  }

  private stopCleanly(): void {
    const { daemon } = this;
    if (daemon === null) return;
    const over = (): void => {
      if (this.daemon === daemon) stage.time.after(0, "world", () => this.daemon === daemon && this.dead("kill"));
    };
    this.note("stops");
    this.oracle.stops();
    daemon.stop().then(over, over);
  }

  private crashSoon(): void {
    if (this.hosts.settling || stage.disk.callsLeft !== null) return;
    this.powerIsCut = stage.dice.chance(0.5);
    if (stage.dice.chance(0.2)) this.dead(this.powerIsCut ? "power" : "kill");
    else stage.disk.callsLeft = 1 + stage.dice.below(60);
  }

  /** At the call that the disk chose. */
  private crash(): void {
    this.dead(this.powerIsCut ? "power" : "kill");
  }

  private dead(how: "kill" | "power"): void {
    const { disk, time, dice } = stage;
    this.note(how);
    this.crashes++;
    time.dropDaemon();
    this.hosts.dropWatchers();
    this.daemon = null;
    stage.locked = false;
    if (how === "kill") disk.afterKill();
    else {
      this.powerCuts++;
      disk.afterPowerCut();
      this.hosts.reboot(SERVER);
    }
    this.people.daemonDied();
    const { crashes } = this;
    time.after(dice.delayMs(20, 100_000), "world", () => {
      if (this.crashes === crashes) this.open();
    });
  }

  // ---- the world

  private cutAMachine(): void {
    const { dice, time } = stage;
    const addr = dice.of(ADDRS);
    if (this.hosts.settling) return;
    this.note(`${addr} is cut off`);
    this.hosts.cut(addr);
    time.after(dice.delayMs(500, 3_600_000), "world", () => {
      this.hosts.at(addr).isReachable = true;
    });
  }

  private rebootAMachine(): void {
    const addr = stage.dice.of(ADDRS);
    if (this.hosts.settling) return;
    this.note(`${addr} reboots`);
    this.hosts.reboot(addr);
  }

  private vanishARun(): void {
    const victim = stage.dice.of(this.hosts.alive());
    if (victim !== undefined && !this.hosts.settling) this.hosts.vanish(victim);
  }

  private fillTheDisk(): void {
    const { disk, time, dice } = stage;
    if (this.hosts.settling) return;
    this.note("the disk is full");
    disk.full = true;
    time.after(dice.delayMs(100, 600_000), "world", () => {
      disk.full = false;
    });
  }

  private breakTheDisk(): void {
    const { disk, time, dice } = stage;
    if (this.hosts.settling) return;
    this.note("the disk fails");
    disk.failing = dice.between(0.05, 0.6);
    time.after(dice.delayMs(10, 20_000), "world", () => {
      disk.failing = 0;
    });
  }

  private note(text: string): void {
    const line = `${stage.time.now.toFixed(3)} ${text}`;
    this.hash = Bun.hash.crc32(line, this.hash);
    this.trace(line);
  }
}
