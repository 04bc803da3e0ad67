/** How long a person waits for the client: each command against an empty program that was compiled the same way. */
import type { TestBinary } from "../support/binary.ts";
import { EmptyProgram } from "./floor.ts";
import { type Figure, type Part, type Subject, timed } from "./measure.ts";
import { BenchServer } from "./server.ts";

interface Command {
  readonly part: Part;
  readonly words: readonly string[];
}

const COMMANDS: readonly Command[] = [
  { part: { what: "j --version", unit: "ms", target: { kind: "ratio-at-most", value: 1.5 } }, words: ["--version"] },
  { part: { what: "j ping", unit: "ms" }, words: ["ping"] },
  { part: { what: "j job ls, 50 jobs", unit: "ms", target: { kind: "ratio-at-most", value: 3 } }, words: ["job", "ls", "-n", "50"] },
  { part: { what: "j job add", unit: "ms", target: { kind: "ratio-at-most", value: 3 } }, words: ["job", "add", "later", "true"] },
];

export function startUpFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  return [
    {
      parts: COMMANDS.map(({ part }) => part),
      rounds: quick ? 2 : 40,
      usesBinary: true,
      ours: (binary) => clientCommands(binary, quick),
      peer: emptyProgram,
    },
  ];
}

async function clientCommands(binary: TestBinary, isQuick: boolean): Promise<Subject> {
  const server = await BenchServer.start(binary);
  await server.occupy("later");
  await server.add("later", "echo {JID}", 50);
  const { environment, folder } = server.daemon;
  const once = async (): Promise<readonly number[]> => {
    const times: number[] = [];
    for (const { words } of COMMANDS) times.push(await timed(() => spawned([binary.j, ...words], { cwd: folder, env: environment })));
    return times;
  };
  // The server is always on: what it does for the first time is not what a person waits for.
  for (let call = 0; call < (isQuick ? 1 : 20); call++) await once();
  return {
    name: "j",
    once,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function emptyProgram(): Promise<Subject> {
  const empty = await EmptyProgram.build();
  return {
    name: "empty program",
    once: async () => {
      const times: number[] = [];
      for (const _ of COMMANDS) times.push(await timed(() => spawned([empty.path], { cwd: "/", env: {} })));
      return times;
    },
    [Symbol.asyncDispose]: () => empty[Symbol.asyncDispose](),
  };
}

/** Must end with 0. @returns the processor time that it and all below it took, ms */
export async function spawned(command: string[], options: { cwd: string; env: Record<string, string> }): Promise<number> {
  const child = Bun.spawn(command, { ...options, stdio: ["ignore", "ignore", "inherit"] });
  const code = await child.exited;
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}`);
  return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000;
}
