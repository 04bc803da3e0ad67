/** Copies once in a process of its own, so that a test can kill it. Argument: the folder that crash.test.ts has made. */
import { join } from "node:path";
import { copyResults } from "../../../src/daemon/copier/copy-results.ts";
import { LocalMachineShell } from "../../../src/daemon/local-shell.ts";
import { crashOptions } from "./crash-scenario.ts";

const folder = process.argv[2] ?? "";
const outcome = await copyResults({ ...crashOptions(folder), shell: new LocalMachineShell("local") });
if (outcome.kind === "failed") throw new Error(JSON.stringify(outcome.problem));
await Bun.write(join(folder, "ended"), "");
