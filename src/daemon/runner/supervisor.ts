/**
 * The supervisor of a run: one constant POSIX `sh` text, the same on this host and on a machine
 * reached over SSH. It claims the run, says who it is, runs the job in the foreground and leaves the
 * job's exit code. This file is the specification of what it reads, writes and answers.
 *
 * It must not interpolate anything, use programs beside the shell's own words (the one exception is
 * `sleep`, while the disk is full), or print to the job's files.
 *
 * How it is started, as the leader of a new session, with standard input and error on /dev/null:
 *
 *   /bin/sh -c SUPERVISOR expjob RUNDIR WORKDIR STDOUT STDERR MODE [words...]
 *
 * - All paths are absolute; RUNDIR exists. MODE is `shell` (the command text is in EXPJOB_COMMAND) or
 *   `words` (the words are executed as they are; word 0 is an absolute path).
 * - EXPJOB_COMMAND reaches the job's shell through the environment, so that it is in no argument list
 *   and in no file, and is unset before the first word of it runs. The job's shell is a fresh one: its
 *   `$$` is its own, and it has no variable, function, option or positional parameter of ours.
 * - EXPJOB_SUPERVISOR_UMASK, EXPJOB_SUPERVISOR_OPEN_FILES and EXPJOB_SUPERVISOR_CORE_DUMPS are optional: the
 *   umask (octal) and the soft limits of open files and of core dumps (as ulimit takes it) of the job. All EXPJOB_SUPERVISOR_* names are ours and are unset.
 * - Standard output may be a pipe to whoever started it. It gets at most one line (below) and is closed
 *   before the job runs, so that nothing of the job depends on the starter. The starter may be dead.
 *
 * Files in RUNDIR, all written once and complete only with their closing word:
 *
 *   claim    empty, created exclusively: at most one supervisor runs this run
 *   pid      `<pid> <start time, field 22 of /proc/PID/stat> <boot id> end`, created exclusively, before
 *            the job begins. Without a complete line the job was never begun.
 *   status   `<0..255> end`: the job's exit code (128+n: signal n), or
 *            `refused workdir end`, `refused log end`, `refused proc end`: claimed, but never begun
 *
 * Recovery withdraws a run that nobody began by creating `claim`, or when that exists `pid`, itself
 * (run-directory.ts).
 *
 * Lines on standard output, and the supervisor's own exit code, see SupervisorExit:
 *
 *   started <pid> <start time> <boot id>
 *   claimed                  another supervisor or the recovery has the claim; nothing was touched
 *   refused workdir          WORKDIR cannot be entered
 *   refused log              STDOUT or STDERR cannot be opened
 *   refused proc             /proc does not tell who we are
 *   refused pid              the pid file cannot be written (no space, or withdrawn)
 *   refused directory        RUNDIR cannot be entered or written; nothing was claimed
 */

import type { CallerLimits, Program } from "./runner.ts";

/** The supervisor's own exit code. The job's is in the status file. */
export const SupervisorExit = {
  /** The status file is written. */
  ended: 0,
  /** Somebody else has the claim. Nothing was touched. */
  alreadyClaimed: 65,
  /** The job was never begun. */
  refused: 66,
} as const;

export const SUPERVISOR_NAME = "expjob";

/*
 * Why so: `true` carries redirections because a failing one on the special builtin `:` ends the shell.
 * Descriptors 3 and 4 are opened around the whole body, so that an unopenable log is told apart from a
 * job that fails. Caught signals (not ignored ones) are back at their defaults in the job; PIPE is caught
 * because the starter may be dead. The job is never put in the background: `&` would ignore INT. A subshell,
 * because the supervisor's own standard error must stay where the shell's "Killed" does no harm; a fresh
 * shell within it, because in a subshell `$$` would be the supervisor and `kill -9 $$` would lose the run.
 */
export const SUPERVISOR = `trap : HUP INT QUIT USR1 USR2 ALRM TERM PIPE
EXPJOB_SUPERVISOR_UMASK=\${EXPJOB_SUPERVISOR_UMASK:-$(umask)}
umask 077
if cd "$2"; then EXPJOB_SUPERVISOR_REFUSED=; else EXPJOB_SUPERVISOR_REFUSED=workdir; fi
cd "$1" || { echo refused directory; exit 66; }
set -C
if { true; } >claim; then :
elif [ -e claim ]; then echo claimed; exit 65
else echo refused directory; exit 66
fi
expjob_refuse() {
  echo "refused $1"
  echo "refused $1 end" >status
  exit 66
}
case $EXPJOB_SUPERVISOR_REFUSED in ?*) expjob_refuse workdir ;; esac
read -r EXPJOB_SUPERVISOR_STAT </proc/$$/stat
read -r EXPJOB_SUPERVISOR_BOOT </proc/sys/kernel/random/boot_id
expjob_identify() { EXPJOB_SUPERVISOR_IDENTITY="$$ \${20} $EXPJOB_SUPERVISOR_BOOT"; }
expjob_identify \${EXPJOB_SUPERVISOR_STAT##*') '}
case $EXPJOB_SUPERVISOR_IDENTITY in *' '[0-9]*' '?*) ;; *) expjob_refuse proc ;; esac
umask "$EXPJOB_SUPERVISOR_UMASK"
{
  umask 077
  echo "$EXPJOB_SUPERVISOR_IDENTITY end" >pid || { echo refused pid; exit 66; }
  echo "started $EXPJOB_SUPERVISOR_IDENTITY"
  exec >/dev/null
  set +C
  (
    umask "$EXPJOB_SUPERVISOR_UMASK"
    case $EXPJOB_SUPERVISOR_OPEN_FILES in ?*) ulimit -Sn "$EXPJOB_SUPERVISOR_OPEN_FILES" ;; esac
    case $EXPJOB_SUPERVISOR_CORE_DUMPS in ?*) ulimit -Sc "$EXPJOB_SUPERVISOR_CORE_DUMPS" ;; esac
    cd "$2"
    unset OLDPWD EXPJOB_SUPERVISOR_UMASK EXPJOB_SUPERVISOR_OPEN_FILES EXPJOB_SUPERVISOR_CORE_DUMPS EXPJOB_SUPERVISOR_REFUSED \\
      EXPJOB_SUPERVISOR_STAT EXPJOB_SUPERVISOR_BOOT EXPJOB_SUPERVISOR_IDENTITY
    case $5 in
      shell) exec /bin/sh -c 'eval "unset EXPJOB_COMMAND; $EXPJOB_COMMAND"' sh </dev/null >&3 2>&4 3>&- 4>&- ;;
      words) shift 5; exec "$@" </dev/null >&3 2>&4 3>&- 4>&- ;;
    esac
    exit 126
  )
  EXPJOB_SUPERVISOR_STATUS=$?
  if [ -L status ] || { [ -e status ] && ! [ -f status ]; }; then exit 66; fi
  until echo "$EXPJOB_SUPERVISOR_STATUS end" >status; do
    [ -e claim ] || exit 66
    command -p sleep 1
  done
  exit 0
} 3>>"$3" 4>>"$4"
expjob_refuse log
`;

/** What varies of one start of the supervisor. */
export interface SupervisorStart {
  readonly runDirectory: string;
  readonly workDirectory: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly program: Program;
}

/** The words after `/bin/sh`. No word holds the command text of a shell program. */
export function supervisorArguments(start: SupervisorStart): string[] {
  const { runDirectory, workDirectory, stdout, stderr, program } = start;
  const words = program.kind === "words" ? program.words : [];
  return ["-c", SUPERVISOR, SUPERVISOR_NAME, runDirectory, workDirectory, stdout, stderr, program.kind, ...words];
}

/** What the supervisor is given through its environment beside what the job gets. */
export function supervisorEnvironment(program: Program, caller: CallerLimits | null): Record<string, string> {
  const environment: Record<string, string> = {};
  if (program.kind === "shell") environment.EXPJOB_COMMAND = program.text;
  if (caller !== null) {
    environment.EXPJOB_SUPERVISOR_UMASK = caller.umask.toString(8).padStart(4, "0");
    if (caller.openFilesSoft !== null) environment.EXPJOB_SUPERVISOR_OPEN_FILES = String(caller.openFilesSoft);
    if (caller.coreDumpsSoft !== undefined) environment.EXPJOB_SUPERVISOR_CORE_DUMPS = caller.coreDumpsSoft;
  }
  return environment;
}
