/** The words and flags of `completions`. */
import type { ArgumentsDefinition } from "../argument.ts";

export const completionsArguments = {
  bash: { type: "boolean", description: "The script for bash" },
  zsh: { type: "boolean", description: "The script for zsh" },
  fish: { type: "boolean", description: "The script for fish" },
  powershell: { type: "boolean", description: "The script for PowerShell" },
  elvish: { type: "boolean", description: "The script for Elvish" },
  bin: { type: "string", valueHint: "NAME", default: "j", description: "The name that is completed, as you type it" },
  outdir: { type: "positional", required: false, description: "Folder to write it to, made when needed [default: print it]" },
} as const satisfies ArgumentsDefinition;
