import { runnerBattery } from "../contract/runner.ts";
import { FakeHosts, FakeRunner } from "./runner.ts";

runnerBattery("fake", async () => {
  const hosts = new FakeHosts();
  return {
    runner: new FakeRunner(hosts),
    machine: "fake",
    executes: false,
    program: (text) => ({ kind: "shell", text }),
    reopen: async () => new FakeRunner(hosts),
    runDirectory: (run) => `/nonexistent/${run.runId}`,
    workDirectory: "/",
    environment: null,
    starterCommand: null,
    finish: (run, exitCode) => hosts.finish(run.runId, exitCode),
    close: () => Promise.resolve(),
  };
});
