/** The command `serve`, as help and parsing need it. */

import { leaf } from "./command.ts";
import { serveArguments } from "./server/serve-arguments.ts";

export const serve = leaf({
  name: "serve",
  summary: "Runs the server, in the foreground.",
  details:
    "Without any flag it starts with the defaults, and says where state, logs and token are. SIGTERM and SIGINT stop it cleanly; jobs that run go on, and are taken up again at the next start. SIGHUP makes it read config.toml again, and never ends it.",
  example: "expjobserver serve --detach --runner ~/bin/driver --log-dir ~/logs",
  program: "expjobserver",
  arguments: serveArguments,
  load: () => import("./server/serve.ts"),
});
