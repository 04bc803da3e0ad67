/**
 * The agent: one constant POSIX `sh` text that stands on a machine for as long as its channel lives, starts runs
 * and reports their ends, because each command of its own costs a login shell. It keeps nothing: the run
 * directories are the truth, and a new agent finds the same runs there. Machines are Linux; beside the shell it
 * uses `setsid`, `mkdir`, `rm`, `stat`, `date`, `base64`, `tr` and `sleep` (GNU or busybox).
 *
 * All its variables begin with `expjob_`: an assignment to a name that the login exported would reach the jobs.
 * It interpolates nothing and must not write a command or a variable's value anywhere.
 *
 * First it reads the supervisor's text, as one value. A value is the number of its lines on one line, then
 * the lines. It then prints
 *   `ready <machine id> <boot id> <home, base64>`   or   `unusable <what is missing>`
 * and serves requests; each is a line `<verb> <tag>` followed by its values, the first of which is the run
 * directory (`probe`: the run root). Tags are ours: [0-9a-z]+. An answer is one line; answers come in any order.
 *
 *   start    `<bytes> <bytes>`, count, then count times a name and a value: exported to the supervisor. The first
 *            line, when not `0 0`, says what the logs on the server held before; it is kept as `base`.
 *            -> `begun <tag> <the supervisor's line or "refused directory"> |<the system's message>`,
 *               and, when that is `started …`, the end as with watch
 *   watch    -> when the supervisor is gone:
 *            `data <tag> out|err <base64…>` for each log that holds something, if both are small, then
 *            `end <tag> <bytes of out|-> <bytes of err|-> <1: small|0> |<exit line>`
 *   inspect  -> `state <tag> <now> <boot id> <supervisor alive: 1|0> <processes of its session, 0 while it is alive>
 *               <mtime of the directory|-> <mtime of its run file|-> |<first line>|<exit line>|<base line>`
 *   withdraw -> `withdrawn <tag> <word> |<the system's message>`; the word is `yes`: nobody began it or ever will,
 *            `no`: a supervisor has it, `gone`: one has it, but its directory is no more, `damaged`: its file is none of ours,
 *            `failed`: the directory cannot be written
 *   signal   TERM|KILL|0 -> `signaled <tag> <processes>`; `0` only counts them
 *   release  -> `released <tag> yes|no`
 *   probe    -> `probed <tag> ok|unwritable |<the system's message>`
 *
 * The first line is that of the run file that names the run, the exit line the last that does and is an exit; both are empty when that
 * is no plain file, or too long to be one of ours. The base line comes only when its file is exactly that line.
 * At the end of its input it ends what it forked; supervisors are in sessions of their own and go on.
 */

import { RUN_FILE_BYTES_MAX } from "./run-directory.ts";

/** Logs up to this size, bytes, come with the end of the run. In base64 with its tag, a line stays below PIPE_BUF, so no other cuts it. */
export const INLINE_LOG_BYTES_MAX = 2_880;

/*
 * What runs beside the main loop is forked by expjob_fork and not by '&', which would leave INT and QUIT ignored in
 * the jobs for good: a subshell forks it and is killed by it, so that the main loop waits for nobody. `read` is of no
 * use for bytes (it drops NUL), but the words of /proc/PID/cmdline can be told apart without them.
 */
export const AGENT_SCRIPT = `
set -f
trap : PIPE
expjob_read() {
  IFS= read -r expjob_lines || exit 0
  IFS= read -r expjob_value || exit 0
  expjob_part=
  while [ "$expjob_lines" -gt 1 ]; do
    IFS= read -r expjob_line || exit 0
    expjob_part="$expjob_part
$expjob_line"
    expjob_lines=$((expjob_lines - 1))
    case $expjob_lines in *00) expjob_value=$expjob_value$expjob_part expjob_part= ;; esac
  done
  expjob_value=$expjob_value$expjob_part
}
expjob_fork() {
  IFS=' ' read -r expjob_self expjob_rest </proc/self/stat
  ( kill -s KILL "$expjob_self"; "$1" ) </dev/null
  :
}
# The file's content, when that is exactly one line.
expjob_line_of() {
  expjob_line= expjob_more=
  [ -s "$1" ] || return 0
  { IFS= read -r expjob_line || expjob_line=; IFS= read -r expjob_more && expjob_line=; } <"$1"
  case $expjob_more in ?*) expjob_line= ;; esac
}
expjob_mtime_of() { expjob_mtime=$(stat -c %Y "$1") || expjob_mtime=-; }
expjob_stat_fields() { expjob_state=$1 expjob_session=$4 expjob_began=\${20}; }
# The name in the brackets may hold line breaks.
expjob_stat_of() {
  expjob_text=
  { while IFS= read -r expjob_piece; do expjob_text="$expjob_text $expjob_piece"; done <"/proc/$1/stat"; } 2>/dev/null
  [ -n "$expjob_text" ] || return 1
  expjob_stat_fields \${expjob_text##*') '}
}
# The first line of the run file that names the run, and the last of those that are an exit. false: it is none of ours.
expjob_read_run() {
  expjob_first= expjob_exit= expjob_name=\${expjob_directory##*/}
  if [ -L "$expjob_directory/run" ]; then return 1; fi
  [ -e "$expjob_directory/run" ] || return 0
  [ -f "$expjob_directory/run" ] || return 1
  # Byte by byte as some shells read, a long one would hold up all runs.
  [ "$(stat -c %s "$expjob_directory/run")" -le ${RUN_FILE_BYTES_MAX} ] || return 1
  while IFS= read -r expjob_line; do
    case $expjob_line in *" $expjob_name end") expjob_first=\${expjob_first:-$expjob_line} ;; *) continue ;; esac
    case $expjob_line in "exit "*) expjob_exit=$expjob_line ;; esac
  done <"$expjob_directory/run"
}
expjob_begin_fields() {
  expjob_pid=$2 expjob_start=$3 expjob_boot=$4
  [ "$#" = 6 ] && [ "$1" = begin ] || return 1
  case $2$3 in *[!0-9]*) return 1 ;; esac
}
# Who has the pid of the run's supervisor: itself (same), another process (other), nobody (gone)? false: no run of this boot.
expjob_identify() {
  expjob_alive=0 expjob_leader=none
  expjob_read_run
  expjob_begin_fields $expjob_first && [ "$expjob_boot" = "$expjob_boot_now" ] || return 1
  expjob_leader=gone
  expjob_stat_of "$expjob_pid" || return 0
  expjob_leader=other
  [ "$expjob_began" = "$expjob_start" ] || return 0
  expjob_leader=same
  case $expjob_state in [ZX]) ;; *) expjob_alive=1 ;; esac
}
# Pids of processes in whose file $1 the pattern $3 is found, as grep's option $2 says; of all, when it cannot be asked. A machine
# may have thousands, and the shell reads byte by byte: grep looks first, and what it lets pass is looked at here.
expjob_candidates() {
  set +f
  case $expjob_greps in *"/proc/$$/$1"*) expjob_pids=$(LC_ALL=C grep -ls "$2" "$3" /proc/[0-9]*/"$1") ;; *) (exit 127) ;; esac
  # 1: in none of them, 2: one has ended meanwhile.
  case $? in [012]) ;; *) expjob_pids=$(echo /proc/[0-9]*) ;; esac
  set -f
}
# Calls $1 with each live process of the supervisor's session.
expjob_each_member() {
  expjob_candidates stat -e ") [A-Za-z] [0-9]* [0-9]* $expjob_pid "
  for expjob_entry in $expjob_pids; do
    expjob_entry=\${expjob_entry#/proc/} expjob_entry=\${expjob_entry%%/*}
    expjob_stat_of "$expjob_entry" || continue
    [ "$expjob_session" = "$expjob_pid" ] || continue
    case $expjob_state in [ZX]) continue ;; esac
    "$1" "$expjob_entry"
  done
}
expjob_count_member() { expjob_count=$((expjob_count + 1)); }
# Does the process run the supervisor's text? Not so, once it has become the job's program.
expjob_is_supervisor() {
  { IFS= read -r expjob_text <"/proc/$1/cmdline"; } 2>/dev/null
  case $expjob_text in *"-c$expjob_supervisor_head") ;; *) return 1 ;; esac
}
# When the leader is gone, a later session could have had its number: start time and environment tell.
expjob_is_ours() {
  [ "$expjob_leader" = same ] && return
  [ "$expjob_began" -ge "$expjob_start" ] || return 1
  case "
$(tr '\\000' '\\n' <"/proc/$1/environ")
" in *"
EXPJOB_JID=$expjob_jid
"*) ;; *) return 1 ;; esac
}
expjob_signal_member() {
  [ "$1" = "$expjob_pid" ] && return
  case $expjob_signaled in *" $1 "*) return ;; esac
  expjob_is_ours "$1" || return
  # Until the supervisor's child has become the job's program, a signal that can be caught would be lost in it.
  if [ "$expjob_signal" = TERM ] && expjob_is_supervisor "$1"; then expjob_look=early; return; fi
  expjob_signaled="$expjob_signaled$1 "
  expjob_count=$((expjob_count + 1))
  kill "-$expjob_signal" "$1" && expjob_look=found
}
# Whole seconds since the machine's boot.
expjob_uptime() { IFS=. read -r expjob_seconds expjob_rest </proc/uptime || expjob_seconds=0; }
# Processes may fork while we look, and a run that has just begun may have none yet: looks again until none is new. A job that
# goes on forking gets no more than a second or two of TERM; it may take KILL longer than that to look twice.
expjob_stop() {
  expjob_count=0 expjob_signaled=' ' expjob_looks=0
  expjob_jid=\${expjob_directory##*/} expjob_jid=\${expjob_jid%%.*}
  expjob_uptime
  expjob_until=$((expjob_seconds + 2))
  while [ "$expjob_looks" -lt 50 ]; do
    expjob_identify || break
    [ "$expjob_leader" = other ] && break
    expjob_look=done
    expjob_each_member expjob_signal_member
    [ "$expjob_count" = 0 ] && [ "$expjob_alive" = 1 ] && expjob_look=early
    expjob_looks=$((expjob_looks + 1))
    expjob_uptime
    case $expjob_look$expjob_signal in
      done*) break ;;
      early*) sleep 0.02 ;;
      foundKILL) [ "$expjob_seconds" -lt "$expjob_until" ] || [ "$expjob_looks" -lt 5 ] || break ;;
      *) [ "$expjob_seconds" -lt "$expjob_until" ] || break ;;
    esac
  done
  echo "signaled $expjob_tag $expjob_count"
}
# The process whose supervisor's arguments name this run directory, however damaged that is.
expjob_find_supervisor() {
  expjob_found=
  expjob_candidates cmdline -Fe "$expjob_directory/out"
  for expjob_entry in $expjob_pids; do
    expjob_entry=\${expjob_entry#/proc/} expjob_entry=\${expjob_entry%%/*}
    expjob_is_supervisor "$expjob_entry" || continue
    while IFS= read -r expjob_line || [ -n "$expjob_line" ]; do
      case $expjob_line in *"$expjob_directory/out$expjob_directory/errshell") expjob_found=$expjob_entry ;; esac
      expjob_line=
    done <"/proc/$expjob_entry/cmdline"
  done
  [ -n "$expjob_found" ]
}
expjob_withdraw() {
  expjob_message= expjob_answer=failed
  if [ ! -d "$expjob_directory" ] && expjob_find_supervisor; then echo "withdrawn $expjob_tag gone"; return; fi
  expjob_message=$(LC_ALL=C mkdir -p "$expjob_directory" 2>&1)
  if ! expjob_read_run; then echo "withdrawn $expjob_tag damaged |"; return; fi
  [ -n "$expjob_first" ] || echo "
withdrawn $expjob_name end" >>"$expjob_directory/run"
  # Of two that wrote at the same time, who was first?
  expjob_read_run
  case $expjob_first in
    "withdrawn $expjob_name end")
      # One that is in it will see that it came too late, unless its job has removed what it wrote.
      expjob_answer=yes
      if expjob_find_supervisor && sleep 0.1 && expjob_find_supervisor; then expjob_answer=no; fi ;;
    "refused "*) expjob_answer=yes ;;
    ?*) expjob_answer=no ;;
  esac
  # Of servers before the run file was: whoever began it cannot be told any more.
  [ ! -e "$expjob_directory/claim" ] || expjob_answer=no
  echo "withdrawn $expjob_tag $expjob_answer |$expjob_message"
}
expjob_report_end() {
  expjob_out=- expjob_err=- expjob_small=0
  [ -e "$expjob_directory/out" ] && expjob_out=0
  [ -e "$expjob_directory/err" ] && expjob_err=0
  if [ -s "$expjob_directory/out" ]; then expjob_out=$(stat -c %s "$expjob_directory/out") || expjob_out=-; fi
  if [ -s "$expjob_directory/err" ]; then expjob_err=$(stat -c %s "$expjob_directory/err") || expjob_err=-; fi
  case $expjob_out$expjob_err in
    *-*) ;;
    *)
      if [ "$expjob_out" -le ${INLINE_LOG_BYTES_MAX} ] && [ "$expjob_err" -le ${INLINE_LOG_BYTES_MAX} ]; then
        expjob_small=1
        [ "$expjob_out" = 0 ] || echo "data $expjob_tag out" $(base64 <"$expjob_directory/out")
        [ "$expjob_err" = 0 ] || echo "data $expjob_tag err" $(base64 <"$expjob_directory/err")
      fi ;;
  esac
  expjob_read_run
  echo "end $expjob_tag $expjob_out $expjob_err $expjob_small |$expjob_exit"
}
expjob_refuse() {
  echo "begun $expjob_tag refused directory |$expjob_message"
  return 1
}
# In the subshell that will be the run's: what is exported here is the run's alone.
expjob_prepare() {
  expjob_made=
  if expjob_message=$(LC_ALL=C mkdir "$expjob_directory" 2>&1 </dev/null); then expjob_made=yes
  elif [ ! -d "$expjob_directory" ]; then expjob_message=$(LC_ALL=C mkdir -p "$expjob_directory" 2>&1 </dev/null) && expjob_made=yes
  fi
  IFS= read -r expjob_base || exit 0
  IFS= read -r expjob_count || exit 0
  export EXPJOB_SUPERVISOR_UMASK="$expjob_umask"
  while [ "$expjob_count" -gt 0 ]; do
    IFS= read -r expjob_name || exit 0
    expjob_read
    export "$expjob_name=$expjob_value"
    expjob_count=$((expjob_count - 1))
  done
  [ -d "$expjob_directory" ] || { expjob_refuse; return; }
  # Only who made the directory: a repeated start must not move where the logs of the first begin.
  case $expjob_made$expjob_base in
    'yes0 0' | [!y]*) ;;
    *) echo "$expjob_base end" >"$expjob_directory/base" || { expjob_refuse; return; } ;;
  esac
}
expjob_run() {
  setsid /bin/sh -c "$expjob_supervisor" expjob "$expjob_directory" "$HOME" "$expjob_directory/out" "$expjob_directory/err" shell |
    {
      IFS= read -r expjob_line || expjob_line=
      echo "begun $expjob_tag $expjob_line |"
      case $expjob_line in started*) ;; *) exit 1 ;; esac
    } && expjob_report_end
}
# There is no event for the end of a process that is not ours. \`$$\` is the main loop: without it nobody listens.
expjob_watch() {
  while expjob_identify && [ "$expjob_alive" = 1 ]; do
    sleep 1
    kill -0 "$$" || exit 0
  done
  expjob_report_end
}
expjob_inspect() {
  expjob_now=$(date +%s)
  expjob_count=0
  expjob_identify
  # The processes are counted only when it matters who is left.
  case $expjob_leader$expjob_alive in same0 | gone0) expjob_each_member expjob_count_member ;; esac
  expjob_mtime_of "$expjob_directory"
  expjob_begun=$expjob_mtime
  expjob_mtime_of "$expjob_directory/run"
  expjob_words="$expjob_now $expjob_boot_now $expjob_alive $expjob_count $expjob_begun $expjob_mtime"
  expjob_line_of "$expjob_directory/base"
  echo "state $expjob_tag $expjob_words |$expjob_first|$expjob_exit|$expjob_line"
}
# A program writes, not the shell, which may only say "I/O error" of a full disk.
expjob_probe() {
  expjob_answer=unwritable
  if expjob_message=$(LC_ALL=C mkdir -p "$expjob_directory" 2>&1); then
    expjob_message=$(LC_ALL=C date 2>&1 >"$expjob_directory/probe.$$") && expjob_answer=ok
    rm -f "$expjob_directory/probe.$$"
  fi
  echo "probed $expjob_tag $expjob_answer |$expjob_message"
}
expjob_release() {
  expjob_answer=no
  case $expjob_directory in /*/[0-9]*.[0-9]*.[0-9a-z]*) rm -rf "$expjob_directory" && expjob_answer=yes ;; esac
  echo "released $expjob_tag $expjob_answer"
}
expjob_unusable() {
  echo "unusable $1"
  IFS= read -r expjob_rest
  exit 0
}
expjob_umask=$(umask)
umask 077
expjob_read
exec 2>/dev/null
expjob_supervisor=$expjob_value
expjob_supervisor_head=\${expjob_supervisor%%"
"*}
IFS= read -r expjob_boot_now </proc/sys/kernel/random/boot_id || expjob_unusable /proc/sys/kernel/random/boot_id
# Another process namespace's /proc would tell lies about whom to signal.
IFS=' ' read -r expjob_self expjob_rest </proc/self/stat
[ "$expjob_self" = "$$" ] || expjob_unusable /proc/self/stat
for expjob_program in setsid mkdir rm stat date base64 tr sleep; do
  command -v "$expjob_program" >/dev/null || expjob_unusable "$expjob_program"
done
# Where grep can look for us: in the arguments, busybox's sees the first only.
expjob_greps=$(LC_ALL=C grep -ls -e ") [A-Za-z] [0-9]* [0-9]* [0-9]* " "/proc/$$/stat")$(LC_ALL=C grep -ls -Fe -c "/proc/$$/cmdline")
expjob_machine=
[ -s /etc/machine-id ] && IFS= read -r expjob_machine </etc/machine-id
[ -n "$expjob_machine" ] || expjob_machine=$(uname -n)
echo "ready $expjob_machine $expjob_boot_now" $(printf %s "$HOME" | base64)
while IFS= read -r expjob_request; do
  expjob_verb=\${expjob_request%% *} expjob_tag=\${expjob_request#* }
  expjob_read
  expjob_directory=$expjob_value
  case $expjob_verb in
    start) (expjob_prepare && expjob_fork expjob_run) ;;
    watch) (expjob_fork expjob_watch) ;;
    inspect) expjob_inspect ;;
    withdraw) expjob_withdraw ;;
    signal)
      expjob_read
      expjob_signal=$expjob_value
      (expjob_fork expjob_stop) ;;
    release) expjob_release ;;
    probe) expjob_probe ;;
  esac
done
# The end of the input: what was forked here goes too, if this shell leads its group and nobody else is in it.
expjob_group_of() { expjob_group=$3; }
expjob_stat_of "$$" && expjob_group_of \${expjob_text##*') '}
if [ "$expjob_group" = "$$" ]; then
  trap : TERM
  kill -s TERM 0
fi
`;
