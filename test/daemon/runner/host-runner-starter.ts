/** A program that starts the runs on its standard input (one JSON a line) and stays: a daemon to be killed. */
import type { HostRunsOptions } from "../../../src/daemon/runner/host-runs.ts";
import type { RunRequest } from "../../../src/daemon/runner/runner.ts";
import { createHostRunner, type HostRunnerKind } from "./host-runner-harness.ts";

const [kind, options] = process.argv.slice(2);
const parsed: Omit<HostRunsOptions, "warn"> = JSON.parse(options ?? "");
const runner = createHostRunner(kind as HostRunnerKind, { ...parsed, warn: console.error });
const requests: RunRequest[] = (await Bun.stdin.text()).split("\n").map((line) => JSON.parse(line));
for (const request of requests) console.log((await runner.start(request)).kind);
await Promise.withResolvers().promise;
