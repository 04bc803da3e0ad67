/** The commands of `job` for jobs that are there already, as help and parsing need them. */
import { leaf } from "./command.ts";
import { cloneArguments, lineArguments, restartArguments, timeoutArguments } from "./job/life-arguments.ts";

export const clone = leaf({
  name: "clone",
  summary: "Queues jobs again with the same properties; they join the same matrix and tag.",
  details: "Of a matrix, tag or range each is queued once, however often it was retried.",
  example: "j job clone 17 20-25 -x 3",
  arguments: cloneArguments,
  load: () => import("./job/clone.ts"),
});

export const restart = leaf({
  name: "restart",
  summary: "Cancels jobs, then queues them again with the same properties.",
  details: "What runs is stopped; the new job waits in the queue. Logs and results are never deleted.",
  example: "j job restart 17",
  arguments: restartArguments,
  load: () => import("./job/restart.ts"),
});

export const setTimeoutOf = leaf({
  name: "settimeout",
  summary: "Sets or changes the timeout of jobs, also of those that run.",
  details: "Counted from the start of the job: one that has run for longer is stopped at once.",
  example: "j job settimeout 4h 17 20-25",
  arguments: timeoutArguments,
  load: () => import("./job/settimeout.ts"),
});

export const line = leaf({
  name: "line",
  summary: "Draws a line after a job in listings; without JID removes it.",
  example: "j job line last",
  arguments: lineArguments,
  load: () => import("./job/line.ts"),
});
