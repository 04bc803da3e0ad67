/** The commands about the server itself, but for `serve`. */
import { leaf } from "./command.ts";
import { linkArguments, NO_ARGUMENTS } from "./server/arguments.ts";

export const ping = leaf({
  name: "ping",
  summary: "Round trip to the server: prints its version and the time it took.",
  example: "j ping",
  arguments: NO_ARGUMENTS,
  load: () => import("./server/ping.ts"),
});

export const status = leaf({
  name: "status",
  summary: "Says whether a server runs, since when, and with what.",
  details: "Exit code 3 when none answers.",
  example: "expjobserver status",
  program: "expjobserver",
  arguments: NO_ARGUMENTS,
  load: () => import("./server/status.ts"),
});

export const stop = leaf({
  name: "stop",
  summary: "Stops the server cleanly, and waits until it has.",
  details: "Jobs that run go on running; the next server takes them up again.",
  example: "expjobserver stop",
  program: "expjobserver",
  arguments: NO_ARGUMENTS,
  load: () => import("./server/stop.ts"),
});

export const link = leaf({
  name: "link",
  summary: "Makes the symlink `j` to this executable: called by that name it is the client.",
  example: "expjobserver link ~/.local/bin",
  program: "expjobserver",
  arguments: linkArguments,
  load: () => import("./server/link.ts"),
});
