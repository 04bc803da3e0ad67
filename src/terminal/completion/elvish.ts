/** The completion script for Elvish. It hands its completer words, not text, and quotes what it inserts. */
import { singleQuoted } from "./quote.ts";
import type { ScriptParts } from "./script.ts";

export function elvishScript({ name, program }: ScriptParts): string {
  const [executable = name, ...words] = program.map((word) => singleQuoted(word, { "'": "''" }));
  return `# Completion of ${name} for Elvish. In rc.elv:  eval (${name} completions --elvish | slurp)
use str
set edit:completion:arg-completer[${name}] = {|@words|
  var program = ${executable}
  var first = [${words.join(" ")}]
  # What was installed, else what the name stands for.
  if (not (has-external $program)) {
    set program = ${name}
    set first = []
  }
  var said = []
  if (has-external $program) {
    try {
      set said = [((external $program) $@first complete --quoting none -- $@words 2>/dev/null </dev/null | from-lines)]
    } catch error {
      nop $error
    }
  }
  var current = $words[-1]
  var files = 4
  var offered = $false
  for line $said {
    if (str:has-prefix $line :) {
      set files = $line[1..]
    } else {
      var parts = [(str:split &max=2 "\\t" $line)]
      var value = $parts[0]
      if (str:has-prefix $value $current) {
        set offered = $true
      }
      if (== (count $parts) 2) {
        edit:complex-candidate $value &code-suffix=' ' &display=$value'  ('$parts[1]')'
      } else {
        edit:complex-candidate $value &code-suffix=' '
      }
    }
  }
  if (and (not $offered) (not-eq $files 4) (not-eq $files '4')) {
    edit:complete-filename $@words
  }
}
`;
}
