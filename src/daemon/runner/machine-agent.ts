/**
 * Our end of the agent (agent-script.ts): sends requests over its one channel and hands each answer to whoever
 * asked. One agent a machine; when its channel dies it is done, and a new one is opened for the next request.
 */
import { type Problem, problem } from "../../core/problem.ts";
import { type MachineShell, MachineShellError, type ShellProcess } from "../machine-shell.ts";
import { AGENT_SCRIPT } from "./agent-script.ts";
import { SUPERVISOR } from "./supervisor.ts";

export interface AgentIdentity {
  readonly machineId: string;
  readonly bootId: string;
  readonly home: string;
}

/** An answer: the words after the tag, and what stands after the first `|`, split at the others. */
export interface AgentAnswer {
  readonly words: readonly string[];
  readonly lines: readonly string[];
}

/** Both logs, when they were small enough to come with the end. */
export interface InlineLogs {
  readonly out: Uint8Array;
  readonly err: Uint8Array;
}

export interface AgentEnd {
  /** Sizes on the machine; null when the file is not there. */
  readonly outBytes: number | null;
  readonly errBytes: number | null;
  readonly inline: InlineLogs | null;
  readonly statusLine: string;
}

type Verb = "start" | "inspect" | "watch" | "withdraw" | "signal" | "release" | "probe";

interface Expected {
  readonly answered: (answer: AgentAnswer) => void;
  readonly ended: (end: AgentEnd) => void;
  readonly died: (reason: Problem) => void;
  readonly out: number[];
  readonly err: number[];
}

export class MachineAgent {
  private readonly expected = new Map<string, Expected>();
  private nextTag = 0;
  private deadFor: Problem | null = null;
  private readonly readyPromise = Promise.withResolvers<AgentIdentity>();

  private constructor(
    private readonly machine: string,
    private readonly process: ShellProcess,
  ) {}

  /** @throws {MachineShellError} */
  static async open(shell: MachineShell): Promise<{ agent: MachineAgent; identity: AgentIdentity }> {
    const process = await shell.run(AGENT_SCRIPT, { input: value(SUPERVISOR), keepInputOpen: true });
    const agent = new MachineAgent(shell.machine, process);
    void agent.read();
    void process.collectStderr(4_096);
    return { agent, identity: await agent.readyPromise.promise };
  }

  get dead(): Problem | null {
    return this.deadFor;
  }

  /** @throws {MachineShellError} when the channel dies before the answer. */
  async ask(verb: Exclude<Verb, "start" | "watch">, ...values: readonly string[]): Promise<AgentAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<AgentAnswer>();
    this.send(verb, values.map(value).join(""), {
      answered: resolve,
      ended: () => undefined,
      died: (reason) => reject(new MachineShellError(reason)),
    });
    return await promise;
  }

  /** Starts a run. `begun` rejects with a MachineShellError when the channel dies first; `end` resolves with the problem then. */
  start(directory: string, environment: Readonly<Record<string, string>>): { begun: Promise<string>; end: Promise<AgentEnd | Problem> } {
    const pairs = Object.entries(environment).map(([name, text]) => `${name}\n${value(text)}`);
    const begun = Promise.withResolvers<string>();
    const end = Promise.withResolvers<AgentEnd | Problem>();
    this.send("start", `${value(directory)}${pairs.length}\n${pairs.join("")}`, {
      answered: (answer) => begun.resolve(answer.words.join(" ")),
      ended: end.resolve,
      died: (reason) => {
        begun.reject(new MachineShellError(reason));
        end.resolve(reason);
      },
    });
    return { begun: begun.promise, end: end.promise };
  }

  watch(directory: string): Promise<AgentEnd | Problem> {
    const end = Promise.withResolvers<AgentEnd | Problem>();
    this.send("watch", value(directory), { answered: () => undefined, ended: end.resolve, died: end.resolve });
    return end.promise;
  }

  close(): void {
    this.process.kill();
  }

  private send(verb: Verb, body: string, callbacks: Omit<Expected, "out" | "err">): void {
    if (this.deadFor !== null) return callbacks.died(this.deadFor);
    const tag = (this.nextTag++).toString(36);
    this.expected.set(tag, { ...callbacks, out: [], err: [] });
    // A write that fails is a channel that dies, which read() sees.
    this.process.write(`${verb} ${tag}\n${body}`).catch((error: unknown) => this.die(problemOf(error, this.machine)));
  }

  private async read(): Promise<void> {
    try {
      let rest = "";
      const decoder = new TextDecoder("latin1");
      for await (const bytes of this.process.stdout) {
        const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > 65_536)
          throw new MachineShellError(problem("shell-unusable", { machine: this.machine, message: "the agent's answer has no end" }));
        for (const line of lines) this.received(line);
      }
      await this.process.exited;
      this.die(problem("transfer-cut", { machine: this.machine, message: "the agent has ended" }));
    } catch (error) {
      this.die(problemOf(error, this.machine));
    }
  }

  private received(line: string): void {
    const bar = line.indexOf("|");
    const [kind = "", tag = "", ...words] = (bar < 0 ? line : line.slice(0, bar)).trim().split(/ +/);
    const lines = bar < 0 ? [] : line.slice(bar + 1).split("|");
    if (kind === "ready")
      return this.readyPromise.resolve({ machineId: fileName(tag), bootId: words[0] ?? "", home: octalText(words[1] ?? "") });
    if (kind === "unusable") return this.die(problem("shell-unusable", { machine: this.machine, message: `${tag} is missing there` }));
    const expected = this.expected.get(tag);
    if (expected === undefined) return;
    if (kind === "data") {
      const bytes = words.slice(1).map((octal) => Number.parseInt(octal, 8));
      expected[words[0] === "err" ? "err" : "out"].push(...bytes);
    } else if (kind === "end") {
      this.expected.delete(tag);
      expected.ended(endOf(expected, words, lines[0] ?? ""));
    } else {
      // The end of a run that was refused follows all the same, or never: its entry is small.
      if (kind !== "begun") this.expected.delete(tag);
      expected.answered({ words, lines });
    }
  }

  private die(reason: Problem): void {
    if (this.deadFor !== null) return;
    this.deadFor = reason;
    this.readyPromise.reject(new MachineShellError(reason));
    this.readyPromise.promise.catch(() => undefined);
    const waiting = [...this.expected.values()];
    this.expected.clear();
    for (const { died } of waiting) died(reason);
    this.process.kill();
  }
}

/** The number of lines, then the lines. */
export function value(text: string): string {
  return `${text.split("\n").length}\n${text}\n`;
}

function endOf(expected: Expected, words: readonly string[], statusLine: string): AgentEnd {
  const [out = "-", err = "-", sent = "0"] = words;
  const inline = sent === "1" ? { out: Uint8Array.from(expected.out), err: Uint8Array.from(expected.err) } : null;
  return { outBytes: sizeOf(out), errBytes: sizeOf(err), inline, statusLine };
}

function sizeOf(word: string): number | null {
  return /^\d{1,15}$/.test(word) ? Number(word) : null;
}

/** Octal bytes as `od -to1` prints them, three digits each. */
function octalText(word: string): string {
  const bytes = word.match(/[0-7]{3}/g)?.map((octal) => Number.parseInt(octal, 8)) ?? [];
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

/** A machine id names a folder of ours, whatever the machine says it is. */
function fileName(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 64) || "unknown";
}

function problemOf(error: unknown, machine: string): Problem {
  return error instanceof MachineShellError ? error.problem : problem("transfer-cut", { machine, message: String(error) });
}
