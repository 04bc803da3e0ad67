/** The battery over a real sshd. Needs sshd. */
import { setDefaultTimeout } from "bun:test";
import { runnerBattery } from "../../contract/runner.ts";
import { openSshRunner } from "./ssh-runner-harness.ts";

setDefaultTimeout(120_000);

runnerBattery("ssh", () => openSshRunner());
