/** A program that starts the runs on its standard input (one JSON a line) over SSH and stays: a daemon to be killed. */
import type { RunRequest } from "../../../src/daemon/runner/runner.ts";
import { OwnSshRunner, type SshSide } from "./ssh-runner-harness.ts";

const side: SshSide = JSON.parse(process.argv[2] ?? "");
const runner = new OwnSshRunner(side);
const requests: RunRequest[] = (await Bun.stdin.text()).split("\n").map((line) => JSON.parse(line));
for (const request of requests) console.log((await runner.start(request)).kind);
await Promise.withResolvers().promise;
