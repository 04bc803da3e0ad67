/**
 * The agent: one constant POSIX `sh` text that stands on a machine for as long as the connection lives, starts
 * runs and reports their ends, because each command of its own costs a login shell. It keeps nothing: the
 * run directories are the truth, and a new agent finds the same runs there. Machines are Linux; beside the
 * shell it uses `setsid`, `mkdir`, `rm`, `stat`, `date`, `wc`, `od` and `sleep` (GNU or busybox).
 *
 * First it reads the supervisor's text, as one value. A value is the number of its lines on one line, then
 * the lines. It then prints
 *   `ready <machine id> <boot id> <home, as one octal word>`   or   `unusable <what is missing>`
 * and serves requests; each is a line `<verb> <tag>` followed by its values. Tags are ours: [0-9a-z.]+.
 *
 *   start    directory, count, then count times a name line and a value: exported to the supervisor
 *            -> `begun <tag> <the supervisor's line>`, then `end …` as with watch
 *   inspect  directory -> `state <tag> <now> <boot id> <alive 0|1> <session members> <pid mtime|-> <status mtime|-> <claim|-> |<status line>|<pid line>`
 *   watch    directory -> when the supervisor is gone:
 *            `data <tag> out|err <octal bytes…>` lines when both logs are small, then
 *            `end <tag> <bytes of out|-> <bytes of err|-> <1: data was sent|0> |<status line>`
 *   withdraw directory -> `withdrawn <tag> yes|no|failed`
 *   signal   directory, TERM|KILL -> `signaled <tag> <processes>`
 *   release  directory -> `released <tag>`
 *   probe    directory -> `probed <tag> ok|unwritable`
 */

/** Logs up to this size, bytes, come with the end of the run; larger ones by their own command. */
export const INLINE_LOG_BYTES_MAX = 4_096;

/* A withdrawn run has `withdrawn end` in claim or pid, as run-directory.ts writes it on this host. */
export const AGENT_SCRIPT = `
set -f
value() {
  IFS= read -r lines || exit 0
  IFS= read -r value || exit 0
  while [ "$lines" -gt 1 ]; do
    IFS= read -r line || exit 0
    value="$value
$line"
    lines=$((lines - 1))
  done
}
first_line() {
  first=
  [ -e "$1" ] && IFS= read -r first <"$1"
}
mtime() { mtime=$(stat -c %Y "$1" 2>/dev/null) || mtime=-; }
parse_pid() { pid=$1 start=$2 boot=$3 whole=$4; }
stat_fields() { process_state=$1 sid=$4 began=\${20}; }
# Is the process of the pid line alive, and no other with its number?
identify() {
  alive=0
  first_line "$1/pid"
  pid_line=$first
  parse_pid $pid_line
  [ "$whole" = end ] && [ "$boot" = "$boot_now" ] || return 1
  { IFS= read -r text </proc/"$pid"/stat; } 2>/dev/null || return 0
  stat_fields \${text##*') '}
  case $process_state in [ZX]) return 0 ;; esac
  [ "$began" = "$start" ] && alive=1
  return 0
}
# Calls its argument with each process of the session of $pid.
members() {
  count=0
  set +f
  for entry in /proc/[0-9]*; do
    { IFS= read -r text <"$entry/stat"; } 2>/dev/null || continue
    set -f
    stat_fields \${text##*') '}
    if [ "$sid" = "$pid" ]; then
      count=$((count + 1))
      "$1" "\${entry#/proc/}"
    fi
  done
  set -f
}
send_signal() {
  [ "$signal" = KILL ] && [ "$1" = "$pid" ] && return
  kill -s "$signal" "$1" 2>/dev/null
}
octal() {
  od -An -v -to1 "$2" | while IFS= read -r bytes; do echo "data $tag $1 $bytes"; done
}
report_end() {
  out=$(wc -c <"$1/out" 2>/dev/null) || out=-
  err=$(wc -c <"$1/err" 2>/dev/null) || err=-
  out=\${out##* } err=\${err##* } sent=0
  case $out$err in
    *-*) ;;
    *) if [ "$out" -le ${INLINE_LOG_BYTES_MAX} ] && [ "$err" -le ${INLINE_LOG_BYTES_MAX} ]; then
         [ "$out" -gt 0 ] && octal out "$1/out"
         [ "$err" -gt 0 ] && octal err "$1/err"
         sent=1
       fi ;;
  esac
  first_line "$1/status"
  echo "end $tag $out $err $sent |$first"
}
expjob_umask=$(umask)
umask 077
value
supervisor=$value
IFS= read -r boot_now </proc/sys/kernel/random/boot_id || { echo "unusable /proc"; exit 0; }
for program in setsid mkdir rm stat date wc od sleep; do
  command -v "$program" >/dev/null || { echo "unusable $program"; exit 0; }
done
first_line /etc/machine-id
machine_id=$first
[ -n "$machine_id" ] || machine_id=$(uname -n)
echo "ready $machine_id $boot_now $(printf %s "$HOME" | od -An -v -to1 | tr -d ' \\n')"
while IFS= read -r request; do
  verb=\${request%% *} tag=\${request#* }
  value
  directory=$value
  case $verb in
    start)
      (
        IFS= read -r count
        export EXPJOB_SUPERVISOR_UMASK="$expjob_umask"
        while [ "$count" -gt 0 ]; do
          IFS= read -r name
          value
          export "$name=$value"
          count=$((count - 1))
        done
        (
          exec </dev/null
          if mkdir -p "$directory" && cd "$HOME"; then
            setsid /bin/sh -c "$supervisor" expjob "$directory" "$HOME" "$directory/out" "$directory/err" shell 2>/dev/null |
              { IFS= read -r said; echo "begun $tag $said"; }
            report_end "$directory"
          else
            echo "begun $tag refused directory"
          fi
        ) &
      ) ;;
    watch)
      (
        exec </dev/null
        while [ ! -s "$directory/status" ] && identify "$directory" && [ "$alive" = 1 ]; do sleep 1; done
        report_end "$directory"
      ) & ;;
    inspect)
      now=$(date +%s)
      identify "$directory"
      was_alive=$alive
      count=0
      case $pid_line in *' end') members : ;; esac
      mtime "$directory/pid"
      begun=$mtime
      mtime "$directory/status"
      claim=-
      [ -e "$directory/claim" ] && claim=yes
      first_line "$directory/claim"
      [ "$first" = "withdrawn end" ] && claim=withdrawn
      first_line "$directory/status"
      echo "state $tag $now $boot_now $was_alive $count $begun $mtime $claim |$first|$pid_line" ;;
    withdraw)
      (
        answer=failed
        mkdir -p "$directory"
        for file in claim pid; do
          if (set -C; echo withdrawn end >"$directory/$file") 2>/dev/null; then answer=yes; break; fi
          first_line "$directory/$file"
          if [ "$first" = "withdrawn end" ]; then answer=yes; break; fi
          [ -e "$directory/$file" ] && answer=no
        done
        echo "withdrawn $tag $answer"
      ) ;;
    signal)
      value
      signal=$value count=0
      if [ ! -s "$directory/status" ] && identify "$directory" && [ "$alive" = 1 ]; then members send_signal; fi
      echo "signaled $tag $count" ;;
    release)
      case $directory in /*/[0-9]*.[0-9]*.[0-9a-z]*) rm -rf "$directory" ;; esac
      echo "released $tag" ;;
    probe)
      if mkdir -p "$directory" && [ -w "$directory" ]; then echo "probed $tag ok"; else echo "probed $tag unwritable"; fi ;;
  esac
done
`;
