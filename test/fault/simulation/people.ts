/** People at their keyboards: they ask for all kinds of things, lose answers, and ask again with the same request id. */
import { RequestError } from "../../../src/protocol/error.ts";
import type { MethodName } from "../../../src/protocol/methods.ts";
import { StoreError } from "../../../src/store/store-error.ts";
import { DRIVER_CLASS, type SimulatedDaemon } from "./daemon.ts";
import type { Oracle } from "./oracle.ts";
import { stage } from "./stage.ts";

const CLASSES = [DRIVER_CLASS, "far", "wide"] as const;
export const ADDRS = ["n0", "n1", "f0", "f1", "f2"] as const;

/** Of requests: see `something`. */
const KINDS = 26;

interface Request {
  readonly id: string;
  readonly method: MethodName;
  readonly params: unknown;
  /** Asked again until it is answered, whatever happens. */
  readonly isStubborn: boolean;
  answer: string | null;
}

export class People {
  /** Asked, and neither answered nor given up. */
  readonly open = new Set<Request>();
  private readonly underWay = new Set<Request>();
  private requests = 0;

  constructor(
    private readonly oracle: Oracle,
    private readonly daemon: () => SimulatedDaemon | null,
    private readonly note: (text: string) => void,
  ) {}

  /** Anything; at times several of a kind at once, as scripts do. */
  askSomething(): void {
    const { dice, time } = stage;
    const kind = dice.below(KINDS);
    for (let left = dice.chance(0.25) ? 2 + dice.below(3) : 1; left > 0; left--) {
      time.after(dice.delayMs(0.01, 20), "world", () => this.ask(...this.something(kind)));
    }
  }

  ask(method: MethodName, params: unknown, isStubborn = false): void {
    const request: Request = { id: `request-${this.requests++}`, method, params, isStubborn, answer: null };
    this.oracle.issued.add(request.id);
    this.open.add(request);
    this.send(request);
  }

  /** Nobody answers any more. */
  daemonDied(): void {
    for (const request of this.underWay) this.again(request);
    this.underWay.clear();
  }

  private send(request: Request): void {
    const daemon = this.daemon();
    if (daemon === null) {
      stage.time.after(5_000, "world", () => this.send(request));
      return;
    }
    this.underWay.add(request);
    const done = (then: () => void): void => {
      // The daemon is dead, and this is what its last thoughts would have been.
      if (stage.disk.frozen || this.daemon() !== daemon) return;
      this.underWay.delete(request);
      then();
    };
    daemon.call(request.method, request.params, request.id).then(
      (answer) => done(() => this.answered(request, answer)),
      (error: unknown) => done(() => this.refused(request, error)),
    );
  }

  private answered(request: Request, answer: unknown): void {
    const isLost = stage.dice.chance(0.12);
    this.oracle.acknowledged(request.id, answer);
    this.note(`${request.id} ${request.method} ${isLost ? "answer lost" : "answered"} ${JSON.stringify(answer)}`);
    if (isLost) this.again(request);
    else this.open.delete(request);
  }

  private refused(request: Request, error: unknown): void {
    this.note(`${request.id} ${request.method} refused ${String(error)}`);
    if (error instanceof StoreError) return this.again(request);
    if (!(error instanceof RequestError)) this.oracle.say(`${request.method} failed: ${String(error)}`);
    this.open.delete(request);
  }

  private again(request: Request): void {
    if (request.isStubborn || stage.dice.chance(0.75)) {
      stage.time.after(stage.dice.delayMs(10, 30_000), "world", () => this.send(request));
    } else this.open.delete(request);
  }

  private something(kind: number): readonly [MethodName, unknown] {
    const { dice } = stage;
    const className = dice.of(CLASSES);
    const cmd = dice.of(["work", "work {A}", "work {KEY}", "work 'x y'"] as const);
    const retry = dice.of([null, null, { max_failures: 2 }, { max_failures: null }] as const);
    const timeout = dice.of([null, null, 60] as const);
    const common = { class: className, cmd, cp_results: dice.of([null, "/r"] as const), retry, timeout, notify: false };
    const addrs = [dice.of(ADDRS)];
    switch (kind) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return ["job.add", { ...common, count: 1 + dice.below(3), tag: null }];
      case 8:
        return ["matrix.add", { ...common, keys: [{ name: "A", values: ["1", "2"] }], count: 1 }];
      case 9:
      case 10:
        return ["machine.add", { addrs, class: className }];
      case 11:
        return ["machine.remove", { addrs, classes: [] }];
      case 12:
        return ["machine.move", { addrs, classes: [], class: className }];
      case 13:
        return ["machine.restore", { addrs }];
      case 14: {
        const cmds = ["install", "tune {KEY}", "boot"].slice(dice.below(3));
        return ["machine.setup", { addrs, existing: false, class: dice.of([null, ...CLASSES]), cmds, timeout, stagger: 5, notify: false }];
      }
      case 15:
        return ["variable.set", { name: "KEY", value: `v${dice.below(9)}`, secret: dice.chance(0.7) }];
      case 16:
        return dice.chance(0.5) ? ["variable.remove", { names: ["KEY"] }] : ["machine.check", { addrs: [] }];
      case 17:
      case 18:
        return ["job.cancel", { ids: this.ids(), forget: dice.chance(0.4) }];
      case 19:
        return ["job.hold", { ids: this.ids() }];
      case 20:
        return ["job.unhold", { ids: this.ids() }];
      case 21:
        return ["job.clone", { ids: this.ids(), count: 1 }];
      case 22:
        return ["job.restart", { ids: this.ids(), count: 1 }];
      case 23:
        return ["job.set_timeout", { ids: this.ids(), timeout: dice.of([null, 1, 120] as const) }];
      case 24:
        return dice.chance(0.5) ? ["tag.new", {}] : ["job.line", { after: this.ids()[0] }];
      // tidy-allow switch-default: a number
      default:
        return ["tag.set", { ids: this.ids(), tag: this.tag() }];
    }
  }

  private ids(): readonly [unknown, ...unknown[]] {
    const { dice } = stage;
    const { nextId } = this.oracle.state;
    const id = { kind: "id", id: dice.below(nextId + 1) };
    if (dice.chance(0.15)) return [{ kind: "last" }];
    if (dice.chance(0.15)) return [id, { kind: "id", id: dice.below(nextId + 1) }];
    return dice.chance(0.25) ? [{ kind: "range", first: id.id, last: id.id + dice.below(4) }] : [id];
  }

  private tag(): number {
    return [...this.oracle.state.tags.keys()][0] ?? 0;
  }
}
