/**
 * The supervisor of runs: one constant POSIX `sh` text, the same on this host and on a machine reached over SSH. It
 * claims a run, says who it is, runs the job in the foreground and leaves the job's exit code. This file is the
 * specification of what it reads, writes and answers.
 *
 * It must not interpolate anything, use programs beside the shell's own words (the one exception is
 * `sleep`, while the disk is full), or print to the job's files.
 *
 * It is the leader of a session, with standard error on /dev/null, in one of two ways (docs/adr/0007-standing-supervisors.md):
 *
 *   for one run         /bin/sh -c SUPERVISOR expjob RUNDIR WORKDIR STDOUT STDERR MODE [words...]
 *   for one after the other (standing)   /bin/sh -s expjob RUNROOT
 *                       reads SUPERVISOR_FUNCTIONS and then requests (supervisorRequest) from its standard input, and
 *                       is gone when that ends, after the run that it has then.
 *
 * - All paths are absolute; RUNDIR exists. MODE is `shell` (the command text is in EXPJOB_COMMAND) or
 *   `words` (the words are executed as they are; word 0 is an absolute path).
 * - EXPJOB_COMMAND reaches the job's shell through the environment, so that it is in no argument list
 *   and in no file, and is unset before the first word of it runs. The job's shell is a fresh one: its
 *   `$$` is its own, and it has no variable, function, option or positional parameter of ours. A plain command, one of
 *   literal words in which the shell has nothing to do but to find a program, is executed without a shell.
 * - EXPJOB_SUPERVISOR_UMASK, EXPJOB_SUPERVISOR_OPEN_FILES and EXPJOB_SUPERVISOR_CORE_DUMPS are optional: the
 *   umask (octal) and the soft limits of open files and of core dumps (as ulimit takes it) of the job. All EXPJOB_SUPERVISOR_* names are ours and are unset.
 * - Standard output may be a pipe to whoever started it. It gets the lines below; the job has none of it, so that nothing
 *   of the job depends on the starter, who may be dead. A supervisor of one run says one line and closes it before the job runs.
 * - While it has a run, its working directory is RUNDIR; before and after, `/`. That tells which of its runs it has.
 *
 * RUNDIR has one file, `run`, to which lines are appended, each with a newline before it, so that what a full disk cut short
 * harms no other. NAME is the last name of RUNDIR: a line without it is another run's, which can be seen after a power cut
 * of a directory that was used before. **The first complete line that names the run tells who has it**; who has appended one reads whether it
 * was the first, and goes on only then. (The system appends one whole line after the other.)
 *
 *   begin <pid> <start time, field 22 of /proc/PID/stat> <boot id> NAME end
 *            a supervisor has it; appended before the job begins. Without this line the job was never begun.
 *   refused workdir|log|proc NAME end
 *            a supervisor had it, and could not begin the job
 *   withdrawn NAME end
 *            the recovery has it (run-directory.ts): nobody began it or ever will
 *   exit <0..255> NAME end
 *            after `begin`: the job's exit code (128+n: signal n). The last such line counts, whoever came too late behind it.
 *
 * Lines on standard output; a standing one has the request's tag and a blank before each:
 *
 *   started <pid> <start time> <boot id>
 *   claimed                  another supervisor or the recovery has the run; nothing was touched but, in a race, the logs opened
 *   refused workdir          WORKDIR cannot be entered
 *   refused log              STDOUT or STDERR cannot be opened
 *   refused proc             /proc does not tell who we are
 *   refused directory        RUNDIR cannot be entered or written; the job was not begun
 *   ended <0..255> <1|0>     standing only, after `started`: the exit is written; 1: a log holds something
 *
 * The exit code of a supervisor of one run is a SupervisorExit. A standing one ends only with its input, or when it can
 * leave no exit code: what it then has said is all there is.
 */

import { quote } from "shlex";
import type { CallerLimits, Program } from "./runner.ts";

/** The supervisor's own exit code. The job's is in the run file. */
export const SupervisorExit = {
  /** The job's exit code is written. */
  ended: 0,
  /** Somebody else has the run. */
  alreadyClaimed: 65,
  /** The job was never begun. */
  refused: 66,
} as const;

export const SUPERVISOR_NAME = "expjob";

/*
 * Why so: descriptors 3 and 4 are opened around the whole body, so that an unopenable log is told apart from a
 * job that fails. Caught signals (not ignored ones) are back at their defaults in the job; PIPE is caught
 * because the starter may be dead. The job is never put in the background: `&` would ignore INT. A subshell,
 * because the supervisor's own standard error must stay where the shell's "Killed" does no harm; a fresh
 * shell within it, because in a subshell `$$` would be the supervisor and `kill -9 $$` would lose the run.
 * A plain command cannot know the difference, and a program that is not there is the fresh shell's to report.
 */
export const SUPERVISOR_FUNCTIONS = `trap : HUP INT QUIT USR1 USR2 ALRM TERM PIPE
EXPJOB_SUPERVISOR_OWN_UMASK=$(umask)
umask 077
cd /
expjob_environment() { :; }
expjob_identify() { EXPJOB_SUPERVISOR_IDENTITY="$$ \${20} $EXPJOB_SUPERVISOR_BOOT"; }
read -r EXPJOB_SUPERVISOR_STAT </proc/$$/stat
read -r EXPJOB_SUPERVISOR_BOOT </proc/sys/kernel/random/boot_id
expjob_identify \${EXPJOB_SUPERVISOR_STAT##*') '}
expjob_append() { echo "
$1 $EXPJOB_SUPERVISOR_RUN end" >>run; }
expjob_claim() {
  while read -r EXPJOB_SUPERVISOR_CLAIM; do
    case $EXPJOB_SUPERVISOR_CLAIM in *" $EXPJOB_SUPERVISOR_RUN end") return 0 ;; esac
  done <run
  return 1
}
expjob_say() { echo "$EXPJOB_SUPERVISOR_TAG$1"; }
expjob_leave() {
  expjob_say "$1"
  cd /
  return "$2"
}
expjob_refuse() {
  expjob_append "refused $1" && expjob_claim || EXPJOB_SUPERVISOR_CLAIM=
  case $EXPJOB_SUPERVISOR_CLAIM in "refused "* | '') expjob_leave "refused $1" 66 ;; *) expjob_leave claimed 65 ;; esac
}
expjob_job() {
  umask "$EXPJOB_SUPERVISOR_UMASK"
  case $EXPJOB_SUPERVISOR_OPEN_FILES in ?*) ulimit -Sn "$EXPJOB_SUPERVISOR_OPEN_FILES" ;; esac
  case $EXPJOB_SUPERVISOR_CORE_DUMPS in ?*) ulimit -Sc "$EXPJOB_SUPERVISOR_CORE_DUMPS" ;; esac
  cd "$2"
  unset OLDPWD EXPJOB_SUPERVISOR_UMASK EXPJOB_SUPERVISOR_OPEN_FILES EXPJOB_SUPERVISOR_CORE_DUMPS EXPJOB_SUPERVISOR_REFUSED \\
    EXPJOB_SUPERVISOR_STAT EXPJOB_SUPERVISOR_BOOT EXPJOB_SUPERVISOR_IDENTITY EXPJOB_SUPERVISOR_TAG EXPJOB_SUPERVISOR_OWN_UMASK \\
    EXPJOB_SUPERVISOR_RUN EXPJOB_SUPERVISOR_CLAIM EXPJOB_SUPERVISOR_STATUS
  expjob_environment
  case $5 in
    words) shift 5; exec "$@" ;;
    shell) case $EXPJOB_COMMAND in *[!A-Za-z0-9_./:=,@%+\\ -]* | *' ' | *'  '*) ;; [A-Za-z0-9_./]*) expjob_plain ;; esac ;;
  esac
  exec /bin/sh -c 'eval "unset EXPJOB_COMMAND; $EXPJOB_COMMAND"' sh
}
expjob_plain() {
  set -f
  set -- $EXPJOB_COMMAND
  case $1 in
    true | false | echo | printf | test) "$@"; exit ;;
    *=* | . | alias | bg | bind | break | builtin | caller | case | cd | chdir | command | compgen | complete | compopt | continue | \\
      coproc | declare | dirs | disown | do | done | elif | else | enable | esac | eval | exec | exit | export | fc | fg | fi | for | \\
      function | getopts | hash | help | history | if | in | jobs | kill | let | local | logout | mapfile | popd | pushd | pwd | read | \\
      readarray | readonly | return | select | set | shift | shopt | source | suspend | then | time | times | trap | type | typeset | \\
      ulimit | umask | unalias | unset | until | wait | while) return ;;
  esac
  command -v "$1" >/dev/null || return
  unset EXPJOB_COMMAND
  exec "$@"
}
expjob_supervise() {
  EXPJOB_SUPERVISOR_REFUSED=
  cd "$2" || EXPJOB_SUPERVISOR_REFUSED=workdir
  cd "$1" || { expjob_leave "refused directory" 66; return; }
  EXPJOB_SUPERVISOR_RUN=\${1##*/}
  if [ -L run ] || { [ -e run ] && ! [ -f run ]; }; then expjob_leave "refused directory" 66; return; fi
  if [ -s run ] && expjob_claim; then expjob_leave claimed 65; return; fi
  case $EXPJOB_SUPERVISOR_REFUSED in ?*) expjob_refuse workdir; return ;; esac
  case $EXPJOB_SUPERVISOR_IDENTITY in *' '[0-9]*' '?*) ;; *) expjob_refuse proc; return ;; esac
  umask "$EXPJOB_SUPERVISOR_UMASK"
  {
    umask 077
    expjob_append "begin $EXPJOB_SUPERVISOR_IDENTITY" && expjob_claim || { expjob_leave "refused directory" 66; return; }
    [ "$EXPJOB_SUPERVISOR_CLAIM" = "begin $EXPJOB_SUPERVISOR_IDENTITY $EXPJOB_SUPERVISOR_RUN end" ] || { expjob_leave claimed 65; return; }
    expjob_say "started $EXPJOB_SUPERVISOR_IDENTITY"
    case $EXPJOB_SUPERVISOR_TAG in '') exec >/dev/null ;; esac
    ( expjob_job "$@" ) </dev/null >&3 2>&4 3>&- 4>&-
    EXPJOB_SUPERVISOR_STATUS=$?
    while { [ -f run ] && ! [ -L run ]; } || exit 66; do
      expjob_append "exit $EXPJOB_SUPERVISOR_STATUS" && break
      command -p sleep 1
    done
    cd /
    case $EXPJOB_SUPERVISOR_TAG in ?*)
      if [ -s "$3" ] || [ -s "$4" ]; then EXPJOB_SUPERVISOR_STATUS="$EXPJOB_SUPERVISOR_STATUS 1"; else EXPJOB_SUPERVISOR_STATUS="$EXPJOB_SUPERVISOR_STATUS 0"; fi
      expjob_say "ended $EXPJOB_SUPERVISOR_STATUS" ;;
    esac
    return 0
  } 3>>"$3" 4>>"$4"
  umask 077
  expjob_refuse log
}
`;

export const SUPERVISOR = `${SUPERVISOR_FUNCTIONS}EXPJOB_SUPERVISOR_TAG=
EXPJOB_SUPERVISOR_UMASK=\${EXPJOB_SUPERVISOR_UMASK:-$EXPJOB_SUPERVISOR_OWN_UMASK}
expjob_supervise "$@"
`;

/** What varies of one start of the supervisor. */
export interface SupervisorStart {
  readonly runDirectory: string;
  readonly workDirectory: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly program: Program;
}

/** The words after `/bin/sh` of a supervisor for one run. No word holds the command text of a shell program. */
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
    environment.EXPJOB_SUPERVISOR_UMASK = umaskText(caller);
    if (caller.openFilesSoft !== null) environment.EXPJOB_SUPERVISOR_OPEN_FILES = String(caller.openFilesSoft);
    if (caller.coreDumpsSoft !== undefined) environment.EXPJOB_SUPERVISOR_CORE_DUMPS = caller.coreDumpsSoft;
  }
  return environment;
}

/** The words after `/bin/sh` of a standing supervisor. */
export function standingArguments(root: string): string[] {
  return ["-s", SUPERVISOR_NAME, root];
}

/** One run for a standing supervisor. */
export interface SupervisorRequest extends SupervisorStart {
  /** Of [0-9a-z]; its lines begin with it. */
  readonly tag: string;
  /** Of the job, beside what the supervisor itself was started with: names that a shell takes. */
  readonly environment: Readonly<Record<string, string>>;
  readonly caller: CallerLimits | null;
}

/**
 * The text that a standing supervisor is given. It is one braced command: of a part of it, when the writer died, nothing is
 * done. All that varies is quoted.
 */
export function supervisorRequest(request: SupervisorRequest): string {
  const { program, caller, environment, tag } = request;
  const job = program.kind === "shell" ? { ...environment, EXPJOB_COMMAND: program.text } : environment;
  const exports = Object.entries(job).map(([name, value]) => ` ${name}=${quote(value)}`);
  const words = program.kind === "words" ? program.words : [];
  const start = [request.runDirectory, request.workDirectory, request.stdout, request.stderr, program.kind, ...words];
  const limits = [
    `EXPJOB_SUPERVISOR_UMASK=${caller === null ? "$EXPJOB_SUPERVISOR_OWN_UMASK" : umaskText(caller)}`,
    `EXPJOB_SUPERVISOR_OPEN_FILES=${caller?.openFilesSoft ?? ""}`,
    `EXPJOB_SUPERVISOR_CORE_DUMPS=${quote(caller?.coreDumpsSoft ?? "")}`,
  ].join(" ");
  const environmentBody = exports.length === 0 ? ":" : `export${exports.join("")}`;
  return `{ ${limits} EXPJOB_SUPERVISOR_TAG='${tag} '; expjob_environment() { ${environmentBody}; }; expjob_supervise ${start.map(quote).join(" ")}; }\n`;
}

function umaskText({ umask }: CallerLimits): string {
  return umask.toString(8).padStart(4, "0");
}
