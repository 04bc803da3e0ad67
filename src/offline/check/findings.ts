/** Where the parts of `check` put what they find. */
import type { Finding } from "../../config/offline-task.ts";
import { StoreError } from "../../store/store-error.ts";

export class Findings {
  readonly all: Finding[] = [];
  readonly checked: Record<string, number> = {};

  damage(code: string, data: Finding["data"]): void {
    this.add({ severity: "damage", code, data });
  }

  attention(code: string, data: Finding["data"]): void {
    this.add({ severity: "attention", code, data });
  }

  note(code: string, data: Finding["data"]): void {
    this.add({ severity: "note", code, data });
  }

  /** What the store refused. One cause may be met by several parts: it is told once. @throws what is no refusal */
  refused(error: unknown): void {
    if (!(error instanceof StoreError)) throw error;
    this.damage(error.code, Object.fromEntries(Object.entries(error.data).map(([key, value]) => [key, String(value)])));
  }

  count(what: string, by: number): void {
    this.checked[what] = (this.checked[what] ?? 0) + by;
  }

  private add(finding: Finding): void {
    const { code, data } = finding;
    const isKnown = this.all.some(
      (other) => other.code === code && other.data["file"] !== undefined && other.data["file"] === data["file"],
    );
    if (!isKnown) this.all.push(finding);
  }
}
