/** One agent a machine, opened when it is first needed and again after its channel died. */
import { problem } from "../../core/problem.ts";
import type { MachineShell } from "../machine-shell.ts";
import type { AgentIdentity } from "./agent-words.ts";
import { FollowerPlaces } from "./follower-places.ts";
import { MachineAgent } from "./machine-agent.ts";

export interface OpenAgent {
  readonly agent: MachineAgent;
  readonly identity: AgentIdentity;
}

export class MachineAgents {
  readonly #shell: (machine: string) => MachineShell;
  readonly #open = new Map<string, Promise<OpenAgent>>();
  readonly #places = new Map<string, FollowerPlaces>();

  constructor(shell: (machine: string) => MachineShell) {
    this.#shell = shell;
  }

  shell(machine: string): MachineShell {
    return this.#shell(machine);
  }

  /** Callers at the same time share one attempt. @throws {MachineShellError} */
  async agent(machine: string): Promise<OpenAgent> {
    const known = this.#open.get(machine);
    if (known !== undefined) {
      const open = await known;
      if (open.agent.dead === null) return open;
      if (this.#open.get(machine) === known) this.#open.delete(machine);
      return await this.agent(machine);
    }
    const opening = MachineAgent.open(this.#shell(machine));
    this.#open.set(machine, opening);
    try {
      return await opening;
    } catch (error) {
      if (this.#open.get(machine) === opening) this.#open.delete(machine);
      throw error;
    }
  }

  followerPlaces(machine: string): FollowerPlaces {
    const existing = this.#places.get(machine);
    if (existing !== undefined) return existing;
    const places = new FollowerPlaces();
    this.#places.set(machine, places);
    return places;
  }

  /** Ends the agents; runs go on. */
  close(): void {
    for (const [machine, opening] of this.#open) {
      const reason = problem("unreachable", { machine, message: "the connection was closed here" });
      opening.then(
        ({ agent }) => agent.close(reason),
        () => undefined,
      );
    }
    this.#open.clear();
  }
}
