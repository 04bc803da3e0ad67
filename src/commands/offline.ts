/** The commands that work on files without a server, as help and parsing need them. */
import { entryOf, type Group, leaf } from "./command.ts";
import { checkArguments, importArguments, stateExportArguments, stateImportArguments } from "./offline/arguments.ts";

export const check = leaf({
  name: "check",
  summary: "Verifies the state directory: journal, snapshots, history, runs, modes, known hosts.",
  details:
    "Reads only, also beside a running server. Exit code 0: all is well; 1: something needs a person; 7: the state is damaged or of a newer release.",
  example: "expjobserver check",
  program: "expjobserver",
  arguments: checkArguments,
  load: () => import("./offline/check.ts"),
});

export const importOld = leaf({
  name: "import",
  summary: "Brings in what the old jobserver knew, from its file `server-snapshot`.",
  details:
    "The server must be stopped. All of it comes in or nothing. Jobs that waited are held: `j job unhold` lets them go. See docs/migration.md.",
  example: "expjobserver import ~/logs/server-snapshot --dry-run",
  program: "expjobserver",
  arguments: importArguments,
  load: () => import("./offline/import.ts"),
});

const stateExport = leaf({
  name: "export",
  summary: "Writes the whole state, history included, as one TOML document.",
  details: "Reads only, also beside a running server. `-` writes to stdout. Logs and results are not in it.",
  example: "expjobserver state export state.toml",
  program: "expjobserver",
  arguments: stateExportArguments,
  load: () => import("./offline/state-export.ts"),
});

const stateImport = leaf({
  name: "import",
  summary: "Makes an exported state that of an empty state directory.",
  details: "The server must be stopped. Jobs that were under way there are unknown here, and keep their machines: `j job rm` ends them.",
  example: "expjobserver state import state.toml --state-dir /srv/lab/state",
  program: "expjobserver",
  arguments: stateImportArguments,
  load: () => import("./offline/state-import.ts"),
});

export const state: Group = {
  kind: "group",
  name: "state",
  summary: "Move the server's state between hosts, as TOML",
  example: "expjobserver state export state.toml",
  commands: [entryOf(stateExport), entryOf(stateImport)],
};
