/**
 * Our end of the agent (agent-script.ts is the specification): sends requests over its one channel and hands each
 * answer, read strictly, to whoever asked. One agent a machine; when its channel dies it is done for good, and all
 * who wait learn why. It judges nothing.
 */
import { type Problem, problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError, type ShellProcess } from "../machine-shell.ts";
import { AGENT_SCRIPT, INLINE_LOG_BYTES_MAX } from "./agent-script.ts";
import {
  type AgentBegun,
  type AgentEnd,
  type AgentIdentity,
  type AgentWords,
  agentValue,
  type Inspection,
  type LogBase,
  readBegun,
  readEnd,
  readInspection,
  readReady,
  wordsOf,
} from "./agent-words.ts";
import type { StopSignal } from "./runner.ts";
import { SUPERVISOR } from "./supervisor.ts";

export interface WithdrawAnswer {
  /** See agent-script.ts. */
  readonly word: string;
  readonly message: string;
}

export interface AgentStart {
  readonly directory: string;
  readonly base: LogBase;
  readonly environment: Readonly<Record<string, string>>;
}

/** Resolves with the problem when the channel dies first; never rejects. */
export type AwaitedEnd = Promise<AgentEnd | Problem>;

interface Expected {
  readonly answered: (words: AgentWords) => void;
  readonly ended: ((end: AgentEnd) => void) | null;
  readonly died: (reason: Problem) => void;
  readonly data: { out: string; err: string };
}

/** Longest line of an agent that is one. */
const LINE_LENGTH_MAX = 65_536;
const DATA_LENGTH_MAX = INLINE_LOG_BYTES_MAX * 2;

export class MachineAgent {
  readonly #machine: string;
  readonly #process: ShellProcess;
  readonly #expected = new Map<string, Expected>();
  readonly #ready = Promise.withResolvers<AgentIdentity>();
  #nextTag = 0;
  #dead: Problem | null = null;

  private constructor(machine: string, process: ShellProcess) {
    this.#machine = machine;
    this.#process = process;
  }

  /** @throws {MachineShellError} when the machine cannot be reached or lacks what the agent needs. */
  static async open(shell: MachineShell): Promise<{ agent: MachineAgent; identity: AgentIdentity }> {
    const process = await shell.run(AGENT_SCRIPT, { input: agentValue(SUPERVISOR), keepInputOpen: true });
    const agent = new MachineAgent(shell.machine, process);
    agent.#listen();
    return { agent, identity: await agent.#ready.promise };
  }

  /** Why it can be used no more; null: it can. */
  get dead(): Problem | null {
    return this.#dead;
  }

  /** Starts a run. `begun` rejects with a MachineShellError when the channel dies first; there is no end of what was not started. */
  start({ directory, base, environment }: AgentStart): { readonly begun: Promise<AgentBegun>; readonly end: AwaitedEnd } {
    const pairs = Object.entries(environment).map(([name, text]) => `${name}\n${agentValue(text)}`);
    const begun = Promise.withResolvers<AgentBegun>();
    const end = Promise.withResolvers<AgentEnd | Problem>();
    this.#send("start", [agentValue(directory), `${base.outBytes} ${base.errBytes}\n${pairs.length}\n`, ...pairs], {
      answered: (words) => begun.resolve(readBegun(words)),
      ended: end.resolve,
      died: (reason) => {
        begun.reject(new MachineShellError(reason));
        end.resolve(reason);
      },
    });
    return { begun: begun.promise, end: end.promise };
  }

  /** Waits until the run's supervisor is gone, whoever started it. */
  watch(directory: string): AwaitedEnd {
    const { promise, resolve } = Promise.withResolvers<AgentEnd | Problem>();
    this.#send("watch", [agentValue(directory)], { answered: () => undefined, ended: resolve, died: resolve });
    return promise;
  }

  /** This and the following: @throws {MachineShellError} when the channel dies before the answer. */
  async inspect(directory: string): Promise<Inspection> {
    return readInspection(await this.#ask("inspect", directory));
  }

  /** Takes the run away from whoever has not begun it. */
  async withdraw(directory: string): Promise<WithdrawAnswer> {
    const { words, lines } = await this.#ask("withdraw", directory);
    return { word: words[0] ?? "", message: lines.join("|") };
  }

  /** Resolves with how many processes were signaled. */
  async signal(directory: string, signal: StopSignal): Promise<number> {
    return Number((await this.#ask("signal", directory, signal)).words[0] ?? 0);
  }

  /** false: it is still there. */
  async release(directory: string): Promise<boolean> {
    return (await this.#ask("release", directory)).words[0] === "yes";
  }

  /** Can run directories be made below `root`? null: yes; else the system's message. */
  async probe(root: string): Promise<string | null> {
    const { words, lines } = await this.#ask("probe", root);
    return words[0] === "ok" ? null : lines.join("|");
  }

  /** Ends the agent; runs go on. Who still waits learns `reason`. */
  close(reason: Problem): void {
    this.#die(reason);
  }

  async #ask(verb: string, ...values: readonly string[]): Promise<AgentWords> {
    const { promise, resolve, reject } = Promise.withResolvers<AgentWords>();
    this.#send(verb, values.map(agentValue), { answered: resolve, ended: null, died: (reason) => reject(new MachineShellError(reason)) });
    return await promise;
  }

  #send(verb: string, values: readonly string[], callbacks: Omit<Expected, "data">): void {
    if (this.#dead !== null) return callbacks.died(this.#dead);
    const tag = (this.#nextTag++).toString(36);
    this.#expected.set(tag, { ...callbacks, data: { out: "", err: "" } });
    this.#process.write(`${verb} ${tag}\n${values.join("")}`).catch((error: unknown) => this.#die(this.#problemOf(error)));
  }

  #listen(): void {
    this.#read().catch((error: unknown) => this.#die(this.#problemOf(error)));
    // What it forked may hold its outputs open after its end: only its status tells.
    this.#process.exited.then(
      (status) => this.#die(problem("transfer-cut", { machine: this.#machine, message: `the agent ended with status ${status}` })),
      (error: unknown) => this.#die(this.#problemOf(error)),
    );
    // The agent says nothing there; when the connection dies, its status says so.
    this.#process.collectStderr(0).catch((error: unknown) => this.#die(this.#problemOf(error)));
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder("latin1");
    let rest = "";
    for await (const bytes of this.#process.stdout) {
      const lines = (rest + decoder.decode(bytes)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#received(line);
      if (rest.length > LINE_LENGTH_MAX) throw new MachineShellError(this.#unusable("the agent's answer has no end"));
    }
  }

  #received(line: string): void {
    const words = wordsOf(line);
    if (words.kind === "ready") return this.#readied(words);
    if (words.kind === "unusable") return this.#die(this.#unusable(`${words.tag} is missing there, or of no use`));
    const expected = this.#expected.get(words.tag);
    if (expected === undefined) return;
    switch (words.kind) {
      case "data": {
        const log = words.words[0] === "err" ? "err" : "out";
        expected.data[log] += words.words.slice(1).join("");
        if (expected.data[log].length > DATA_LENGTH_MAX) this.#die(this.#unusable("the agent sends more of a log than is asked for"));
        return;
      }
      case "end":
        this.#expected.delete(words.tag);
        expected.ended?.(readEnd(words, expected.data));
        return;
      // tidy-allow switch-default: an open set, of whatever the machine says
      default:
        if (words.kind !== "begun" || !words.words[0]?.startsWith("started")) this.#expected.delete(words.tag);
        expected.answered(words);
    }
  }

  #readied(words: AgentWords): void {
    const identity = readReady(words);
    if (identity === null) return this.#die(this.#unusable("it has no home folder with an absolute path"));
    this.#ready.resolve(identity);
  }

  #die(reason: Problem): void {
    if (this.#dead !== null) return;
    this.#dead = reason;
    this.#ready.promise.catch(() => undefined);
    this.#ready.reject(new MachineShellError(reason));
    const waiting = [...this.#expected.values()];
    this.#expected.clear();
    for (const { died } of waiting) died(reason);
    this.#process.kill();
  }

  #unusable(message: string): Problem {
    return problem("shell-unusable", { machine: this.#machine, message });
  }

  #problemOf(error: unknown): Problem {
    return error instanceof MachineShellError ? error.problem : problem("transfer-cut", { machine: this.#machine, message: String(error) });
  }
}
