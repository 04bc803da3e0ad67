import { LocalMachineShell } from "../../src/daemon/local-shell.ts";
import { machineShellContract } from "../contract/machine-shell.ts";

machineShellContract("this host", async () => ({ shell: new LocalMachineShell("local"), close: () => Promise.resolve() }));
