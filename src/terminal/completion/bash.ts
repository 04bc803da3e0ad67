/**
 * The completion script for bash. Works without the bash-completion package, under `set -u`, and sourced twice.
 * Neither what is typed nor what is offered is ever evaluated: no eval, no compgen -W, and `%q` before readline gets it.
 */
import { shellWord } from "./quote.ts";
import { functionName, type ScriptParts } from "./script.ts";

export function bashScript({ name, program }: ScriptParts): string {
  const complete = functionName(name);
  return `# Completion of ${name} for bash. In ~/.bashrc:  source <(${name} completions --bash)
${complete}() {
  local -a program=(${program.map(shellWord).join(" ")})
  local text=\${COMP_LINE:0:COMP_POINT} said line value quoted before current files=4
  COMPREPLY=()
  # What was installed, else what the name stands for: never what merely lies in this folder.
  if [[ ! -x \${program[0]} ]]; then
    type -P ${name} >/dev/null || return 0
    program=(${name})
  fi
  said=$(command "\${program[@]}" complete --quoting posix -- "$text" 2>/dev/null </dev/null) || return 0
  # bash replaces $2 only: what follows the last = or : of the word.
  current=\${text##*[[:space:]]}
  before=\${current%"$2"}
  before=\${before#[\\"\\']}
  while IFS= read -r line; do
    if [[ $line == :* ]]; then
      files=\${line#:}
      continue
    fi
    value=\${line%%$'\\t'*}
    [[ $value == "$before"* ]] || continue
    value=\${value#"$before"}
    printf -v quoted %q "$value"
    [[ $value == "$2"* || $quoted == "$2"* ]] || continue
    # Within an open quote it goes in as it is: it holds neither quotes nor anything that a shell expands.
    if [[ $current == [\\"\\']* ]]; then
      COMPREPLY+=("$value")
    else
      COMPREPLY+=("$quoted")
    fi
  done <<<"$said"
  if ((\${#COMPREPLY[@]} > 0)); then
    compopt -o nosort 2>/dev/null
  elif [[ $files == 0 ]]; then
    compopt -o default 2>/dev/null
  elif [[ $files == 16 ]]; then
    compopt -o dirnames -o filenames 2>/dev/null
  fi
  return 0
}
if ((BASH_VERSINFO[0] < 4)); then
  complete -o default -F ${complete} ${name}
else
  complete -F ${complete} ${name}
fi
`;
}
