/** The completion script for zsh: sourced, or found in fpath under the name _NAME. Offers are quoted by zsh itself, never by -Q. */
import { shellWord } from "./quote.ts";
import { functionName, type ScriptParts } from "./script.ts";

export function zshScript({ name, program }: ScriptParts): string {
  const complete = functionName(name);
  return `#compdef ${name}
# Completion of ${name} for zsh. In ~/.zshrc:  source <(${name} completions --zsh)
${complete}() {
  local line value files=4
  local -a program offers said
  program=(${program.map(shellWord).join(" ")})
  # What was installed, else what the name stands for: never what merely lies in this folder.
  if [[ ! -x $program[1] ]]; then
    (( $+commands[${name}] )) || return 1
    program=(\${commands[${name}]})
  fi
  said=("\${(@f)$(command "\${program[@]}" complete --quoting posix --line "$LBUFFER" -- "\${words[1,CURRENT-1]}" "\${(qq)PREFIX}" 2>/dev/null </dev/null)}")
  for line in "\${said[@]}"; do
    if [[ $line == :* ]]; then
      files=\${line#:}
      continue
    fi
    value=\${line%%$'\\t'*}
    [[ -n $value ]] || continue
    # _describe parts value and description at the first colon.
    if [[ $line == *$'\\t'* ]]; then
      offers+=("\${value//:/\\\\:}:\${\${line#*$'\\t'}//\\\\/\\\\\\\\}")
    else
      offers+=("\${value//:/\\\\:}")
    fi
  done
  (( $#offers )) && _describe -V -t ${name} ${name} offers && return 0
  case $files in
    (0) [[ $PREFIX == --*=* ]] && compset -P 1 '*='; _files ;;
    (16) [[ $PREFIX == --*=* ]] && compset -P 1 '*='; _files -/ ;;
    (*) return 1 ;;
  esac
}
if [[ $funcstack[1] == _${name} ]]; then
  ${complete} "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
  compdef ${complete} ${name}
fi
`;
}
