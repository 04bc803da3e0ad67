/** The completion script for fish. What a command substitution prints is offered as it is, and fish quotes what it inserts. */
import { singleQuoted } from "./quote.ts";
import { functionName, type ScriptParts } from "./script.ts";

export function fishScript({ name, program }: ScriptParts): string {
  const complete = functionName(name);
  const words = program.map((word) => singleQuoted(word, { "\\": "\\\\", "'": "\\'" }));
  return `# Completion of ${name} for fish. In config.fish:  ${name} completions --fish | source
function ${complete}
    set -l program ${words.join(" ")}
    # What was installed, else what the name stands for: never what merely lies in this folder.
    if not test -x $program[1]
        command -q ${name}; or return
        set program ${name}
    end
    set -l text (commandline -cp | string collect)
    set -l said (command $program complete --quoting fish -- "$text" 2>/dev/null </dev/null)
    set -l files (string replace -rf '^:(\\d+)$' '$1' -- $said)
    set -l offers (string match -v -r '^:\\d+$' -- $said)
    set -l current (commandline -ct)
    for offer in $offers
        printf '%s\\n' $offer
    end
    if test "$files" = 4; or string match -q -- "$current*" $offers
        return
    end
    set -l before (string match -r -- '^--[^=]*=' "$current")
    set -l path (string replace -r -- '^--[^=]*=' '' "$current")
    if test "$files" = 16
        __fish_complete_directories "$path" '' | string replace -r -- '^' "$before"
    else
        __fish_complete_path "$path" | string replace -r -- '^' "$before"
    end
end
complete -c ${name} -e
complete -c ${name} -f -k -a '(${complete})'
`;
}
