/** The shells there are scripts for: the text, the file name each looks for, and the one line that activates it. */
import { bashScript } from "./bash.ts";
import { elvishScript } from "./elvish.ts";
import { fishScript } from "./fish.ts";
import { powershellScript } from "./powershell.ts";
import { shellWord, singleQuoted } from "./quote.ts";
import type { ScriptParts } from "./script.ts";
import { zshScript } from "./zsh.ts";

export interface Shell {
  readonly script: (parts: ScriptParts) => string;
  readonly fileName: (name: string) => string;
  /** The line, and the file it goes into. @param path absolute, of the script */
  readonly activation: (path: string) => { readonly line: string; readonly file: string };
}

export const SHELLS = {
  bash: {
    script: bashScript,
    fileName: (name) => `${name}.bash`,
    activation: (path) => ({ line: `source ${shellWord(path)}`, file: "~/.bashrc" }),
  },
  zsh: {
    script: zshScript,
    fileName: (name) => `_${name}`,
    activation: (path) => ({ line: `source ${shellWord(path)}`, file: "~/.zshrc (after compinit, if that is there)" }),
  },
  fish: {
    script: fishScript,
    fileName: (name) => `${name}.fish`,
    activation: (path) => ({ line: `source ${singleQuoted(path, { "\\": "\\\\", "'": "\\'" })}`, file: "~/.config/fish/config.fish" }),
  },
  powershell: {
    script: powershellScript,
    fileName: (name) => `_${name}.ps1`,
    activation: (path) => ({ line: `. ${singleQuoted(path, { "'": "''" })}`, file: "$PROFILE" }),
  },
  elvish: {
    script: elvishScript,
    fileName: (name) => `${name}.elv`,
    activation: (path) => ({ line: `eval (slurp < ${singleQuoted(path, { "'": "''" })})`, file: "~/.config/elvish/rc.elv" }),
  },
} as const satisfies Readonly<Record<string, Shell>>;

export type ShellName = keyof typeof SHELLS;
export const SHELL_NAMES = Object.keys(SHELLS) as readonly ShellName[];

/** The last line of every script of ours: a file without it is somebody else's, and not replaced. */
export const SCRIPT_MARK = "# Written by `completions` of expjobserver.";

export function completionScript(shell: ShellName, parts: ScriptParts): string {
  return `${SHELLS[shell].script(parts)}${SCRIPT_MARK}\n`;
}
