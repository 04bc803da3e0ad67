/** A server in a folder that is about to be killed: it moves job 0 to the folder `new`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { FakeHosts } from "../../fakes/runner.ts";
import { Assembly } from "../assembly.ts";

const [folder = ""] = process.argv.slice(2);
const daemon = await Assembly.in(folder, new FakeHosts());
writeFileSync(join(folder, "begun"), "");
await daemon.transfer.take({ jid: 0, to: join(folder, "new"), mode: "move", signal: new AbortController().signal });
writeFileSync(join(folder, "ended"), "");
process.exit(0);
