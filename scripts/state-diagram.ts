/**
 * Writes docs/job-states.md from the table of transitions, so that the page cannot say anything else than
 * the code. `bun scripts/state-diagram.ts` after a change of src/core/transitions.ts; a test compares.
 */
import { join, resolve } from "node:path";
import type { JobStateKind } from "../src/core/job.ts";
import { type JobEventKind, stateDiagram, TRANSITIONS } from "../src/core/transitions.ts";

export const jobStatesPath = join(resolve(import.meta.dir, ".."), "docs/job-states.md");

const states: Readonly<Record<JobStateKind, string>> = {
  waiting: "In the queue. With a back-off it is not handed out before a certain time.",
  held: "Kept from starting until it is let go.",
  starting: "Given to a machine, and that is on disk; whether it has started is not known yet. Shown as running.",
  running: "Seen to run.",
  copying: "Exited with 0 and named results; the machine stays busy until they are here.",
  unknown: "Proven neither alive nor ended. The machine is free only if nothing of it runs any more.",
  done: "Exited with 0, and the results that it was to give are here.",
  failed: "Another exit code, a signal, the timeout, or results that could not be copied.",
  canceled: "Ended because a person wanted it.",
};

const events: Readonly<Record<JobEventKind, string>> = {
  "job-held": "A person holds the job.",
  "job-unheld": "A person lets it go.",
  "job-due": "The back-off is over.",
  "job-starting": "The scheduler gives it to a machine, under a new run id.",
  "job-host-known": "Its machine answered; which boot of it is written down before anything is sent.",
  "job-started": "The runner saw it start.",
  "job-not-started": "It is proven that this run never started; the job goes back to the queue.",
  "job-stop-requested": "A person, the timeout or the removal of the machine asks for its end; the end itself is waited for.",
  "job-advanced": "A command of a setup job exited with 0; the next one is started on the same machine.",
  "job-timeout-set": "A person sets another timeout.",
  "job-tagged": "A person puts it into a tag, or out of it.",
  "job-copying": "It exited with 0 and named results that are to be copied.",
  "job-done": "It ended well: exited with 0, and the copy, if one was to be made, is complete.",
  "job-failed":
    "It ended badly. The same record holds whether that counts against the machine, and the retry, which is a new job that is waiting.",
  "job-canceled": "It is over because that was asked for: before it started, by an end that was observed, or because a person insisted.",
  "job-lost": "It cannot be proven alive or ended; or, when unknown already, nothing of it runs any more.",
  "job-found": "It is alive after all, or its end was found.",
  "job-forgotten": "A person wants no record of it.",
  "job-results-changed": "Its results were fetched, or moved, after it had ended.",
  "job-logs-moved": "Logs of an ended job are elsewhere now.",
};

/** The page as it should be. */
export function jobStatesPage(): string {
  return `# The states of a job

Made from the table in \`src/core/transitions.ts\` by \`scripts/state-diagram.ts\`; a test fails when this page is out of date.
An event that is not drawn at a state is refused by \`apply\`. Its name is the one in the journal.

\`\`\`mermaid
${stateDiagram().trimEnd()}
\`\`\`

${table([["State", "What it means"], ...Object.entries(states).map(([name, meaning]) => [code(name), meaning])])}

${table([["Event", "What happened", "At"], ...Object.entries(events).map(([name, meaning]) => [code(name), meaning, transitionsOf(name)])])}
`;
}

function code(name: string): string {
  return `\`${name}\``;
}

/** With columns of even width, as the formatter of the repository wants them. */
function table([header = [], ...rows]: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** The states at which an event is legal. */
function transitionsOf(event: string): string {
  return Object.entries(TRANSITIONS)
    .filter(([, targets]) => event in targets)
    .map(([from]) => from)
    .join(", ");
}

if (import.meta.main) {
  await Bun.write(jobStatesPath, jobStatesPage());
  console.log(`wrote ${jobStatesPath}`);
}
