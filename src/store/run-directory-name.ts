/** How run directories are named, on this host and on machines: the server makes them, `check` reads them. */

/** `<jid>.<command>.<runId>`: `command` is the index of the command in the job, `runId` is random, from [0-9a-z]. */
export interface RunDirectoryName {
  readonly jid: number;
  readonly command: number;
  readonly runId: string;
}

export function runDirectoryName(run: RunDirectoryName): string {
  return `${run.jid}.${run.command}.${run.runId}`;
}

/** null when the name is not one of ours. */
export function parseRunDirectoryName(name: string): RunDirectoryName | null {
  const match = /^(0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,8})\.([0-9a-z]+)$/.exec(name);
  if (match === null) return null;
  return { jid: Number(match[1]), command: Number(match[2]), runId: match[3] ?? "" };
}

/** Of a directory that is kept empty for a run to come. @param life eight hexadecimal digits, of the process that keeps it */
export function spareDirectoryName(life: string, number: number): string {
  return `spare.${life}.${number}`;
}

/** The life of the process that keeps it; null when the name is not that of a spare directory. */
export function lifeOfSpare(name: string): string | null {
  return /^spare\.([0-9a-f]{8})\.[0-9]+$/.exec(name)?.[1] ?? null;
}
