/** Following a log: how long after a job has written a line the client shows it. The line itself says when it was written. */
import type { TestBinary } from "../support/binary.ts";
import { startMachines, type TestMachines } from "../support/daemon.ts";
import { sshdAvailable } from "../support/sshd.ts";
import { type Figure, quantile, type Subject } from "./measure.ts";
import { BenchServer } from "./server.ts";

const PAUSE_SECONDS = 0.01;

interface Place {
  readonly name: string;
  readonly isRemote: boolean;
  /** p99, ms */
  readonly toReach: number;
}

export function followFigures({ quick }: { readonly quick: boolean }): readonly Figure[] {
  const lines = quick ? 10 : 300;
  const places: readonly Place[] = [
    { name: "local", isRemote: false, toReach: 50 },
    ...(sshdAvailable() ? [{ name: "over SSH", isRemote: true, toReach: 150 }] : []),
  ];
  return places.map((place) => ({
    parts: [
      { what: `following a log ${place.name}, write to screen, p50`, unit: "ms" },
      { what: `following a log ${place.name}, write to screen, p99`, unit: "ms", target: { kind: "at-most", value: place.toReach } },
    ],
    rounds: quick ? 1 : 3,
    usesBinary: true,
    ours: (binary) => followedJob(binary, place, lines),
    peer: () => tail(place, lines),
  }));
}

/** Waits for its reader: what was written before it came would not be measured. */
function writer(lines: number, ready: string): string {
  return `while [ ! -e '${ready}' ]; do sleep 0.05; done; i=0; while [ $i -lt ${lines} ]; do date +%s%N; sleep ${PAUSE_SECONDS}; i=$((i+1)); done`;
}

async function followedJob(binary: TestBinary, { isRemote }: Place, lines: number): Promise<Subject> {
  const machines = isRemote ? await startMachines(1) : null;
  const server = await BenchServer.start(binary, machines === null ? {} : { machines: machines.all });
  await server.addMachines("followed", machines?.addresses ?? ["local"]);
  const { environment, folder } = server.daemon;
  let round = 0;
  return {
    name: "j job log -t",
    once: async () => {
      round += 1;
      const ready = `${folder}/ready${round}`;
      const jid = await server.add("followed", `echo begun; ${writer(lines, ready)}`);
      return await delays([binary.j, "job", "log", "-t", String(jid)], { cwd: folder, env: environment, ready, lines });
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await machines?.[Symbol.asyncDispose]();
    },
  };
}

/** Of the same writer's file, by the kernel's notifications; over SSH by `ssh MACHINE tail -f`. */
async function tail({ isRemote }: Place, lines: number): Promise<Subject> {
  const machines = await startMachines(isRemote ? 1 : 0);
  const environment = { PATH: process.env["PATH"] ?? "" };
  let round = 0;
  return {
    name: isRemote ? "ssh tail -f" : "tail -f",
    once: async () => {
      round += 1;
      const [ready, file] = [`${machines.folder}/ready${round}`, `${machines.folder}/log${round}`];
      await Bun.write(file, "begun\n");
      const written = Bun.spawn(["sh", "-c", `exec >>'${file}'; ${writer(lines, ready)}`], {
        env: environment,
        stdio: ["ignore", "ignore", "inherit"],
      });
      const words = isRemote ? sshTail(machines, file) : ["tail", "-n", "+1", "-f", file];
      const taken = await delays(words, { cwd: "/", env: environment, ready, lines });
      await written.exited;
      return taken;
    },
    [Symbol.asyncDispose]: () => machines[Symbol.asyncDispose](),
  };
}

function sshTail(machines: TestMachines, file: string): string[] {
  const { client, port, address } = machines.at(0);
  return ["ssh", "-F", client.configFile, "-p", String(port), address, `exec tail -n +1 -f '${file}'`];
}

interface Reading {
  readonly cwd: string;
  readonly env: Record<string, string>;
  /** Made when the first line, `begun`, has come. */
  readonly ready: string;
  readonly lines: number;
}

/** p50 and p99, ms */
async function delays(words: readonly string[], { cwd, env, ready, lines }: Reading): Promise<readonly [number, number]> {
  const child = Bun.spawn([...words], { cwd, env, stdio: ["ignore", "pipe", "inherit"] });
  const taken: number[] = [];
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    const now = performance.timeOrigin + performance.now();
    const whole = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = whole.pop() ?? "";
    for (const line of whole) {
      if (line === "begun") await Bun.write(ready, "");
      else taken.push(now - Number(line) / 1e6);
    }
    if (taken.length >= lines) break;
  }
  child.kill();
  await child.exited;
  taken.sort((left, right) => left - right);
  return [quantile(taken, 0.5), quantile(taken, 0.99)];
}
