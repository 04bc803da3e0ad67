/** What can be asked about machines and their pool. Rules about machines are in core/. */
import * as v from "valibot";
import { mutates, reads } from "../method.ts";
import { problemSchema } from "../problem.ts";
import { command, timeoutSeconds, warningSchema } from "./job.ts";

/** Of one setup job. */
export const SETUP_COMMANDS_MAX = 1_000;

const addr = v.pipe(v.string(), v.minLength(1), v.maxLength(300));
const className = v.pipe(v.string(), v.minLength(1), v.maxLength(100));
const addrs = v.pipe(v.array(addr), v.maxLength(10_000));
const classes = v.pipe(v.array(className), v.maxLength(1_000));

export const machineSchema = v.object({
  addr: v.string(),
  /** "": in none, as long as it is set up. */
  class: v.string(),
  state: v.picklist(["free", "busy", "quarantined", "unreachable"]),
  running: v.nullable(v.number()),
  failures: v.number(),
  /** Why it is quarantined or unreachable. For code "failures", data.jobs lists the jobs. */
  reason: v.nullable(problemSchema),
  since: v.string(),
});
export type WireMachine = v.InferOutput<typeof machineSchema>;

const failedMachines = v.object({ failed: v.array(v.object({ addr: v.string(), code: v.string() })) });

export const machineMethods = {
  "machine.add": mutates(
    v.object({ addrs, class: className }),
    /** `unchanged`: in that class already, and at work. */
    v.object({ added: v.array(v.string()), moved: v.array(v.string()), unchanged: v.optional(v.array(v.string())) }),
  ),
  "machine.list": reads(v.object({ class: v.nullable(className) }), v.object({ machines: v.array(machineSchema) })),
  /** Every machine named, and every machine of the classes named. `canceled`: jobs that ran there. */
  "machine.remove": mutates(
    v.object({ addrs, classes }),
    v.object({ removed: v.array(v.string()), canceled: v.array(v.number()), missing: v.array(v.string()) }),
  ),
  "machine.move": mutates(
    v.object({ addrs, classes, class: className }),
    v.object({ moved: v.array(v.string()), missing: v.array(v.string()) }),
  ),
  "machine.restore": mutates(v.object({ addrs }), failedMachines),
  /** One setup job for each machine, in their order: the ids are first … first + count - 1. */
  "machine.setup": mutates(
    v.pipe(
      v.object({
        addrs,
        /** The machines that are in the class when the request comes, in the place of `addrs`. */
        existing: v.boolean(),
        /** What they join when all commands have succeeded; null: nothing. */
        class: v.nullable(className),
        cmds: v.pipe(v.array(command), v.minLength(1), v.maxLength(SETUP_COMMANDS_MAX)),
        /** For all commands of a machine together. */
        timeout: timeoutSeconds,
        /** Seconds between the starts on one machine and the next. */
        stagger: v.pipe(v.number(), v.minValue(0), v.maxValue(365 * 86_400)),
        notify: v.boolean(),
      }),
      v.check((setup) => (setup.existing ? setup.class !== null && setup.addrs.length === 0 : setup.addrs.length > 0), "machines"),
    ),
    /** Warnings: "placeholder-undefined". */
    v.object({ first: v.number(), count: v.number(), warnings: v.array(warningSchema) }),
  ),
  /** Tries to reach each machine now; none named: all. */
  "machine.check": reads(
    v.object({ addrs }),
    v.object({
      results: v.array(
        v.object({ addr: v.string(), duration_ms: v.number(), problem: v.nullable(problemSchema), kernel: v.nullable(v.string()) }),
      ),
      /** Named, and not in the pool; the others are asked all the same. */
      missing: v.optional(v.array(v.string()), []),
    }),
  ),
};
