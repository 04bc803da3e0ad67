/** All commands there are: names and one line each; what is behind a name is loaded when it is named. */
import type { Group } from "./command.ts";

export const root: Group = {
  kind: "group",
  name: "j",
  summary: "expjobserver: a queue of experiments for many machines, with results copied back and verified.",
  example: 'expjobserver serve --detach\nj machine add local desk\nj job add desk "sleep 5"\nj job ls',
  commands: [
    { name: "job", summary: "Queue, list, watch and cancel jobs", load: async () => (await import("./job.ts")).job },
    { name: "machine", summary: "The pool of machines, by class", load: async () => (await import("./machine.ts")).machine },
    { name: "var", summary: "Variables for the placeholders of commands", load: async () => (await import("./var.ts")).variable },
    { name: "tag", summary: "Groups of jobs, made by hand", load: async () => (await import("./tag.ts")).tag },
    { name: "notify", summary: "Notifications to Slack and other webhooks", load: async () => (await import("./notify.ts")).notify },
    { name: "ping", summary: "Round trip to the server", load: async () => (await import("./server.ts")).ping },
    { name: "status", summary: "Whether a server runs, since when, with what", load: async () => (await import("./server.ts")).status },
    { name: "serve", summary: "Run the server", load: async () => (await import("./serve.ts")).serve },
    { name: "stop", summary: "Stop the server; running jobs go on", load: async () => (await import("./server.ts")).stop },
    { name: "completions", summary: "Script for TAB in your shell", load: async () => (await import("./completions.ts")).completions },
    { name: "check", summary: "Verify the state directory, without a server", load: async () => (await import("./offline.ts")).check },
    { name: "state", summary: "Move the server's state between hosts, as TOML", load: async () => (await import("./offline.ts")).state },
    { name: "import", summary: "Bring in what the old jobserver knew", load: async () => (await import("./offline.ts")).importOld },
    { name: "link", summary: "Make the symlink `j` to this executable", load: async () => (await import("./server.ts")).link },
  ],
};
