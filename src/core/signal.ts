/** Names of signals on Linux, for exit codes of the form 128 + n. */
const NAMES = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT " +
  "CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split(" ");

/** `SIGKILL` for 137; null when the code is no signal's. */
export function signalName(exitCode: number): string | null {
  const name = NAMES[exitCode - 129];
  return name === undefined ? null : `SIG${name}`;
}
