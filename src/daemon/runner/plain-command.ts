/**
 * Commands that need no shell of their own: one simple command of literal words. Nothing in it is expanded, so it can tell
 * a fresh shell from a forked one only by what the shell itself is asked, and words that ask it are left out.
 */

const PLAIN = /^[A-Za-z0-9_./][A-Za-z0-9_./:@%+-]*( [A-Za-z0-9_./:=,@%+-]+)*$/;

/**
 * What `sh` does itself, in dash, bash or busybox, with effects or answers that depend on the shell. The supervisor
 * does `true`, `false`, `:`, `echo`, `printf` and `test` as the shell would.
 */
const OF_THE_SHELL = new Set(
  (
    ". alias bg bind break builtin caller case cd chdir command compgen complete compopt continue coproc declare dirs disown do done elif " +
    "else enable esac eval exec exit export fc fg fi for function getopts hash help history if in jobs kill let local logout mapfile popd " +
    "pushd pwd read readarray readonly return select set shift shopt source suspend then time times trap type typeset ulimit umask " +
    "unalias unset until wait while"
  ).split(" "),
);

/** The command's words; null: it needs a shell. */
export function plainWords(text: string): readonly string[] | null {
  if (!PLAIN.test(text)) return null;
  const words = text.split(" ");
  return OF_THE_SHELL.has(words[0] ?? "") ? null : words;
}
