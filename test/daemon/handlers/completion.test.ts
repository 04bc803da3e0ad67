/** What a shell is given to offer: newest first, bounded, only what was asked for, and never a secret. */
import { describe, expect, test } from "bun:test";
import { COMPLETIONS_MAX } from "../../../src/protocol/methods/completion.ts";
import { Desk } from "./desk.ts";

const CANARY = "canary-51c0ffee";

describe("completion.list", () => {
  test("answers what was asked for, and nothing else", async () => {
    await using desk = await Desk.open();
    await desk.daemon.pool("x", "m1", "m2");
    await desk.add("true", { class: "waiting-room" });
    await desk.call("variable.set", { name: "SIZE", value: "4", secret: false });
    const classes = await desk.call("completion.list", { kinds: ["classes"] });
    expect(classes).toEqual({
      jobs: [],
      matrices: [],
      tags: [],
      machines: [],
      classes: [
        { name: "waiting-room", machines: 0 },
        { name: "x", machines: 2 },
      ],
      variables: [],
    });
    const { machines, variables } = await desk.call("completion.list", { kinds: ["machines", "variables"] });
    expect(machines.map(({ addr, class: className }) => [addr, className])).toEqual([
      ["m1", "x"],
      ["m2", "x"],
    ]);
    expect(variables).toEqual([{ name: "SIZE", secret: false }]);
  });

  test("shows the beginning of a command, its secrets masked", async () => {
    await using desk = await Desk.open();
    await desk.call("variable.set", { name: "KEY", value: CANARY, secret: true });
    await desk.add(`run {KEY} ${"x".repeat(100)}`, { class: "none" });
    const { jobs } = await desk.call("completion.list", { kinds: ["jobs"] });
    expect(jobs).toEqual([{ jid: 0, status: "waiting", command: `run ******** ${"x".repeat(47)}` }]);
    const { variables } = await desk.call("completion.list", { kinds: ["variables"] });
    expect(JSON.stringify([jobs, variables])).not.toContain(CANARY);
    expect(variables).toEqual([{ name: "KEY", secret: true }]);
  });

  test("has the newest jobs first, at most 200, and a matrix by its own id", async () => {
    await using desk = await Desk.open();
    await desk.add("old", { class: "none", count: 30 });
    const keys = [{ name: "N", values: Array.from({ length: 250 }, (_, index) => String(index)) }];
    const { id } = await desk.call("matrix.add", {
      class: "none",
      cmd: "run {N}",
      cp_results: null,
      keys,
      count: 1,
      retry: null,
      timeout: null,
      notify: false,
    });
    const { jobs, matrices } = await desk.call("completion.list", { kinds: ["jobs", "matrices"] });
    expect(jobs.map(({ jid }) => jid)).toEqual(Array.from({ length: COMPLETIONS_MAX }, (_, index) => 280 - index));
    expect(matrices).toEqual([{ id, class: "none", command: "run {N}" }]);
  });
});
