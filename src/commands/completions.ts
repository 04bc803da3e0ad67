/** `completions`, as help and parsing need it. What its scripts call when TAB is pressed is completion/complete.ts. */
import { leaf } from "./command.ts";
import { completionsArguments } from "./completion/arguments.ts";

export const completions = leaf({
  name: "completions",
  summary: "Prints a script that makes TAB complete commands, flags, job ids, machines, classes and variables.",
  usage: "--bash|--zsh|--fish|--powershell|--elvish [OUTDIR]",
  details: "With OUTDIR it is written there, under the name that the shell looks for, and the line that activates it is said.",
  example: "j completions --bash ~/.local/share/bash-completion/completions\nsource <(j completions --bash)",
  arguments: completionsArguments,
  load: () => import("./completion/install.ts"),
});
